"""The report: well-formed, self-contained, escaped, and honest where there is little or nothing to show."""

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.text import Text

from analysis import text
from analysis.errors import AnalysisError
from analysis.figures.drawing import INK, MUTED, Drawing
from analysis.figures.style import SHARING_STYLES
from analysis.report import read
from analysis.report.sections.registry import SECTIONS
from analysis.tables import Tables

SVG = "{http://www.w3.org/2000/svg}"
OURS = files("analysis.report").joinpath("templates/report.js").read_text(encoding="utf-8")
HOSTILE = "<script>alert('x')</script> \"&amp;\" $a_b$ \x1b[31m </title>"


def page(folder):
    """The page of a study, without the files of its figures, and its elements."""
    html = read(folder).html()
    return html, ElementTree.fromstring(html)


@pytest.fixture(scope="module")
def html(unchanged_search):
    """The page of a search; drawing it takes a second."""
    return read(unchanged_search).html()


@pytest.fixture
def tree(html):
    """The elements of the same page."""
    return ElementTree.fromstring(html)


def words(tree):
    for script in tree.iter("script"):
        script.text = ""
    return " ".join(" ".join(tree.itertext()).split())


def runnable(tree):
    return [script.text for script in tree.iter("script") if script.get("type") is None]


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, html):
        super().__init__()
        self.seen = []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))


def test_a_study_gives_one_page_and_each_figure_as_three_files(search):
    html = read(search).save(search / "report", Path.write_bytes).read_text(encoding="utf-8")
    tree = ElementTree.fromstring(html)
    names = ("curves", "front", "search", "sharing", "weight")
    figures = {f"{name}.{form}" for name in names for form in ("pdf", "png", "svg")}
    assert {p.name for p in (search / "report").iterdir()} == {*figures, "index.html"}
    assert [s.get("id") for s in tree.iter("section")] == [
        name for name in SECTIONS if name not in ("claims", "decision", "optimism")
    ]
    assert len(html) < 2_000_000


@pytest.mark.parametrize("there", [True, False])
def test_the_claims_have_a_section_only_in_a_study_that_can_judge_them(request, four_cells, there):
    """In the contents, as a figure, in Markdown and in JSON as well."""
    report = read(four_cells() if there else request.getfixturevalue("search"))
    forms = report.html(), report.markdown(), report.json()
    assert ["three claims" in form for form in forms] == [there] * 3
    assert ('href="#claims"' in forms[0]) == there
    assert ("claims" in json.loads(forms[2])["sections"]) == there


def test_the_page_is_the_same_twice(unchanged_search, html):
    assert read(unchanged_search).html() == html


def test_the_page_needs_nothing_beside_it(html):
    elements = Elements(html).seen
    assert not {tag for tag, _ in elements} & {"link", "img", "iframe", "object"}
    links = [
        value for _, attrs in elements for key, value in attrs.items() if key in ("href", "src", "xlink:href")
    ]
    assert all(link.startswith("#") or re.fullmatch(r"\w+\.(svg|pdf|png)", link) for link in links)
    assert not any(key.startswith("on") for _, attrs in elements for key in attrs)
    assert "@import" not in html
    assert "url(http" not in html


def test_the_policy_lets_our_script_run_and_nothing_else(tree):
    assert runnable(tree) == [OURS]
    (policy,) = (m.get("content") for m in tree.iter("meta") if m.get("http-equiv"))
    digest = b64encode(sha256(OURS.encode()).digest()).decode()
    assert set(policy.split("; ")) == {
        "default-src 'none'", "style-src 'unsafe-inline'", f"script-src 'sha256-{digest}'",
        "base-uri 'none'", "form-action 'none'",
    }  # fmt: skip
    assert not {"fetch(", "XMLHttpRequest", "innerHTML", "eval("} & set(re.findall(r"\w+\(?", OURS))


