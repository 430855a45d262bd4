// The figures of the last minutes, and the charts of them.

/** Outcomes, in the order of charts and tables. */
export const OUTCOMES = ["hit", "stale", "revalidated", "collapsed", "miss", "pass", "error", "rule"];
const KEPT = 300;
const NO_LOOKUP = ["pass", "error", "rule"];

const sum = (counts, names = OUTCOMES) => names.reduce((all, name) => all + counts[name], 0);

/** Hits of all kinds over all that was looked up; null if there was nothing. */
export function hitRate(counts) {
  const lookedUp = sum(counts) - sum(counts, NO_LOOKUP);
  return lookedUp > 0 ? (lookedUp - counts.miss) / lookedUp : null;
}

/** The time in milliseconds that a share of the responses did not exceed; null without responses. */
export function quantile(counts, bounds, share) {
  const all = counts.reduce((one, other) => one + other, 0);
  if (all === 0) return null;
  let below = 0;
  let lower = 0;
  for (let place = 0; place < counts.length; place += 1) {
    const upper = bounds[place] ?? lower;
    if (counts[place] > 0 && below + counts[place] >= share * all) {
      return 1000 * (lower + (upper - lower) * Math.max(0, (share * all - below) / counts[place]));
    }
    below += counts[place];
    lower = upper;
  }
  return 1000 * lower;
}

/** The share of responses within 200 ms; null without responses. */
export function fastShare(counts, bounds) {
  const all = counts.reduce((one, other) => one + other, 0);
  if (all === 0) return null;
  return counts.reduce((fast, count, place) => fast + ((bounds[place] ?? Infinity) <= 0.2 ? count : 0), 0) / all;
}

/** The latest figures, one per second. */
export class History {
  samples = [];

  /** Takes figures in. They begin anew when the edge did. */
  add(figures) {
    const last = this.samples.at(-1);
    if (last && (last.started_unix_secs !== figures.started_unix_secs || last.at_unix_ms >= figures.at_unix_ms)) this.samples = [];
    this.samples.push(figures);
    if (this.samples.length > KEPT + 1) this.samples.shift();
  }

  get latest() {
    return this.samples.at(-1);
  }

  /** The traffic between the samples `from` and `to`, of one site or all; null without both. */
  between(from, to, site) {
    const [one, other] = [traffic(from, site), traffic(to, site)];
    if (!one || !other) return null;
    const less = (name) => Object.fromEntries(OUTCOMES.map((outcome) => [outcome, Math.max(0, other[name][outcome] - one[name][outcome])]));
    return {
      secs: Math.max(0.001, (to.at_unix_ms - from.at_unix_ms) / 1000),
      requests: less("requests"),
      bytes: less("bytes"),
      latency: other.latency.map((count, place) => Math.max(0, count - (one.latency[place] ?? 0))),
      origin: Math.max(0, other.origin_requests - one.origin_requests),
      failed: Math.max(0, other.origin_failed - one.origin_failed),
      cpu: Math.max(0, to.cpu_seconds - from.cpu_seconds),
    };
  }

  /** The traffic of the last `secs` seconds. */
  recent(secs, site) {
    const to = this.latest;
    if (this.samples.length < 2) return null;
    const from = this.samples.find((sample) => to.at_unix_ms - sample.at_unix_ms <= secs * 1000 + 100);
    return from && from !== to ? this.between(from, to, site) : null;
  }

  /** A column of times and one per series: `series` gives the values of an interval. */
  columns(site, series, count) {
    const columns = Array.from({ length: count + 1 }, () => []);
    for (let place = 1; place < this.samples.length; place += 1) {
      const interval = this.between(this.samples[place - 1], this.samples[place], site);
      const values = interval ? series(interval, this.samples[place]) : Array(count).fill(null);
      columns[0].push(this.samples[place].at_unix_ms / 1000);
      values.forEach((value, column) => columns[column + 1].push(value));
    }
    return columns;
  }
}

/** The traffic of one site, or of all, at a moment. */
export function traffic(figures, site) {
  if (!site) return figures.total;
  return figures.sites.find((one) => one.site === site) ?? null;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

const CHARTS = [
  {
    place: "chart-requests",
    series: OUTCOMES.map((name) => [name, name]),
    values: (interval) => OUTCOMES.map((name) => interval.requests[name] / interval.secs),
  },
  {
    place: "chart-latency",
    series: [["median", "hit"], ["95 %", "miss"], ["99 %", "error"]],
    values: (interval, at) => [0.5, 0.95, 0.99].map((share) => quantile(interval.latency, at.latency_bounds, share)),
  },
  {
    place: "chart-origin",
    series: [["requests", "revalidated"], ["failed", "error"]],
    values: (interval) => [interval.origin / interval.secs, interval.failed / interval.secs],
  },
  {
    place: "chart-hits",
    series: [["requests", "hit"], ["bytes", "collapsed"]],
    values: (interval) => [interval.requests, interval.bytes].map((counts) => {
      const rate = hitRate(counts);
      return rate === null ? null : 100 * rate;
    }),
  },
];

/** The charts of the page. They are drawn anew when the theme or the width changes. */
export class Charts {
  drawn = new Map();

  /** Draws what is known of a site. */
  draw(history, site) {
    for (const chart of CHARTS) {
      const place = document.getElementById(chart.place);
      const width = Math.floor(place.clientWidth);
      if (width === 0) continue;
      const data = history.columns(site, chart.values, chart.series.length);
      const drawn = this.drawn.get(chart.place);
      if (drawn) {
        if (drawn.width !== width) drawn.setSize({ width, height: 160 });
        drawn.setData(data);
      } else {
        this.drawn.set(chart.place, new uPlot(options(chart, width), data, place));
      }
    }
  }

  /** Forgets what is drawn: the next drawing is in the colours of then. */
  clear() {
    for (const drawn of this.drawn.values()) drawn.destroy();
    this.drawn.clear();
  }
}

const clock = (secs) => new Date(secs * 1000).toLocaleTimeString();

function options(chart, width) {
  const axis = { stroke: colour("text"), grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
  const round = (value) => (value === null || value === undefined ? "–" : value >= 100 ? value.toFixed(0) : value.toFixed(1));
  return {
    width,
    height: 160,
    cursor: { drag: { x: false, y: false } },
    scales: { x: { time: true }, y: { range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.1)] } },
    axes: [{ ...axis, space: 90, values: (_, times) => times.map(clock) }, { ...axis, size: 50 }],
    series: [
      { value: (_, value) => (value ? clock(value) : "–") },
      ...chart.series.map(([label, name]) => ({ label, stroke: colour(name), width: 2, points: { show: false }, value: (_, value) => round(value) })),
    ],
  };
}
