"""An exported model: the textbook's scores without torch; complete or refused."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, replace
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzz import damaged, distorted, refusal
from hypothesis import given, settings
from hypothesis import strategies as st
from members import COLD_USER, CONFIG, FOLD, ITEMS, USERS
from safetensors.numpy import load, save

from trainable.artifact import CARD, TENSORS, Card, Model, load_model
from trainable.contract import SHARINGS, StudyError
from trainable.metrics import Ranking
from trainable.models.two_task.net import TwoTaskNet
from trainable.models.two_task.parameters import shapes

CARD_OF = Card(
    study="mine",
    trial=3,
    config=CONFIG,
    epochs=5,
    seed=7,
    replicate=0,
    trained_on="train",
    measured_on="validation",
    metrics={"mrr": 0.4, "mrr_all": 0.1, "mse": 0.8},
    source="synthetic",
    data_sha256="0" * 64,
    version="0.1.0",
)
SEEN = np.stack([FOLD.train.users, FOLD.train.items])
NAMES = {"users": [f"u{n}" for n in range(USERS)], "items": [f"i{n}" for n in range(ITEMS)]}


def values(config=CONFIG, dtype="float64", seed=0, users=USERS, items=ITEMS):
    random = np.random.default_rng(seed)
    return {
        name: random.normal(size=shape).astype(dtype) for name, shape in shapes(config, users, items).items()
    }


def model(config=CONFIG, *, seen=SEEN, names=NAMES, **options):
    return Model(replace(CARD_OF, config=config), values(config, **options), **names, seen=seen)


def everything(model: Model):
    """All outputs of a model."""
    answers = [
        (u, model.seen(u), model.recommend(u, ITEMS), model.rate(u, model.items).tolist())
        for u in model.users
    ]
    return model.card, model.users, model.items, answers


def test_a_card_of_an_earlier_version_is_read():
    """Models of earlier versions load, with the defaults of later values."""
    about = asdict(CARD_OF)
    del about["config"]["average"], about["config"]["negatives"]
    assert Card.from_dict(about) == CARD_OF


# --- what it says ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-4)])
@pytest.mark.parametrize(("dim", "hidden"), [(1, 3), (4, 5), (13, 1)])
@pytest.mark.parametrize("sharing", SHARINGS)
def test_scores_are_those_of_the_textbook(sharing, dim, hidden, dtype, tolerance):
    """Biases are included, shared tables are not confused, and the pair's parts keep their order."""
    config = replace(CONFIG, sharing=sharing, dim=dim, hidden=hidden)
    ours = model(config, dtype=dtype)
    net = TwoTaskNet({name: torch.tensor(value) for name, value in values(config, dtype).items()})
    for row, user in enumerate(ours.users):
        items = torch.arange(ITEMS)
        with torch.no_grad():
            ranking, rating = (
                net.rank_all(torch.tensor([row]))[0],
                net.rate(torch.full_like(items, row), items),
            )
        scores = dict(ours.recommend(user, ITEMS, include_seen=True))
        np.testing.assert_allclose([scores[i] for i in ours.items], ranking, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(ours.rate(user, ours.items), rating, rtol=tolerance, atol=tolerance)


def test_recommendations_have_the_ranks_of_the_metrics():
    """Training items are not recommended, and held-out items are ranked."""
    ours, ranking = model(), Ranking(FOLD)

    def scores(users):
        rows = [dict(ours.recommend(ours.users[u], ITEMS, include_seen=True)) for u in users]
        return np.array([[row[item] for item in ours.items] for row in rows])

    ranks = ranking.ranks(scores)
    for place, user in enumerate(ranking.users):
        items = [r.item for r in ours.recommend(ours.users[user], ITEMS)]
        own = slice(ranking.starts[place], ranking.starts[place + 1])
        assert [items.index(ours.items[i]) + 1 for i in ranking.items[own]] == ranks[own].tolist()


def test_seen_items_are_left_out_by_default():
    ours, rated = model(), {(f"u{u}", f"i{i}") for u, i in SEEN.T}
    assert {(u, i) for u in ours.users for i in ours.seen(u)} == rated
    for user in ours.users:
        fresh = {r.item for r in ours.recommend(user, ITEMS)}
        assert fresh == set(ours.items) - set(ours.seen(user))
        assert len(ours.recommend(user, ITEMS, include_seen=True)) == ITEMS
    assert not ours.seen(f"u{COLD_USER}")


def test_equal_scores_stand_in_the_order_of_the_catalogue():
    flat = {name: np.zeros_like(value) for name, value in values().items()}
    ours = Model(CARD_OF, flat, **NAMES, seen=SEEN)
    assert [r.item for r in ours.recommend("u0", ITEMS, include_seen=True)] == NAMES["items"]
    some = [r.item for r in ours.recommend("u0", 3)]
    assert some == [i for i in NAMES["items"] if i not in ours.seen("u0")][:3]


def test_a_number_stands_for_its_text():
    names = {"users": map(str, range(USERS)), "items": np.arange(ITEMS).astype(np.str_)}
    ours = model(names=names)
    assert ours.recommend(4) == ours.recommend("4")
    assert ours.rate(4, [7]) == ours.rate("4", ["7"])
    assert type(ours.recommend(4)[0].item) is str


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            lambda m: m.recommend("u99"),
            r"user: 'u99' is not known .* one of its 12 users \('u0', 'u1', 'u2' …\)",
        ),
        (lambda m: m.rate("i0", ["i0"]), "user: 'i0' is not known"),
        (lambda m: m.rate("u0", ["i0", "u0"]), "item: 'u0' is not known .* 15 items"),
        (lambda m: m.rate("u0", "i0"), r"items: 'i0' is one item; give a list, as in \['i0'\]"),
        (lambda m: m.recommend("u0", 0), "n: 0 items cannot be recommended; use 1 or more"),
    ],
)
def test_unknown_ids_are_refused(ask, message):
    with pytest.raises(StudyError, match=message):
        ask(model())


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Model(CARD_OF, values(replace(CONFIG, dim=3)), **NAMES, seen=SEEN),
        lambda: Model(CARD_OF, values(replace(CONFIG, sharing="none")), **NAMES, seen=SEEN),
        lambda: Model(CARD_OF, values() | {"user_bias": np.full(USERS, np.nan)}, **NAMES, seen=SEEN),
        lambda: Model(CARD_OF, values() | {"user_bias": np.zeros(USERS, complex)}, **NAMES, seen=SEEN),
        lambda: Model(CARD_OF, values(), **NAMES, seen=SEEN + np.array([[0], [ITEMS]])),
        lambda: model(names=NAMES | {"items": ["i0"] * ITEMS}),
    ],
    ids=["dim", "sharing", "nan", "complex", "seen", "twice"],
)
def test_parts_that_do_not_fit_make_no_model(wrong):
    with pytest.raises(ValueError, match=r"shapes|finite|outside|twice"):
        wrong()


