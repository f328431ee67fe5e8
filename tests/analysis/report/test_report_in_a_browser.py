"""The page in a real Chromium, from disk and without a network: read, operated, and printed."""

import json
from pathlib import Path

import pytest
from browser import LOOKS, axe, browser

from analysis.report import read

pytestmark = pytest.mark.browser

WIDTHS = (1280, 390)

CUT = """() => {
  const cut = [];
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) cut.push(`page: ${document.documentElement.scrollWidth}`);
  const words = "h1, h2, p, a, td, th, figcaption, summary, caption, code, dd";
  for (const element of document.querySelectorAll(words)) {
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    const scrolled = element.closest(".wide, pre, nav");
    if (style.overflow === "hidden" && element.scrollWidth > element.clientWidth) cut.push(element.outerHTML);
    if (!scrolled && (box.right > wide + 1 || box.left < -1)) cut.push(element.outerHTML.slice(0, 200));
  }
  for (const box of document.querySelectorAll(".wide, pre, nav")) {
    const over = box.scrollWidth > box.clientWidth + 1;
    if (over && getComputedStyle(box).overflowX !== "auto") cut.push(box.outerHTML.slice(0, 200));
  }
  return cut;
}"""
"""Unreadable parts of a page: beyond the window, or cut off by a box that does not scroll."""

HIDDEN = """() => {
  const wide = document.documentElement.clientWidth, hidden = [];
  const seen = (element, what) => {
    const box = element.getBoundingClientRect();
    const out = box.width === 0 || box.left < -1 || box.right > wide + 1;
    if (out) hidden.push(`${what}: ${element.outerHTML.slice(0, 99)}`);
  };
  for (const key of document.querySelectorAll(".key")) {
    seen(key, "legend");
    const ink = key.querySelector("use").getBoundingClientRect();
    if (ink.width === 0) hidden.push(`an empty legend: ${key.outerHTML}`);
  }
  for (const plot of document.querySelectorAll("figure.beside .plot")) seen(plot, "plot");
  for (const table of document.querySelectorAll("#front table, #confirmed table.values")) {
    const names = [...table.querySelectorAll("th")];
    for (const name of names) if (/^(MRR|MSE)/.test(name.textContent)) seen(name, "column");
  }
  return hidden;
}"""
"""Objectives' columns, legends and the plots beside them that lie out of sight."""

BEYOND = """() => [...document.querySelectorAll(".plate, table, pre")]
  .filter((box) => Math.max(box.getBoundingClientRect().right, box.scrollWidth) > innerWidth + 1)
  .map((box) => box.outerHTML.slice(0, 99))"""
"""Elements that do not fit on paper."""


@pytest.fixture(scope="module")
def chromium():
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def axe_source():
    return axe()


@pytest.fixture
def opened(chromium):
    """Opens a page as a reader has it; whatever the console says ends the test."""
    contexts, messages = [], []

    def made(file, *, width=1280, scheme="light", scripts=True):
        context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts,
            offline=True,
        )  # fmt: skip
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: messages.append(message.text))
        page.on("pageerror", lambda error: messages.append(str(error)))
        page.on("requestfailed", lambda request: messages.append(request.url))
        page.goto(file.as_uri())
        return page

    yield made
    for context in contexts:
        context.close()
    assert messages == []


