"""The pages in a real Chromium: read, watched while a study runs, and used by keyboard."""

from contextlib import ExitStack, closing
from itertools import pairwise

import pytest
from browser import LOOKS, axe, browser
from command import until
from serving import done, driven, served

from study.record.reader import Reader
from study.service import pages, serialize
from study.service.cache import StudyCache
from study.service.serialize import growth
from study.service.submission import add_study
from study.service.tokens import Tokens
from study.spec import StudySpec
from study.status.snapshot import snapshot

pytestmark = pytest.mark.browser

CUT = """() => {
  const wide = document.documentElement.clientWidth, cut = [];
  if (document.documentElement.scrollWidth > wide) cut.push(`page: ${document.documentElement.scrollWidth}`);
  for (const element of document.querySelectorAll("h1, h2, p, a, button, dd, figcaption, summary, canvas")) {
    const box = element.getBoundingClientRect();
    if (!element.closest(".wide, .skip, pre") && (box.right > wide + 1 || box.left < -1) && box.width > 1)
      cut.push(element.outerHTML.slice(0, 200));
  }
  return cut;
}"""
"""The elements of a page that extend beyond the window."""

INK = """() => [...document.querySelectorAll("canvas")].map((canvas) => {
  if (!canvas.width) return 0;
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size;
})"""
"""Colours on each chart."""


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A complete study, and one that runs and has trials that a rule stopped."""
    home = tmp_path_factory.mktemp("pages") / "studies"
    done(home, "done", "budget.trials=12")
    searched = ("space.learning_rate={log=[1e-3, 1e-2]}", "space.weight_decay={log=[1e-3, 1e-1]}")
    done(home, "decayed", "budget.trials=6", "space.dim=[8, 16]", *searched)
    rule = ("stopping.rule=pareto-asha", "stopping.min_epochs=2", "train.epochs=12", "budget.trials=40")
    running = driven(home, "running", *rule, "space.learning_rate={log=[5e-4, 4e-3]}")
    while len(running.ledger.records()) < 14:
        running.step()
    return home


@pytest.fixture
def serve():
    """Serves a folder until the test has ended and its pages are closed."""
    with ExitStack() as stack:
        yield lambda home: stack.enter_context(served(home)).url


@pytest.fixture
def opened(chromium, serve):
    """Opens a page as a reader does; a complaint of the console fails the test."""
    contexts, messages = [], []

    def made(url, *, width=1280, scheme="light", scripts=True, cookies=(), before=""):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        contexts.append(context)
        context.add_cookies(list(cookies))
        context.add_init_script(before)
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.goto(url)
        return page

    yield made
    for context in contexts:
        context.close()
    assert messages == []


def serious(page):
    """The accessibility violations that axe-core finds, with their elements."""
    found = page.evaluate(f"async () => {{ {axe()}; return (await axe.run()).violations; }}")
    return [
        (fault["id"], [node["html"][:200] for node in fault["nodes"]])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_pages_are_accessible(home, serve, opened, width, scheme):
    url = serve(home)
    for name, path in {"list": "/studies", "done": "/studies/done", "running": "/studies/running"}.items():
        page = opened(url + path, width=width, scheme=scheme)
        if name != "list":
            until(lambda page=page: min(page.evaluate(INK), default=0) > 3, "both charts")
        assert page.evaluate(CUT) == []
        assert serious(page) == []


def test_empty_pages_say_so_and_draw_nothing(tmp_path, serve, opened):
    """An empty chart would say something that is not so."""
    home = tmp_path / "studies"
    page = opened(serve(home), width=390, scheme="dark")
    assert "There are no studies yet" in page.locator("main").inner_text()
    assert (page.evaluate(CUT), serious(page)) == ([], [])
    failed = driven(home, "failed")
    failed.ledger.release(failed.run, "failed: lanes: no node has 4 GPUs")
    add_study(StudyCache(home), StudySpec.preset("smoke", ["name=waits"]))
    url = serve(home)
    for name, reason in {"failed": "lanes: no node has 4 GPUs", "waits": "first run has not started"}.items():
        page = opened(f"{url}/studies/{name}", width=390, scheme="dark")
        until(lambda page=page, name=name: name in page.get_by_role("status").inner_text(), "its events")
        assert reason in page.locator("#standing").inner_text()
        assert page.locator("canvas:visible").count() == 0
        assert (page.evaluate(CUT), serious(page)) == ([], [])


def test_an_open_list_is_updated(tmp_path, serve, opened, monkeypatch):
    monkeypatch.setattr(pages, "REFRESH_S", 1)
    home = tmp_path / "studies"
    study = driven(home, "live", "budget.trials=2")
    page = opened(f"{serve(home)}/studies")
    assert "running" in page.locator("tbody").inner_text()
    study.finish()
    until(lambda: "complete" in page.locator("tbody").inner_text(), "its end in the list")


def test_a_page_says_the_same_without_scripts(home, serve, opened):
    url = serve(home)
    page = opened(f"{url}/studies/done", scripts=False)
    plain = page.locator("[data-live]").all_inner_texts()
    lively = opened(f"{url}/studies/done").locator("[data-live]").all_inner_texts()
    assert plain == lively
    rows = page.locator("#trials tbody tr")
    assert rows.count() == 12
    assert "trained its 4 epochs" in rows.first.inner_text()
    assert page.locator("#front tbody tr").count() >= 1


WRITTEN = """() => {
  const write = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (words, ...where) {
    (this.canvas.written ??= []).push(String(words));
    return write.call(this, words, ...where);
  };
  const clear = CanvasRenderingContext2D.prototype.clearRect;
  CanvasRenderingContext2D.prototype.clearRect = function (...where) {
    this.canvas.written = [];
    return clear.call(this, ...where);
  };
}"""
"""Makes a canvas remember the words on it."""

TICKS = """() => {
  const canvases = [...document.querySelectorAll("#growth-chart canvas")];
  const labels = canvases.flatMap((canvas) => canvas.written ?? []);
  return labels.slice(labels.lastIndexOf("hypervolume") + 1);
}"""
"""The ticks of the hypervolume's axis: an axis is drawn with its name first, the upright one last."""