# --- to disk and back ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sharing", SHARINGS)
def test_it_comes_back_as_it_was(sharing, tmp_path: Path):
    config = replace(CONFIG, sharing=sharing, weight=None if sharing == "none" else 0.7, batch_size="full")
    ours = model(config, dtype="float32")
    ours.save(tmp_path / "here" / "3-5")
    assert everything(load_model(tmp_path / "here" / "3-5")) == everything(ours)
    assert {p.name for p in (tmp_path / "here").rglob("*")} == {"3-5", TENSORS, CARD}


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(
    st.lists(texts, unique=True, min_size=1, max_size=6), st.lists(texts, unique=True, min_size=1, max_size=6)
)
@settings(max_examples=25)
def test_ids_may_be_anything(tmp_path: Path, users, items):
    names = {"users": users, "items": items}
    ours = model(names=names, seen=np.zeros((2, 1), int), users=len(users), items=len(items))
    ours.save(tmp_path / "it")
    there = load_model(tmp_path / "it")
    assert (there.users, there.items) == (tuple(users), tuple(items))


def test_a_new_model_takes_the_place_of_the_old_one(tmp_path: Path):
    model().save(tmp_path / "it")
    other = model(seed=1)
    other.save(tmp_path / "it")
    assert everything(load_model(tmp_path / "it")) == everything(other)
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


def test_a_failed_save_leaves_the_old_model(tmp_path: Path, monkeypatch):
    model().save(tmp_path / "it")

    flush, flushed = os.fsync, []

    def full_at_the_second(number):
        flushed.append(number)
        if len(flushed) == 2:
            raise OSError(28, "No space left on device")
        flush(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_at_the_second)
        with pytest.raises(OSError, match="No space"):
            model(seed=1).save(tmp_path / "it")
    assert everything(load_model(tmp_path / "it")) == everything(model())
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