def serious(page, source):
    """Serious faults that axe-core finds, with their elements."""
    # as an extension would: the page's own policy lets no further script run
    found = page.evaluate(f"async () => {{ {source}; return (await axe.run()).violations; }}")
    return [
        (fault["id"], [node["html"][:200] for node in fault["nodes"]])
        for fault in found
        if fault["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_a_page_can_be_read_by_everybody(confirmed_page, opened, axe_source, width, scheme):
    page = opened(confirmed_page, width=width, scheme=scheme)
    assert page.evaluate(CUT) == []
    assert serious(page, axe_source) == []
    page.evaluate("document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
    assert page.evaluate(CUT) == []
    assert serious(page, axe_source) == []


def test_phone_shows_objectives_and_legends(confirmed_page, page_of_several, opened):
    """The MSE column and the legends are visible without scrolling sideways."""
    for file, legends in ((confirmed_page, 5), (page_of_several, 3)):
        page = opened(file, width=390)
        page.evaluate("document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
        assert page.evaluate(HIDDEN) == []
        assert page.locator(".key:visible").count() >= legends
        page.set_viewport_size({"width": 1280, "height": 900})
        assert page.locator(".key:visible").count() == 0


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_several_studies_can_be_read_on_one_page(page_of_several, opened, axe_source, width, scheme):
    page = opened(page_of_several, width=width, scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((folded) => { folded.open = true; })")
    assert page.evaluate(CUT) == []
    assert serious(page, axe_source) == []


def test_accessibility_faults_are_found(confirmed_page, opened, axe_source):
    page = opened(confirmed_page, width=390)
    page.evaluate(
        """() => {
        const add = (tag) => document.querySelector("main").appendChild(document.createElement(tag));
        const faint = add("p"), wide = add("p");
        faint.textContent = "faint"; faint.style.color = "#cccccc";
        wide.textContent = "wide"; wide.style.width = "60rem"; wide.style.maxWidth = "none";
        add("button");
        }"""
    )
    assert {fault for fault, _ in serious(page, axe_source)} == {"color-contrast", "button-name"}
    assert len(page.evaluate(CUT)) == 2


def test_a_page_without_points_can_be_read(study, opened, axe_source):
    folder = study([], [])
    page = opened(read(folder).save(folder / "report", Path.write_bytes), width=390)
    assert page.evaluate(CUT) == []
    assert serious(page, axe_source) == []


def test_points_tell_more_by_pointer_and_by_keyboard(confirmed_page, opened):
    page = opened(confirmed_page)
    figure = page.locator("figure", has=page.locator("a[href='front.svg']"))
    card, buttons = figure.locator(".card"), figure.locator(".spots button")
    spots = json.loads(figure.locator("script.spots").text_content())
    assert buttons.count() == len(spots)

    buttons.nth(1).hover()
    assert spots[1]["command"] in card.inner_text()
    assert spots[1]["title"] in card.inner_text()

    buttons.first.focus()
    assert spots[0]["title"] in card.inner_text()
    page.keyboard.press("End")
    assert spots[-1]["title"] in card.inner_text()
    page.keyboard.press("ArrowLeft")
    assert spots[-2]["title"] in card.inner_text()
    assert [button.get_attribute("tabindex") for button in buttons.all()].count("0") == 1


@pytest.mark.parametrize("width", WIDTHS)
def test_spots_lie_on_the_marks(confirmed_page, opened, width):
    """The first and the last point of the front, against where the page's SVG has their staircase's axes."""
    page = opened(confirmed_page, width=width)
    figure = page.locator("figure", has=page.locator("a[href='front.svg']"))
    box = figure.locator(".plate svg").bounding_box()
    spots = json.loads(figure.locator("script.spots").text_content())
    for button, spot in zip(figure.locator(".spots button").all(), spots, strict=True):
        at = button.bounding_box()
        assert at["x"] + at["width"] / 2 == pytest.approx(box["x"] + spot["x"] * box["width"], abs=1)
        assert at["y"] + at["height"] / 2 == pytest.approx(box["y"] + spot["y"] * box["height"], abs=1)


def test_the_page_is_complete_without_scripts(confirmed_page, opened):
    with_scripts = opened(confirmed_page).locator("main section").all_inner_texts()
    page = opened(confirmed_page, scripts=False)
    without = page.locator("main section").all_inner_texts()
    assert len(with_scripts) == len(without)
    hint = "Point at a mark"
    assert not any(hint in text for text in without)
    for one, other in zip(with_scripts, without, strict=True):
        kept = "\n".join(line for line in one.splitlines() if hint not in line)
        assert kept.split() == other.split()


def test_on_paper_a_page_is_white_and_nothing_is_cut(confirmed_page, opened, tmp_path):
    page = opened(confirmed_page, scheme="dark", width=688)  # A4 less the margins
    page.emulate_media(media="print", color_scheme="dark")
    wide = page.evaluate(BEYOND)
    assert wide == []
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == "rgb(255, 255, 255)"
    made = page.pdf(path=tmp_path / "report.pdf", format="A4")
    assert made.startswith(b"%PDF")


def test_a_table_is_sorted_by_its_headings(confirmed_page, opened):
    """By value, not by text; a third press restores the order."""
    page = opened(confirmed_page)
    table = page.locator("#confirmed table", has_text="P(knee)").first
    heading = table.get_by_role("button", name="MSE")

    def column():
        return [float(cell.split()[0]) for cell in table.locator("tbody td:nth-child(6)").all_inner_texts()]

    before = column()
    heading.click()
    assert column() == sorted(before)
    heading.focus()
    page.keyboard.press("Enter")
    assert column() == sorted(before, reverse=True)
    assert table.locator("th[aria-sort]").get_attribute("aria-sort") == "descending"
    heading.click()
    assert column() == before
    assert table.locator("th[aria-sort]").count() == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_the_contents_stay_in_sight_and_mark_the_section(confirmed_page, opened, width):
    page = opened(confirmed_page, width=width)
    page.locator("nav a", has_text="Can I trust the front?").click()
    page.wait_for_selector("nav a[aria-current]:text('Can I trust the front?')")
    link = page.locator("nav a[aria-current]").bounding_box()
    heading = page.locator("#confirmed h2").bounding_box()
    nav = page.locator("nav").bounding_box()
    assert 0 <= link["x"] <= width - 20
    assert 0 <= link["y"] <= 900
    hidden = nav["y"] + nav["height"] if width < 1000 else 0
    assert heading["y"] >= hidden - 1, "the browser scrolls to whole pixels"


@pytest.mark.parametrize("width", WIDTHS)
def test_a_front_is_magnified_within_its_frame(confirmed_page, opened, width):
    """Marks keep their size and their tooltips; the page does not grow wider."""
    page = opened(confirmed_page, width=width)
    figure = page.locator("figure", has=page.locator("a[href='front.svg']"))
    closer, farther = (figure.get_by_role("button", name=f"Zoom {way}") for way in ("in", "out"))
    spot, view, plate = (
        figure.locator(".spots button").first,
        figure.locator(".wide"),
        figure.locator(".plate"),
    )
    frame, wide = view.bounding_box(), plate.bounding_box()["width"]

    def marks():
        """Widths of all marks, and the distance of the nearest one from the first spot, in pixels."""
        return figure.evaluate(
            """(figure) => {
              const middle = (box) => [box.x + box.width / 2, box.y + box.height / 2];
              const at = middle(figure.querySelector(".spots button").getBoundingClientRect());
              const boxes = [...figure.querySelectorAll(".mark")].map((mark) => mark.getBoundingClientRect());
              const away = (box) => Math.hypot(middle(box)[0] - at[0], middle(box)[1] - at[1]);
              return [Math.max(...boxes.map((box) => box.width)), Math.min(...boxes.map(away))];
            }"""
        )

    size, away = marks()
    assert away == pytest.approx(0, abs=1.5)
    assert farther.is_disabled()
    closer.click()
    closer.click()
    assert plate.bounding_box()["width"] == pytest.approx(4 * wide, rel=0.02)
    assert view.bounding_box()["height"] == pytest.approx(frame["height"], abs=2)
    assert marks() == pytest.approx([size, 0], rel=0.1, abs=1.5)
    assert page.evaluate(CUT) == []
    spot.focus()
    assert "Trial" in figure.locator(".card").inner_text()
    farther.click()
    farther.click()
    assert plate.bounding_box()["width"] == pytest.approx(wide, abs=1)
    assert farther.is_disabled()
