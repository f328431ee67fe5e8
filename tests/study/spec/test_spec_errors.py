"""Every mistake in a spec is refused: what was given, what is allowed, and the line it stands on."""

import traceback
from pathlib import Path

import pytest

from study.spec import SpecError, StudySpec
from study.spec.domains import UniformShare
from trainable.contract import StudyError

HEAD = 'name = "base"\n[data]\nsource = "synthetic"\n[budget]\ntrials = 3\n'
"""Five lines: what is added below begins on line 6."""


def refusal(text: str, *overrides: str) -> str:
    with pytest.raises(SpecError) as caught:
        StudySpec.from_text(text, where="study.toml", overrides=overrides)
    assert isinstance(caught.value, StudyError)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "added", "message"),
    [
        # unknown keys, among them those of later versions
        (
            7,
            "[train]\nepoch = 3",
            "train.epoch: unknown key; use epochs, candidates, batch_size, dim, hidden, "
            "ranking_loss, negatives, learning_rate, weight_decay, average, evaluate_every",
        ),
        (
            6,
            "[trian]\nepochs = 3",
            "trian: unknown key; use name, objectives, data, train, space, search, stopping, budget, "
            "confirm, storage, runtime",
        ),
        (
            7,
            "[stopping]\nmax_epochs = 9",
            "stopping.max_epochs: unknown key; use rule, min_epochs, reduction_factor",
        ),
        (
            7,
            "[space]\nevaluate_every = 9",
            "space.evaluate_every: unknown key; use weight, sharing, learning_rate, weight_decay, "
            "average, epochs, batch_size, dim, hidden, ranking_loss, negatives",
        ),
        (7, "[confirm]\npoint = 9", "confirm.point: unknown key; use points, replicates, fresh"),
        (6, "plateau = { trial = 9 }", "budget.plateau.trial: unknown key; use trials, gain"),
        (7, "[runtime]\nslots = { tpu = 9 }", "runtime.slots.tpu: unknown key; use cpu, gpu"),
        (
            7,
            "[search]\ninitial = [{ lambda = 9 }]",
            "search.initial[0].lambda: unknown key; use weight, sharing, learning_rate, weight_decay, "
            "average, epochs, batch_size, dim, hidden, ranking_loss, negatives",
        ),
        # unknown names
        (7, "[space]\nsharing = 'soft'", "space.sharing: 'soft' is not known; use none, users, items, both"),
        (
            8,
            "[space]\n\nsharing = ['none', 'soft']",
            "space.sharing[1]: 'soft' is not known; use none, users, items, both",
        ),
        (
            7,
            "[search]\nsampler = 'anneal'",
            "search.sampler: 'anneal' is not known; use tpe, nsga2, gp, qmc, random, grid",
        ),
        (
            8,
            "[search]\nsampler = 'qmc'\nexplore = 0.2",
            'search.explore: 0.2 is not possible with sampler = "qmc", which covers the space evenly by '
            "itself; use 0, or leave it out",
        ),
        # what a grid cannot take
        (
            9,
            "[search]\nsampler = 'grid'\n[space]\nweight = { uniform = [0, 1] }",
            'space.weight: {"uniform": [0.0, 1.0]} is a range, which sampler = "grid" cannot use; '
            "write a list of values, or one value",
        ),
        (
            7,
            "[space]\ndim = { int = [8, 64] }\nweight = 0.9\n[search]\nsampler = 'grid'",
            'space.dim: {"int": [8, 64]} is a range, which sampler = "grid" cannot use; '
            "write a list of values, or one value",
        ),
        (
            7,
            "[stopping]\nrule = 'asha'",
            "stopping.rule: 'asha' is not known; use never, median, pareto-asha",
        ),
        # rungs that no trial comes to
        (
            10,
            "[train]\nepochs = 27\n[stopping]\nrule = 'pareto-asha'\nmin_epochs = 27",
            "stopping.min_epochs: 27 leaves no trial to stop, because none trains longer than 27 epochs; use "
            'less, train.epochs above it, or rule = "never"',
        ),
        (
            10,
            "[space]\nepochs = [3, 9]\n[stopping]\nrule = 'median'\nmin_epochs = 9",
            "stopping.min_epochs: 9 leaves no trial to stop, because none trains longer than 9 epochs; use "
            'less, train.epochs above it, or rule = "never"',
        ),
        (
            7,
            "[train]\nranking_loss = 'warp'",
            "train.ranking_loss: 'warp' is not known; use one-minus-sigmoid, bpr",
        ),
        (7, "[train]\nnegatives = 'popular'", "train.negatives: 'popular' is not known; use all, unseen"),
        (7, "[train]\naverage = 1.5", "train.average: 1.5 is not possible; use a number of at most 1.0"),
        (7, "[train]\ncandidates = 'best'", "train.candidates: 'best' is not known; use every, last"),
        (
            7,
            "[runtime]\naddress = 'ray://x'",
            "runtime.address: 'ray://x' is not known; use inline, local, auto",
        ),
        # types
        (7, "[train]\nepochs = 'many'", "train.epochs: 'many' is not possible; use a whole number"),
        (7, "[train]\nepochs = 2.5", "train.epochs: 2.5 is not possible; use a whole number"),
        (7, "[train]\nepochs = true", "train.epochs: True is not possible; use a whole number"),
        (7, "[train]\nlearning_rate = '1e-3'", "train.learning_rate: '1e-3' is not possible; use a number"),
        (
            7,
            "[train]\nlearning_rate = 1979-05-27",
            "train.learning_rate: datetime.date(1979, 5, 27) is not possible; use a number",
        ),
        (
            7,
            "[train]\nbatch_size = 'half'",
            "train.batch_size: 'half' is not possible; use a whole number or full",
        ),
        (
            7,
            "[train]\nbatch_size = 0",
            "train.batch_size: 0 is not possible; use a number of at least 1 or full",
        ),
        (7, "[search]\ninitial = 3", "search.initial: 3 is not possible; use a list"),
        # numbers that are none, or out of range
        (7, "[train]\nlearning_rate = nan", "train.learning_rate: nan is not possible; use a finite number"),
        (7, "[train]\nlearning_rate = 0", "train.learning_rate: 0 is not possible; use a number above 0.0"),
        (
            7,
            "[space]\nlearning_rate = { log = [1e-3, inf] }",
            "space.learning_rate.log[1]: inf is not possible; use a finite number",
        ),
        (
            7,
            "[space]\nlearning_rate = { uniform = [nan, 1] }",
            "space.learning_rate.uniform[0]: nan is not possible; use a finite number",
        ),
        (7, "[space]\nweight = [nan]", "space.weight[0]: nan is not possible; use a finite number"),
        (
            7,
            "[space]\nweight = { logit = [0.5, 1.0] }",
            "space.weight.logit[1]: 1.0 is not possible; use a number below 1.0",
        ),
        (
            7,
            "[space]\nweight = { uniform = [-0.5, 1.0] }",
            "space.weight.uniform[0]: -0.5 is not possible; use a number of at least 0.0",
        ),
        (7, "[search]\nexplore = 1.5", "search.explore: 1.5 is not possible; use a number of at most 1.0"),
        # forms of the space
        (
            7,
            "[space.weight]\nlogit = [0.9, 0.5]",
            "space.weight.logit: the lower bound 0.9 must be below the upper bound 0.5; write one "
            "value to fix it",
        ),
        (
            7,
            "[space]\ndim = { int = [8, 8] }",
            "space.dim.int: the lower bound 8 must be below the upper bound 8; write one value to fix it",
        ),
        (
            7,
            "[space]\nweight = { log = [0.5, 0.9] }",
            "space.weight: {'log': [0.5, 0.9]} is not possible; use { uniform = [low, high] } or { "
            "logit = [low, high] } or a list or one value",
        ),
        (
            7,
            "[space]\nsharing = []",
            "space.sharing: an empty list has no value to choose; name at least one",
        ),
        (
            7,
            "[space]\nsharing = ['both', 'both']",
            "space.sharing: ['both', 'both'] names a value twice; name each once",
        ),
        (7, "[space]\ndim = { int = [8] }", "space.dim.int: a value is missing"),
        # initial configurations
        (
            7,
            "[search]\ninitial = [\n  { weight = 0.9 },\n  { weight = 0.2 },\n]",
            'search.initial[1].weight: 0.2 is outside the space, {"logit": [0.5, 0.9997]}',
        ),
        (
            10,
            "[[search.initial]]\nweight = 0.9\n[[search.initial]]\nsharing = 'both'\nweight = 0.2",
            'search.initial[1].weight: 0.2 is outside the space, {"logit": [0.5, 0.9997]}',
        ),
        (7, "[search]\ninitial = [{ dim = 33 }]", "search.initial[0].dim: 33 is outside the space, 32"),
        (
            7,
            "[search]\ninitial = [{ sharing = 'none' }]\n[space]\nsharing = ['users', 'both']",
            'search.initial[0].sharing: \'none\' is outside the space, ["users", "both"]',
        ),
    ],
)
def test_a_mistake_in_the_text(line: int, added: str, message: str) -> None:
    assert refusal(HEAD + added) == f"{message} (study.toml:{line})"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "data.source=ml-10m",
            "data.source: 'ml-10m' is not known; use ml-100k, ml-1m, synthetic, or a path that ends in .csv "
            "or .parquet",
        ),
        ("data.split=random", "data.split: 'random' is not known; use per-user, ps1, leave-last, by-time"),
        ("runtime.engine=gpu", "runtime.engine: 'gpu' is not known; use auto, "),
        (
            "runtime.storage_path=elsewhere",
            "runtime.storage_path: 'elsewhere' is a different folder on each node",
        ),
        (
            "runtime.gpus_per_lane=5e-324",
            "runtime.gpus_per_lane: 4.94066e-324 is neither a number of GPUs nor one k-th",
        ),
        (
            "runtime.resources={ GPU = 1.0 }",
            "runtime.resources: GPU has its own key, runtime.gpus_per_lane; use that",
        ),
        (
            "runtime.resources={ licence = 1.5 }",
            "runtime.resources: 1.5 of licence is no amount that Ray counts; use a whole number, or less",
        ),
        (
            "runtime.labels={ zone = '!a' }",
            "runtime.labels: '!a' is not the value of a node's label: at most 63 letters",
        ),
        ("runtime.lanes=0", "runtime.lanes: 0 is not possible; use auto or a number of at least 1"),
        ("objectives=['mrr', 'mrr']", "objectives: 'mrr' is named twice; name two different metrics"),
        ("objectives=['mrr']", "objectives: a value is missing"),
        ("objectives=['mrr', 'ndcg']", "objectives[1]: 'ndcg' is not known; use mrr, mrr_all, mse"),
        ("budget.trials=-1", "budget.trials: -1 is not possible; use a number of at least 1"),
        ("budget.wall_time_s=inf", "budget.wall_time_s: inf is not possible; use a finite number"),
        ("confrim.points=10", "confrim: unknown key; use name, objectives, "),
        ("train=3", "train: 3 is not possible; use a table"),
        ("name.first=x", "name.first: name is not a table, so it has no keys to set"),
        ("train", "--set: 'train' is not section.key=value; write e.g. budget.trials=10"),
        ("train..epochs=3", "--set: 'train..epochs=3' is not section.key=value; write e.g. budget.trials=10"),
        ("train.epochs=3\nname='x'", "train.epochs: \"3\\nname='x'\" is not possible; use a whole number"),
    ],
)
def test_a_mistake_in_an_override(override: str, message: str) -> None:
    refused = refusal(HEAD, override)
    assert refused.startswith(message)
    assert "--set" in refused


