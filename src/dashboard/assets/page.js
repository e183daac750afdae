"use strict";
// Fetches the page again and puts what has changed in its place; draws the last readings. Without it the page is complete,
// as of when it was loaded.
(() => {
  const REFRESH_MS = 2000;

  // What a person types or has opened stays as it is until they are done.
  function busy(element) {
    return element.contains(document.activeElement) && document.activeElement !== document.body;
  }

  function take(fresh) {
    for (const now of fresh.querySelectorAll("[data-shape]")) {
      const old = document.getElementById(now.id);
      if (old && old.dataset.shape !== now.dataset.shape && !busy(old)) {
        old.replaceWith(document.importNode(now, true));
      }
    }
    for (const now of fresh.querySelectorAll("[data-live]")) {
      const old = document.getElementById(now.id);
      if (!old || busy(old)) continue;
      if (old.innerHTML !== now.innerHTML) old.replaceChildren(...document.importNode(now, true).childNodes);
      old.className = now.className;
      old.hidden = now.hidden;
    }
  }

  async function refresh() {
    const here = new URL(location.href);
    const again = new URL("/", here);
    again.search = here.search;
    again.searchParams.set("again", "");
    // Whoever looks at a sensor goes on looking at it, whichever comes first now.
    const sensor = document.getElementById("plot")?.dataset.sensor;
    if (sensor) again.searchParams.set("sensor", sensor);
    const answer = await fetch(again, { headers: { accept: "text/html" } });
    if (!answer.ok || new URL(answer.url).pathname !== "/") throw new Error("the page is not to be had");
    take(new DOMParser().parseFromString(await answer.text(), "text/html"));
  }

  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  // The plot of one sensor: values over what was expected, and scores beneath.
  class Plot {
    constructor(element) {
      this.element = element;
      this.sensor = element.dataset.sensor;
      this.scored = "scored" in element.dataset;
      this.charts = [];
    }

    axes(unit) {
      const axis = { stroke: colour("--muted"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
      // UTC, as the words beside it.
      const times = (_, ticks, __, ___, step) =>
        ticks.map((tick) => new Date(tick * 1000).toISOString().slice(11, step < 1 ? 21 : step < 60 ? 19 : 16));
      return [{ ...axis, space: 70, values: times }, { ...axis, size: 56, label: unit, labelSize: 20 }];
    }

    build(series) {
      for (const chart of this.charts) chart.destroy();
      this.element.replaceChildren();
      const width = this.element.clientWidth;
      const cursor = { sync: { key: "readings" }, y: false, drag: { x: false, y: false } };
      const anomalies = {
        label: "Anomaly", stroke: colour("--bad"), paths: () => null,
        points: { show: true, size: 9, fill: colour("--bad"), stroke: colour("--card") },
      };
      const values = new uPlot({
        width, height: 240, padding: [12, 28, 0, 0], cursor, axes: this.axes(series.unit ?? " "),
        legend: { show: false },
        scales: { x: { time: true } },
        series: [
          {},
          { label: "Value", stroke: colour("--accent"), width: 1.5, points: { show: false } },
          ...(this.scored ? [
            { label: "Expected", stroke: colour("--band-edge"), points: { show: false } },
            { label: "to", stroke: colour("--band-edge"), points: { show: false } },
            anomalies,
          ] : []),
        ],
        bands: this.scored ? [{ series: [3, 2], fill: colour("--band") }] : [],
      }, this.values(series), this.element);
      this.charts = [values];
      if (this.scored) {
        this.charts.push(new uPlot({
          width, height: 140, padding: [12, 28, 0, 0], cursor, axes: this.axes("score"),
          legend: { show: false },
          scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(most, series.threshold) * 1.1] } },
          series: [
            {},
            { label: "Score", stroke: colour("--accent"), width: 1.5, points: { show: false } },
            { label: "Threshold", stroke: colour("--bad"), dash: [6, 4], points: { show: false } },
          ],
        }, this.scores(series), this.element));
      }
    }

    values(series) {
      const columns = [series.time, series.value];
      if (!this.scored) return columns;
      const anomalies = series.value.map((value, at) => (series.anomaly[at] ? value : null));
      return [...columns, series.low, series.high, anomalies];
    }

    scores(series) {
      return [series.time, series.score, series.time.map(() => series.threshold)];
    }

    async draw() {
      const asked = new URLSearchParams({ sensor: this.sensor });
      const answer = await fetch(`/readings?${asked}`);
      if (!answer.ok) return;
      const series = await answer.json();
      const look = matchMedia("(prefers-color-scheme: dark)").matches;
      const width = this.element.clientWidth;
      if (this.charts.length === 0 || this.look !== look || this.width !== width) {
        this.look = look;
        this.width = width;
        this.build(series);
      } else {
        this.charts[0].setData(this.values(series));
        this.charts[1]?.setData(this.scores(series));
      }
      // The words beside it and the table below say the same.
      for (const part of this.element.querySelectorAll("canvas")) part.setAttribute("aria-hidden", "true");
      this.element.dataset.points = String(series.time.length);
    }
  }

  let plot = null;
  async function turn() {
    try {
      await refresh();
      document.body.classList.remove("stale");
    } catch {
      document.body.classList.add("stale");
    }
    const element = document.getElementById("plot");
    if (element && plot?.element !== element) plot = new Plot(element);
    if (element) await plot.draw().catch(() => {});
    setTimeout(turn, document.hidden ? REFRESH_MS * 5 : REFRESH_MS);
  }

  turn();
})();
