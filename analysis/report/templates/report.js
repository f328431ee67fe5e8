// Sortable tables, the current section in the contents, zoom and tooltips of figures. Without this script the
// page still contains all of their content.
"use strict";

const made = (tag, parent, text) => {
  const element = parent.appendChild(document.createElement(tag));
  element.textContent = text;
  return element;
};

// A heading of a column becomes a button; cells without a number or a text stay last.
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (3 > body.rows.length) continue;
  const first = [...body.rows];
  for (const head of table.tHead.rows[0].cells) {
    const text = head.textContent;
    head.textContent = "";
    const button = made("button", head, text);
    button.type = "button";
    button.className = "sort";
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      const next = { ascending: "descending", descending: null }[was] ?? (was ? null : "ascending");
      if (next) head.setAttribute("aria-sort", next);
      body.append(...(next ? sorted(first, head, next === "ascending" ? 1 : -1) : first));
    });
  }
}

function sorted(rows, head, direction) {
  const value = (row) => {
    const cell = row.cells[head.cellIndex];
    if (cell.dataset.order !== undefined) return Number(cell.dataset.order);
    return head.classList.contains("number") || cell.textContent === "–" ? undefined : cell.textContent;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  const known = rows.filter((row) => value(row) !== undefined);
  known.sort((a, b) => direction * compare(value(a), value(b)));
  return [...known, ...rows.filter((row) => value(row) === undefined)];
}

// The section at the top of the window is marked in the contents.
const links = new Map();
for (const link of document.querySelectorAll("nav a")) links.set(link.hash.slice(1), link);
const seen = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      for (const link of links.values()) link.removeAttribute("aria-current");
      const link = links.get(entry.target.id);
      link.setAttribute("aria-current", "true");
      link.parentElement.scrollLeft = link.offsetLeft - link.parentElement.offsetLeft - 16;
    }
  },
  { rootMargin: "-15% 0px -80% 0px" },
);
for (const section of document.querySelectorAll("main section")) seen.observe(section);

// A figure that zooms is magnified within its own frame, which scrolls; marks keep their size.
for (const figure of document.querySelectorAll("figure.zooms")) {
  const view = figure.querySelector(".wide");
  const kinds = "g[id*=PathCollection] :is(use, path):not(defs *), g[id*=line2d] use";
  for (const mark of view.querySelectorAll(kinds)) {
    const box = mark.tagName === "use" ? { x: mark.x.baseVal.value, y: mark.y.baseVal.value } : mark.getBBox();
    mark.classList.add("mark");
    mark.style.transformOrigin = `${box.x + (box.width ?? 0) / 2}px ${box.y + (box.height ?? 0) / 2}px`;
  }
  const group = document.createElement("div");
  group.className = "zoom";
  let zoom = 1;
  const set = (to) => {
    const { clientWidth, clientHeight } = view;
    const centre = zoom === 1 ? middle() : [0, 0].map((_, i) => (i
      ? (view.scrollTop + clientHeight / 2) / view.scrollHeight
      : (view.scrollLeft + clientWidth / 2) / view.scrollWidth));
    view.style.height = to > 1 ? `${clientHeight}px` : "";
    view.style.setProperty("--zoom", to);
    figure.classList.toggle("zoomed", to > 1);
    zoom = to;
    view.scrollLeft = centre[0] * view.scrollWidth - clientWidth / 2;
    view.scrollTop = centre[1] * view.scrollHeight - clientHeight / 2;
    out.disabled = to === 1;
    closer.disabled = to === 8;
  };
  const middle = () => {
    const data = figure.querySelector("script.spots");
    const spots = data ? JSON.parse(data.textContent) : [];
    const mean = (name) => (spots.length ? spots.reduce((sum, spot) => sum + spot[name], 0) / spots.length : 0.5);
    return [mean("x"), mean("y")];
  };
  const button = (name, label, step) => {
    const one = made("button", group, "");
    one.type = "button";
    one.className = name;
    one.setAttribute("aria-label", label);
    one.addEventListener("click", () => set(Math.min(8, Math.max(1, zoom * step))));
    return one;
  };
  const closer = button("closer", "Zoom in", 2);
  const out = button("out", "Zoom out", 0.5);
  out.disabled = true;
  figure.prepend(group);
}

// Tooltips of a figure's points.
for (const data of document.querySelectorAll("script.spots")) {
  const spots = JSON.parse(data.textContent);
  const card = data.closest("figure").querySelector(".card");
  const show = (spot) => {
    card.textContent = "";
    made("strong", card, spot.title);
    const facts = made("dl", card, "");
    for (const [name, value] of spot.facts) {
      const pair = made("div", facts, "");
      made("dt", pair, name);
      made("dd", pair, value);
    }
    if (spot.command) made("code", card, spot.command);
  };

  const group = made("div", data.parentElement, "");
  group.className = "spots";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Points of the figure; the arrow keys move along them");
  const buttons = spots.map((spot, at) => {
    const button = made("button", group, "");
    button.type = "button";
    button.tabIndex = at === 0 ? 0 : -1;
    button.setAttribute("aria-label", spot.title);
    button.style.left = `${100 * spot.x}%`;
    button.style.top = `${100 * spot.y}%`;
    for (const event of ["focus", "pointerenter", "click"]) {
      button.addEventListener(event, () => show(spot));
    }
    return button;
  });

  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };
  group.addEventListener("keydown", (event) => {
    if (!(event.key in steps)) return;
    event.preventDefault();
    const from = buttons.indexOf(document.activeElement);
    const to = Math.max(0, Math.min(buttons.length - 1, from + steps[event.key]));
    buttons[from].tabIndex = -1;
    buttons[to].tabIndex = 0;
    buttons[to].focus();
  });
  card.hidden = false;
}