@pytest.mark.parametrize(
    "name", ["a/b", "../a", ".a", "-a", "", "a b", "ä", "a" * 65, "a.toml", "a\\b", "a\n"]
)
def test_a_name_that_cannot_be_a_folder(name: str) -> None:
    refused = refusal(HEAD, f"name='''{name}'''")
    assert "cannot be a study's name; use up to 64 letters, digits" in refused


@pytest.mark.parametrize("name", ["a", "A-1_b.c", "_x", "9", "a" * 64])
def test_a_name_that_can(name: str) -> None:
    assert StudySpec.from_text(HEAD, where="x", overrides=[f"name='{name}'"]).name == name


def test_what_is_missing_is_said_and_every_mistake_has_a_line() -> None:
    assert refusal("[budget]\n[data]\nsplit = 3\n").splitlines() == [
        "name: missing; it has no default (study.toml)",
        "data.source: missing; it has no default (study.toml:2)",
        "data.split: 3 is not possible; use text in quotes (study.toml:3)",
        "budget: has no hard limit; set trials, member_epochs or wall_time_s (study.toml:1)",
    ]


@pytest.mark.parametrize("text", ["x = [1", "x = 1\nx = 2", "x = " + "1" * 5000, "x = " + "[" * 5000])
def test_a_text_that_is_no_toml(text: str) -> None:
    assert refusal(text).startswith("study.toml: is not valid TOML: ")


