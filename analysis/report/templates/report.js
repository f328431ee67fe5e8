// Tooltips of a figure's points. Without this script the page still contains all of their content.
for (const data of document.querySelectorAll("script.spots")) {
  const spots = JSON.parse(data.textContent);
  const card = data.closest("figure").querySelector(".card");
  const element = (tag, parent, text) => {
    const made = parent.appendChild(document.createElement(tag));
    made.textContent = text;
    return made;
  };

  const show = (spot) => {
    card.textContent = "";
    element("strong", card, spot.title);
    const facts = element("dl", card, "");
    for (const [name, value] of spot.facts) {
      const pair = element("div", facts, "");
      element("dt", pair, name);
      element("dd", pair, value);
    }
    if (spot.command) element("code", card, spot.command);
  };

  const group = element("div", data.parentElement, "");
  group.className = "spots";
  group.setAttribute("role", "group");
  group.setAttribute("aria-label", "Points of the figure; the arrow keys move along them");
  const buttons = spots.map((spot, at) => {
    const button = element("button", group, "");
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