def test_ids_are_unique_and_references_resolve(html):
    ids = re.findall(r'\bid="([^"]*)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]*)"', html) + re.findall(r"url\(#([^)]*)\)", html)) <= set(ids)


def test_every_figure_has_a_name_a_description_and_its_data(tree):
    for svg in tree.iter(f"{SVG}svg"):
        named = svg.get("aria-labelledby").split()
        assert [element.get("id") for element in (svg.find(f"{SVG}title"), svg.find(f"{SVG}desc"))] == named
        assert all("".join(svg.find(f"{SVG}{tag}").itertext()) for tag in ("title", "desc"))
    for section in tree.iter("section"):
        if section.find("figure[@class='drawing']") is not None:
            assert list(section.iter("table")), section.get("id")


def test_the_words_of_every_figure_follow_the_page_in_the_dark(search):
    """Black would stay black: words are in one of the colours that the page replaces, or of a mark."""
    allowed = {to_hex(color) for color in (INK, MUTED, *(color for _, color, _ in SHARING_STYLES.values()))}
    drawings = [b for section in read(search).sections for b in section.blocks if isinstance(b, Drawing)]
    assert len(drawings) == 5
    for drawing in drawings:
        drawing.figure.draw_without_rendering()
        for note in drawing.figure.findobj(Text):
            if note.get_visible() and note.get_text():
                assert to_hex(note.get_color()) in allowed, (drawing.name, note.get_text())


def test_text_and_tables_say_the_same_numbers(unchanged_search, tree):
    tables = Tables.load(unchanged_search)
    prose = words(tree)
    assert f"The front has {len(tables.front)} of 36 evaluated points (12 configurations)" in prose
    assert (
        f"Hypervolume {tables.hypervolume:.5f} against the reference (MRR (first hit) 0.274, MSE 0.871)"
        in prose
    )
    (front,) = [t for t in tree.iter("table") if t.find("caption").text == "The front, validation"]
    column = [cell.text for cell in front.find("thead/tr")].index("MSE")
    shown = [row[column].text for row in front.find("tbody")]
    assert shown == [text.fixed(mse) for mse in tables.front["mse"]]


def test_one_seed_is_warned_of_and_several_are_not(study):
    def prose(replicates):
        measured = [
            {"trial": 0, "replicate": r, "epoch": 1, "mrr": 0.3 + r / 100, "mse": 0.8}
            for r in range(replicates)
        ]
        return words(page(study([{"trial": 0}], measured))[1])

    assert "One seed per configuration" in prose(1)
    assert "differences under 0.02 in MRR (first hit) or MSE" in prose(1)
    assert "One seed per configuration" not in prose(2)
    assert "0.305 ± 0.007" in prose(2)


@pytest.mark.parametrize("other", [{"source": "synthetic"}, {"split": "leave-last"}])
def test_noise_has_numbers_only_for_the_measured_data(study, other):
    data = json.loads((study([], []) / "manifest.json").read_text())["data"] | other
    measured = [{"trial": 0, "replicate": 0, "epoch": 1, "mrr": 0.3, "mse": 0.8}]
    prose = words(page(study([{"trial": 0}], measured, data=data))[1])
    assert "One seed per configuration" in prose
    assert "MovieLens" not in prose
    assert "0.02" not in prose


def test_a_split_without_validation_says_so(four_cells):
    _, tree = page(four_cells())
    prose = words(tree)
    assert "no validation part" in prose
    assert "All numbers are on the test set." in prose
    assert "Claim 3.a holds; claim 3.b holds; claim 3.c holds" in prose
    assert "20 of 20 published values are reproduced" in prose
    assert "Hypervolume 0.00000 against the reference" in prose


