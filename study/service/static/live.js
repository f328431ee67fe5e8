// Updates a study's page from its events. Without this script, reloading the page shows the same.
"use strict";
(() => {
  const root = document.getElementById("study");
  const goals = [root.dataset.x, root.dataset.y];
  const points = [[], []];
  let latest = null;

  // --- charts ------------------------------------------------------------------------------------------

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const size = (box) => ({ width: box.clientWidth, height: box.clientHeight });
  const stepped = (align) => uPlot.paths.stepped({ align });
  const dots = { paths: () => null, points: { show: true, size: 5 } };
  // As many decimals as the step between two ticks needs; with fewer, neighbours could look alike.
  const decimals = (step) => {
    let places = 0;
    while (places < 12 && Math.abs(Number(step.toFixed(places)) - step) > step / 1000) places += 1;
    return places;
  };
  const ticks = (_, splits, axis, space, step) => splits.map((value) => value.toFixed(decimals(step)));
  const axis = (label) => ({
    label, stroke: colour("muted"), grid: { stroke: colour("rule"), width: 1 }, ticks: { stroke: colour("rule") },
    font: "12px system-ui", labelFont: "12px system-ui", labelSize: 18, values: ticks,
    size: (_, values) => 22 + 7 * most((values ?? []).map((value) => value.length).concat(4)),
  });
  const chart = (box, xLabel, yLabel, series, x, y) => new uPlot({
    ...size(box), legend: { show: false }, cursor: { show: false },
    scales: { x: { time: false, range: x }, y: { range: y } },
    axes: [{ ...axis(xLabel), size: 34 }, axis(yLabel)], series: [{}, ...series],
  }, null, box);

  // uPlot needs one sorted row of x for all series; a series without a value at an x has undefined there.
  const joined = (...series) => {
    const rows = series.flatMap(([xs, ys], at) => xs.map((x, i) => [x, ys[i], at])).sort((a, b) => a[0] - b[0]);
    return [rows.map(([x]) => x), ...series.map((_, at) => rows.map(([, y, of]) => (of === at ? y : undefined)))];
  };

  // Models in their first epochs may be far off, so the view covers the front and the trivial models.
  let view = null;
  const around = (all) => {
    const [low, high] = [least(all), most(all)], room = 0.2 * (high - low || Math.abs(high) || 1);
    return [low - room, high + room];
  };
  const inside = (value, axis) => !view || (view[axis][0] <= value && value <= view[axis][1]);
  const least = (all) => all.reduce((one, other) => Math.min(one, other));
  const most = (all) => all.reduce((one, other) => Math.max(one, other));

  // Hide charts without data: an empty chart would be misleading.
  const shown = (id, some) => { document.getElementById(id).parentElement.hidden = !some; };

  let charts = null;
  const drawn = () => {
    if (charts) for (const made of charts) made.destroy();
    const line = { stroke: colour("accent"), width: 2, spanGaps: true };
    const dashes = { stroke: colour("muted"), dash: [5, 5], width: 1, spanGaps: true, points: { show: false } };
    charts = [
      chart(document.getElementById("front-chart"), root.dataset.xLabel, root.dataset.yLabel, [
        { ...dots, stroke: colour("dot"), points: { ...dots.points, fill: colour("dot"), stroke: colour("dot") } },
        { ...line, paths: stepped(Number(root.dataset.step)), points: { show: true, size: 7, fill: colour("accent"), stroke: colour("paper") } },
        dashes, dashes,
      ], ...[0, 1].map((axis) => (_, low, high) => view?.[axis] ?? [low ?? 0, high ?? 1])),
      chart(document.getElementById("growth-chart"), "seconds", "hypervolume", [
        { ...line, paths: stepped(1), points: { show: false } },
      ], (_, low, high) => [0, high || 1], (_, low, high) => [0, 1.05 * high || 1]),
    ];
    update();
  };

  const update = () => {
    if (!charts || !latest) return;
    shown("front-chart", latest.front.length || points[0].length);
    shown("growth-chart", latest.growth.length);
    const front = goals.map((name) => latest.front.map((point) => point[name]));
    const across = [[], []], up = [[], []];
    if (latest.reference) {
      const [x, y] = goals.map((name) => latest.reference[name]);
      view = [[...front[0], x], [...front[1], y]].map(around);
      across[0] = view[0], across[1] = [y, y];
      up[0] = [x, x], up[1] = view[1];
    }
    const seen = points[0].map((x, at) => at).filter((at) => inside(points[0][at], 0) && inside(points[1][at], 1));
    charts[0].setData(joined(points.map((all) => seen.map((at) => all[at])), front, across, up));
    charts[1].setData([[0, ...latest.growth.map((step) => step.at_s)], [0, ...latest.growth.map((step) => step.hypervolume)]]);
  };

  // --- text --------------------------------------------------------------------------------------------

  // Only the service writes the text of a page, so that it also works without scripts: fetch it.
  let fetching = false, again = false;
  const refresh = async () => {
    if (fetching) { again = true; return; }
    fetching = true;
    await living.refresh(root.dataset.page);
    setTimeout(() => { fetching = false; if (again) { again = false; refresh(); } }, 1500);
  };
  const say = (state) => {
    const box = document.getElementById("said"), words = `${state.name}: ${state.state}`;
    if (box.textContent !== words) box.textContent = words;
  };

  // --- events ------------------------------------------------------------------------------------------

  const events = new EventSource(root.dataset.events); // it reconnects by itself, with the last id
  events.addEventListener("news", ({ data }) => {
    for (const point of JSON.parse(data).points) goals.forEach((name, at) => points[at].push(point[name]));
  });
  events.addEventListener("study", ({ data }) => {
    latest = JSON.parse(data);
    say(latest.summary);
    update();
    refresh();
  });
  addEventListener("pagehide", () => events.close());

  document.getElementById("charts").hidden = false;
  drawn();
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawn);
  new ResizeObserver(() => {
    for (const made of charts) made.setSize(size(made.root.parentElement));
  }).observe(document.getElementById("charts"));
})();