@pytest.mark.parametrize("scale", [12.0, 0.0014, 3e-5])
def test_no_two_ticks_of_the_hypervolume_look_alike(home, serve, opened, monkeypatch, scale):
    def scaled(seen, records):
        steps = growth(seen, records)
        return [
            step.model_copy(update={"hypervolume": scale * (n + 1) / len(steps)})
            for n, step in enumerate(steps)
        ]

    monkeypatch.setattr(serialize, "growth", scaled)
    page = opened(f"{serve(home)}/studies/done", before=f"({WRITTEN})()")
    until(lambda: page.evaluate(INK)[1] > 3 and page.evaluate(TICKS), "the chart")
    ticks = page.evaluate(TICKS)
    assert len(ticks) == len(set(ticks)) > 3, ticks
    values = [float(tick) for tick in ticks]
    assert scale < values[-1] + values[1] < 1.5 * scale
    steps = {round((b - a) / (values[1] - values[0]), 6) for a, b in pairwise(values)}
    assert steps == {1.0}


def test_tables_show_every_searched_value_and_both_objectives(home, serve, opened):
    page = opened(f"{serve(home)}/studies/decayed")
    heads = page.locator("#front thead th").all_inner_texts()
    assert heads == ["Trial", "Epoch", "λ", "Sharing", "Learning rate", "Weight decay", "Dim", "mrr", "mse"]
    with closing(Reader.read(home / "decayed")) as record:
        best = snapshot(record)
        records = {r.trial: r for r in record.records()}
        points = {(p.trial, p.epoch): p for p in record.points()}
    first, point = page.locator("#front tbody tr").first, best.front.points[0]
    config = best.configs[point.trial]
    cells = first.locator("td").all_inner_texts()
    assert cells[3:] == [
        f"{config.learning_rate:.2g}",
        f"{config.weight_decay:.2g}",
        str(config.dim),
        f"{point.mrr:.4f}",
        f"{point.mse:.4f}",
    ]
    heads = page.locator("#trials thead th").all_inner_texts()
    mrr, mse = heads.index("mrr"), heads.index("mse")
    for row in page.locator("#trials tbody tr").all():
        cells = row.locator("th, td").all_inner_texts()
        record = records[int(cells[0])]
        stands = points[record.trial, record.epoch]
        assert [cells[mrr], cells[mse]] == [f"{stands.mrr:.4f}", f"{stands.mse:.4f}"]


def test_an_open_page_is_updated(tmp_path, serve, opened):
    home = tmp_path / "studies"
    study = driven(home, "live", "budget.trials=6")
    study.step()
    page = opened(f"{serve(home)}/studies/live")
    assert page.title() == "live: running"
    page.get_by_role("button", name="Stop").focus()
    while len(study.ledger.records()) < 5:
        study.step()
    until(lambda: page.locator("#trials tbody tr").count() >= 5, "its trials")
    assert page.evaluate("document.activeElement.textContent") == "Stop"
    study.finish()
    until(lambda: page.title() == "live: complete", "its end")
    assert "6 completed" in page.locator("#standing").inner_text()
    assert page.get_by_role("status").inner_text() == "live: complete"
    assert page.get_by_role("button", name="Stop").count() == 0


def test_signing_in_and_using_it_by_keyboard(tmp_path, serve, opened):
    home = tmp_path / "studies"
    study = driven(home, "live", "budget.trials=6")
    study.step()
    token = Tokens(home).create("write")
    url = serve(home)
    page = opened(f"{url}/sign-in")
    page.get_by_label("Token").focus()
    page.keyboard.type(token)
    page.keyboard.press("Enter")
    page.wait_for_url("**/studies")
    assert serious(page) == []
    page.goto(f"{url}/studies/live")
    page.get_by_role("button", name="Stop").focus()
    page.keyboard.press("Enter")
    until(lambda: study.ledger.stop_requested(study.run), "the wish to stop")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    assert page.context.cookies() == []


def test_names_and_reasons_are_text_and_never_markup(tmp_path, serve, opened):
    """A reason may be the text of an exception; a page shows it literally."""
    home = tmp_path / "studies"
    study = driven(home, "live", "budget.trials=6")
    study.step()
    reason = "failed: <img src=x onerror=alert(1)> </td>{{ 7 * 7 }}"
    study.ledger.release(study.run, reason)
    url = serve(home)
    for path in ("/studies", "/studies/live"):
        page = opened(url + path)
        assert reason.removeprefix("failed: ") in page.locator("main").inner_text()
        assert page.locator("img").count() == 0