# --- what is not a model ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The two files of a model."""
    folder = tmp_path_factory.mktemp("saved") / "it"
    model(dtype="float32").save(folder)
    return {name: (folder / name).read_bytes() for name in (TENSORS, CARD)}


def put(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.fuzz
@given(st.data())
def test_damage_is_refused_or_harmless(saved, tmp_path: Path, data):
    """Every read is checked: bytes may be changed, removed or inserted in either file."""
    name, other = data.draw(st.permutations([TENSORS, CARD]))
    folder = put(tmp_path / "it", saved | {name: data.draw(damaged(saved[name], saved[other]))})
    with suppress(StudyError):
        assert everything(load_model(folder)) == everything(model(dtype="float32"))


@pytest.mark.fuzz
@given(st.data())
def test_a_changed_card_is_refused_or_harmless(saved, tmp_path: Path, data):
    """The seal is valid, a value is wrong. Catches a value that is used before it is checked."""
    about, tensors = json.loads(saved[CARD]), load(saved[TENSORS])
    del about["sha256"]
    if data.draw(st.booleans()):
        about = data.draw(distorted(about))
    else:
        name, kind = data.draw(st.sampled_from(sorted(tensors))), data.draw(st.sampled_from("bBhdF?"))
        tensors[name] = data.draw(
            st.sampled_from([tensors[name][:0], tensors[name].astype(kind), about["seed"] - tensors[name]])
        )
    folder = put(tmp_path / "it", sealed(about, tensors))

    def used():
        everything(load_model(folder))

    refusal(used)


def sealed(about: dict, tensors: dict) -> dict[str, bytes]:
    """Two files with the seal of a model and any content."""
    content, card = save(tensors), json.dumps(about, sort_keys=True).encode()
    seal = sha256(len(card).to_bytes(8, "little") + card + content).hexdigest()
    return {TENSORS: content, CARD: json.dumps(about | {"sha256": seal}).encode()}


FOREIGN = {
    "nothing": ({}, "contains no readable model .No such file"),
    "no tensors": ({CARD: b"{}"}, "contains no readable model"),
    "empty": ({TENSORS: b"", CARD: b""}, "does not describe a model"),
    "a list": ({TENSORS: b"", CARD: b"[1, 2]"}, "does not describe a model"),
    "deep": ({TENSORS: b"", CARD: b"[" * 100_000}, "does not describe a model"),
    "not text": ({TENSORS: b"", CARD: b"\xff\xfe"}, "does not describe a model"),
    "another's": ({TENSORS: b"", CARD: b'{"architectures": ["Bert"]}'}, "does not describe a model"),
    "a later one": (sealed({"format": 2}, {}), "has format 2, this version reads 1; use the version"),
    "no card": (sealed({"format": 1}, {}), "is damaged"),
    "a poor card": (sealed({"format": 1, "config": None}, {}), "is damaged"),
    "no tables": (sealed({"format": 1, **asdict(CARD_OF)}, {}), "is damaged"),
    "no ids": (sealed({"format": 1, **asdict(CARD_OF)}, values()), "is damaged"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_other_files_are_refused(kind, tmp_path: Path):
    files, message = FOREIGN[kind]
    with pytest.raises(StudyError, match=message):
        load_model(put(tmp_path / "it", files))


def test_a_path_without_a_folder_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "nowhere", str(tmp_path / "file")):
        with pytest.raises(StudyError, match=f"{path}: contains no readable model"):
            load_model(path)


def test_files_of_two_models_make_none(saved, tmp_path: Path):
    model(dtype="float32", seed=1).save(tmp_path / "other")
    folder = put(tmp_path / "it", saved | {TENSORS: (tmp_path / "other" / TENSORS).read_bytes()})
    with pytest.raises(StudyError, match="is damaged, or mixes files of two models; export it again"):
        load_model(folder)


def test_it_needs_numpy_and_safetensors_alone(tmp_path: Path):
    model(dtype="float32").save(tmp_path / "it")
    code = (
        "import sys\n"
        "from study import load_model\n"
        f"model = load_model({str(tmp_path / 'it')!r})\n"
        "assert len(model.recommend('u1', 3)) == 3 and len(model.rate('u1', ['i2'])) == 1\n"
        "heavy = {'torch', 'numba', 'ray', 'optuna', 'scipy', 'pandas', 'pydantic', 'sqlalchemy'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