def test_a_text_that_is_too_deep() -> None:
    """Nested input causes no deep recursion; 1,000 levels are within tomllib's limit."""
    deep = "a." * 1000
    assert refusal(HEAD + f"[x]\n{deep}b = 1").startswith(
        "study.toml: is nested 16 deep; a spec has sections"
    )
    assert refusal(HEAD, f"{deep}b=1").endswith("is nested 16 deep; write e.g. budget.trials=10")
    assert "is nested 16 deep" in refusal(HEAD, f"train.epochs={'[' * 99}{']' * 99}")


@pytest.mark.parametrize(
    "text",
    [
        "a." * 30_000 + "a = 1",
        "a\t. " * 20 + "a = 1",
        "'a'." * 20 + 'a = "x"',
        '"a\\"".' * 20 + "a = 1",
        f"[{'a.' * 20}a]",
        f"[[ {'a.' * 20}a ]]",
        f"x = {{ {'a.' * 20}a = 1 }}",
        f"x = 'it' # is\n{'a.' * 20}a = 1",
        f'x = """\n"" # "\n"""\n{"a." * 20}a = 1',
    ],
)
def test_a_deep_key_is_refused_before_it_is_parsed(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Parsing takes the square of its depth: 30,000 parts are 12 s. Catches: a key that is parsed first."""
    monkeypatch.setattr("tomllib.loads", lambda _: pytest.fail("it was parsed"))
    assert refusal(text) == "study.toml: is nested 16 deep; a spec has sections, and keys in them"


@pytest.mark.parametrize(
    "value",
    [
        f'"{"a." * 20}csv"',
        f"'{'a.' * 20}csv'",
        f'"{"../" * 20}ratings.csv"  # {"a." * 20}',
        f"'''\n{'a.' * 20}'\n{'b.' * 20}.csv'''",
        f'"""\n{"a." * 20}\\"""{"b." * 20}.csv"""',
    ],
)
def test_dots_in_a_text_or_a_comment_are_no_depth(value: str) -> None:
    """A path is not refused for its dots."""
    spec = StudySpec.from_text(HEAD.replace('"synthetic"', value), where="study.toml")
    assert spec.data.source.endswith("csv")


