// Replaces the live parts of a page by newly fetched ones.
"use strict";
const living = (() => {
  const same = (one, other) => one.tagName === other.tagName &&
    (one.ariaLabel ? one.ariaLabel === other.ariaLabel : one.textContent === other.textContent);
  const reachable = (box) => [...box.querySelectorAll("a, button, [tabindex]")];
  const replace = (fresh) => {
    for (const old of document.querySelectorAll("[data-live]")) {
      const made = fresh.getElementById(old.id);
      if (!made || made.innerHTML === old.innerHTML) continue;
      const had = reachable(old).find((element) => element === document.activeElement);
      const scrolled = [...old.querySelectorAll(".wide")].map((box) => box.scrollLeft);
      old.replaceChildren(...made.childNodes);
      old.querySelectorAll(".wide").forEach((box, at) => { box.scrollLeft = scrolled[at] ?? 0; });
      if (had) reachable(old).find((element) => same(element, had))?.focus({ preventScroll: true });
    }
    document.title = fresh.title;
  };
  const refresh = async (page) => {
    try {
      const answer = await fetch(page, { headers: { Accept: "text/html" } });
      if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch { /* the service is away; the next call tries again */ }
  };
  return { refresh };
})();

// A page without events fetches itself at intervals, while it is visible.
addEventListener("DOMContentLoaded", () => {
  const every = Number(document.querySelector("[data-every]")?.dataset.every);
  if (every) setInterval(() => { if (!document.hidden) living.refresh(location.href); }, 1000 * every);
});