def test_hostile_words_are_shown_not_obeyed(study):
    folder = study(
        [{"trial": 0, "reason": HOSTILE, "state": "failed", "lane": HOSTILE, "batch_size": HOSTILE},
         {"trial": 1, "batch_size": "full"}],
        [{"trial": t, "replicate": 0, "epoch": 1, "mrr": 0.3, "mse": 0.8} for t in (0, 1)],
        [{"trial": 1, "replicate": 0, "epoch": 1, "mrr": 0.3, "mse": 0.8}],
        test_opened=HOSTILE,
        confirmation={"replicates": 1, "reference": {"mrr": 0.3, "mrr_all": 0.1, "mse": 0.9}, "points": [
            {"trial": t, "epoch": 1, "why": HOSTILE, "state": HOSTILE} for t in (0, 1)]},
        name=HOSTILE, reason=HOSTILE, spec={HOSTILE: HOSTILE},
        environment={HOSTILE: HOSTILE},
        data={"source": HOSTILE, "split": HOSTILE, "sha256": HOSTILE, "users": 1, "items": 1, "train": 1,
              "validation": 1, "test": 1, "has_validation": True, "warnings": [HOSTILE]},
    )  # fmt: skip
    html, tree = page(folder)
    data, *_ = (json.loads(t.text) for t in tree.iter("script") if t.get("type") == "application/json")
    assert HOSTILE in dict(data[0]["facts"]).values()
    assert runnable(tree) == [OURS]
    assert words(tree).count("<script>alert('x')</script>") >= 12
    assert "\x1b" not in html


def test_no_trial_at_all(study):
    prose = words(page(study([], []))[1])
    assert "No trial has been recorded" in prose
    assert "There is no point to compare." in prose
    assert "No trial has begun." in prose
    assert "Every trial completed" not in prose


def test_running_trial_is_listed_as_not_completed(study):
    prose = words(page(study([{"trial": 0, "state": "running", "reason": None}], []))[1])
    assert "Trials that did not complete" in prose
    assert "Every trial completed" not in prose


def test_a_reason_is_shown_whole(study):
    """Reasons that differ only in numbers share a row; no text after a colon or semicolon is cut."""
    reasons = {
        "stopped": [
            "54 epochs: rank 2 of 3; no objective improved since epoch 33",
            "54 epochs: rank 4 of 5; no objective improved since epoch 40",
            "27 epochs: rank 4 of 5; no objective improved since epoch 9",
        ],
        "failed": ["its training raised an error, failure 3 of 3: CUDA error: a (b); # 7"],
    }
    trials = [
        {"trial": n, "state": state, "reason": reason}
        for n, (state, reason) in enumerate((state, each) for state in reasons for each in reasons[state])
    ]
    measured = [
        {"trial": t["trial"], "replicate": 0, "epoch": int(t["reason"][:2]), "mrr": 0.3, "mse": 0.8}
        for t in trials[:3]
    ]
    (cost,) = (s for s in read(study(trials, measured)).sections if s.name == "cost")
    (ended,) = (b for b in cost.blocks if getattr(b, "caption", "") == "How trials ended")
    assert {tuple(row)[1:3] for row in ended.rows} == {
        ("54 epochs: rank 2–4 of 3–5; no objective improved since epoch 33–40", "2"),
        ("27 epochs: rank 4 of 5; no objective improved since epoch 9", "1"),
        ("its training raised an error, failure 3 of 3: CUDA error: a (b); # 7", "1"),
    }


STAGES = [
    {"stage": "search", "configurations": 6, "member_epochs": 351, "wall_s": 70.2, "trained_s": 35.1},
    {"stage": "confirm", "configurations": 3, "member_epochs": 258, "wall_s": 25.8, "trained_s": 12.9},
]