def test_a_text_that_no_spec_could_be_as_long_as() -> None:
    text = f"{HEAD}# {' ' * 2**20}"
    assert refusal(text) == f"study.toml: is {len(text)} characters long; a spec has at most 1048576"


def test_mistakes_are_said_one_by_one_up_to_twenty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of unknown keys do not cost a line and a schema each."""
    lines = refusal(HEAD + "".join(f"key{number} = 1\n" for number in range(8000))).splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [f"budget.key{number}" for number in range(20)]
    assert lines[-1] == "and 7980 more mistakes (study.toml)"
    monkeypatch.setattr(StudySpec, "model_json_schema", lambda: pytest.fail("it was made again"))
    assert "unknown key; use trials" in refusal(HEAD + "key = 1")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    for name, reason in [
        ("none.toml", "No such file"),
        ("binary.toml", "it is not UTF-8"),
        ("", "it is a folder; give a file"),
    ]:
        with pytest.raises(SpecError, match=reason):
            StudySpec.load(tmp_path / name)


def test_the_value_of_an_unknown_key_is_not_repeated() -> None:
    text = HEAD + f"[database]\nurl = 'postgresql://me:{'x' * 3}-word@host/db'\n"
    with pytest.raises(SpecError) as caught:
        StudySpec.from_text(text, where="study.toml")
    assert str(caught.value).startswith("database: unknown key; use name, ")
    assert "xxx-word" not in "".join(traceback.format_exception(caught.value))


def test_an_override_may_be_a_word_or_toml() -> None:
    spec = StudySpec.from_text(
        HEAD,
        where="x",
        overrides=[
            "data.split=leave-last",
            "space.sharing=both",
            "space.weight = { uniform = [0, 1] }",
            "train.batch_size=full",
            'name="quoted"',
            "space.weight.uniform=[0.1, 0.2]",
        ],
    )
    assert (spec.name, spec.data.split, spec.space.sharing) == ("quoted", "leave-last", "both")
    assert spec.train.batch_size == "full"
    assert spec.space.weight == UniformShare(uniform=(0.1, 0.2))


def test_initial_weight_without_sharing_may_be_outside_the_space() -> None:
    spec = StudySpec.from_text(
        HEAD, where="x", overrides=["search.initial=[{ weight=0.01, sharing='none' }]"]
    )
    assert spec.search.initial[0].weight == 0.01