def test_search_and_confirmation_have_epochs_time_and_rate_of_their_own(study):
    folder = study([{"trial": 0}], [], stages=STAGES, member_epochs=351, wall_s=96.0)
    report = read(folder)
    prose = words(ElementTree.fromstring(report.html()))
    assert "1 min 36 s of wall time for 351 member-epochs of the search and 258 member-epochs of the" in prose
    assert "the search 6 351 1 min 10 s 5.0 35.1 s 10.0" in prose
    assert "the confirmation 3 258 25.8 s 10.0 12.9 s 20.0" in prose
    assert "| the confirmation | 3 | 258 | 25.8 s | 10.0 | 12.9 s | 20.0 |" in report.markdown()
    numbers = json.loads(report.json())["sections"]["cost"]["numbers"]
    assert (numbers["search member_epochs"], numbers["confirm member_epochs"]) == (351, 258)
    assert (numbers["search wall_s"], numbers["confirm wall_s"], numbers["wall_s"]) == (70.2, 25.8, 96.0)


def test_a_manifest_without_stages_gives_no_rate(study):
    """One of an earlier version: its time is that of both stages, its epochs are the search's."""
    folder = study(
        [{"trial": 0}], [], member_epochs=351, wall_s=96.0, test_opened="2025-02-03T04:05:06+00:00"
    )
    prose = words(page(folder)[1])
    assert "351 member-epochs of the search, including the time of the confirmation" in prose
    assert "per second" not in prose


def test_all_failed(study):
    failed = {"state": "failed", "reason": "loss is not finite at epoch 2", "weight": None, "sharing": None}
    prose = words(page(study([{"trial": t, **failed} for t in range(3)], []))[1])
    assert "None of the 3 trials gave a point" in prose
    assert prose.count("loss is not finite at epoch 2") == 3


def test_one_point(study):
    measured = [{"trial": 0, "replicate": 0, "epoch": 7, "mrr": 0.3, "mse": 0.8}]
    prose = words(page(study([{"trial": 0}], measured))[1])
    assert "The front has 1 of 1 evaluated point (1 configuration)" in prose
    assert "Yes: 1 of 1 point" in prose


def test_a_front_below_the_trivial_models_is_called_so(study):
    measured = [{"trial": 0, "replicate": 0, "epoch": 7, "mrr": 0.2, "mse": 1.2}]
    assert "No: none of the 1 point is better than the reference" in words(
        page(study([{"trial": 0}], measured))[1]
    )


def test_stopped_trials_are_listed_with_their_reasons(search):
    path = search / "tables" / "trials.parquet"
    trials = pd.read_parquet(path)
    for trial in (3, 4):
        values = "stopped", f"rung 1 epochs: rank {trial} of 9, places 3", 1
        trials.loc[trial, ["state", "reason", "epochs"]] = values
    trials.to_parquet(path)
    prose = words(page(search)[1])
    assert "rung 1 epochs: rank 3 of 9, places 3" in prose
    assert "2 of 12 trials stopped before their last epoch." in prose
    assert "stopped rung 1 epochs: rank 3–4 of 9, places 3 2 1 2" in prose
    assert "completed trained to its end 10 3 30" in prose


def test_share_of_full_training_counts_member_epochs(search):
    """12 trials of 3 epochs, one of them stopped after 1: 34 of 36 epochs, twice for two replicates."""
    path = search / "tables" / "trials.parquet"
    trials = pd.read_parquet(path)
    trials.loc[3, ["state", "epochs"]] = ["stopped", 1]
    trials.to_parquet(path)
    manifest = json.loads((search / "manifest.json").read_text()) | {"member_epochs": 68}
    (search / "manifest.json").write_text(json.dumps(manifest))
    prose = words(page(search)[1])
    assert "Training all trials fully takes 72 member-epochs; 94 % of that was spent." in prose


def test_page_says_when_the_test_set_was_opened(search):
    path = search / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"test_opened": "2025-02-03T04:05:06+00:00"}))
    assert "The test set was opened 2025-02-03T04:05:06+00:00" in words(page(search)[1])


def test_an_unfit_study_leaves_nothing_behind(search):
    (search / "tables" / "points.parquet").unlink()
    with pytest.raises(AnalysisError):
        read(search).save(search / "report", Path.write_bytes)
    assert not (search / "report").exists()
