// The views: what the edge answers, as tables. Text goes in as text, never as markup.

import { OUTCOMES, fastShare, hitRate, quantile, traffic } from "./charts.js";

const byId = (id) => document.getElementById(id);
const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/** An element with attributes and children; what is null is left out. */
function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick") element.addEventListener("click", value);
    else if (value !== null && value !== undefined) element.setAttribute(key, value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

const cell = (value) => (value instanceof Node ? value : String(value ?? "–"));

/** A table. A column whose name ends in ` #` has numbers. */
function table(caption, columns, rows) {
  const isNumber = columns.map((column) => column.endsWith(" #"));
  const head = columns.map((column, place) => el("th", { scope: "col", class: isNumber[place] ? "number" : null }, column.replace(/ #$/, "")));
  const body = rows.map((row) => el("tr", {}, row.map((value, place) => (place === 0
    ? el("th", { scope: "row" }, cell(value))
    : el("td", { class: isNumber[place] ? "number" : null }, cell(value))))));
  const empty = rows.length === 0 ? el("tr", {}, el("td", { colspan: columns.length }, "nothing yet")) : null;
  return el("table", {}, caption ? el("caption", {}, caption) : null, el("thead", {}, el("tr", {}, head)), el("tbody", {}, body, empty));
}

/** Puts a table in its place, and the focus back on the button that had it. */
function put(id, ...children) {
  const place = byId(id);
  const focused = place.contains(document.activeElement) ? document.activeElement.dataset?.key : null;
  place.replaceChildren(...children);
  if (focused) place.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
}

function button(text, key, onclick, isQuiet = true) {
  return el("button", { type: "button", class: isQuiet ? "quiet" : null, "data-key": key, onclick }, text);
}

const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(1)} %`);
const count = (value) => Math.round(value).toLocaleString("en");
const rate = (value) => (value >= 100 ? count(value) : value.toFixed(1));
const millis = (value) => (value === null || value === undefined ? "–" : `${value >= 100 ? value.toFixed(0) : value.toPrecision(2)} ms`);
const when = (secs) => (secs ? new Date(secs * 1000).toLocaleString() : "–");
/** Digests are told apart by their beginnings. */
export const short = (version) => (/^[0-9a-f]{64}$/.test(version ?? "") ? version.slice(0, 12) : version ?? "–");

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let place = 0;
  while (bytes >= 1024 && place < units.length - 1) {
    bytes /= 1024;
    place += 1;
  }
  return `${place === 0 ? bytes : bytes.toFixed(1)} ${units[place]}`;
}

const outcome = (name) => el("span", { class: `outcome ${name}` }, name);
const total = (counts) => OUTCOMES.reduce((sum, name) => sum + counts[name], 0);

// Now.

export function now(history, site) {
  const at = history.latest;
  const last = history.recent(10, site);
  const minute = history.recent(60, site);
  const per = (value) => (last ? rate(value / last.secs) : "–");
  const tiles = [
    ["Requests per second", last ? per(total(last.requests)) : "–"],
    ["Hit rate", percent(minute && hitRate(minute.requests)), "1 min"],
    ["Hit rate of bytes", percent(minute && hitRate(minute.bytes)), "1 min"],
    ["Within 200 ms", percent(minute && fastShare(minute.latency, at.latency_bounds)), "1 min"],
    ["95th percentile", millis(minute && quantile(minute.latency, at.latency_bounds, 0.95)), "1 min"],
    ["Errors per second", last ? per(last.requests.error) : "–"],
    ["To origins per second", last ? per(last.origin) : "–"],
    ["Origins spared", percent(minute && total(minute.requests) > 0 ? Math.max(0, 1 - minute.origin / total(minute.requests)) : null), "1 min"],
    ["Waiting for origins", count(at.waiting)],
    ["Connections", count(at.connections), `of ${count(at.max_connections)}`],
    ["Stored", size(at.cache.bytes), `of ${size(at.cache_limit_bytes)}`],
    ["Memory of the process", size(at.resident_bytes)],
    ["CPU", last ? percent(last.cpu / last.secs / Math.max(1, at.workers)) : "–", `of ${at.workers} workers`],
  ];
  byId("tiles").replaceChildren(...tiles.map(([name, value, note]) => el("div", {}, el("dt", {}, name), el("dd", {}, value, note ? el("small", {}, ` ${note}`) : null))));
  const since = traffic(at, site);
  put("outcomes", table("since the start, and in the last 10 seconds", ["outcome", "requests #", "share #", "bytes #", "per second #"], OUTCOMES.map((name) => [
    outcome(name),
    count(since.requests[name]),
    percent(total(since.requests) > 0 ? since.requests[name] / total(since.requests) : null),
    size(since.bytes[name]),
    last ? per(last.requests[name]) : "–",
  ])));
  put("sites", table("hit rates since the start, rates of the last 10 seconds", ["site", "local time", "hit rate #", "of bytes #", "per second #", "to origins #", "95 % #"], at.sites
    .filter((one) => !site || one.site === site)
    .map((one) => {
      const recent = history.recent(10, one.site);
      return [
        one.maintenance ? `${one.site} (maintenance)` : one.site,
        `${one.local.slice(11, 16)} ${one.zone}`,
        percent(hitRate(one.requests)),
        percent(hitRate(one.bytes)),
        recent ? rate(total(recent.requests) / recent.secs) : "–",
        recent ? rate(recent.origin / recent.secs) : "–",
        millis(recent && quantile(recent.latency, at.latency_bounds, 0.95)),
      ];
    })));
}

export function variants(stats, site) {
  const rows = stats.sites.filter((one) => !site || one.site === site).flatMap((one) => one.variants
    .filter((variant) => variant.requests > 0)
    .map((variant) => [one.site, variant.variant ?? "no variant", count(variant.requests), percent(variant.hit_rate), ...OUTCOMES.map((name) => count(variant.outcomes[name]))]));
  put("variants", table(null, ["site", "variant", "requests #", "hit rate #", ...OUTCOMES.map((name) => `${name} #`)], rows));
}

// The week.

const MEASURES = {
  hit: { of: (figures) => figures.hit_rate, text: (value) => (100 * value).toFixed(0), step: (value) => 10 * value, unit: "hit rate of requests in per cent" },
  byte: { of: (figures) => figures.byte_hit_rate, text: (value) => (100 * value).toFixed(0), step: (value) => 10 * value, unit: "hit rate of bytes in per cent" },
  fast: { of: (figures) => figures.within_200_ms, text: (value) => (100 * value).toFixed(1), step: (value) => 10 * value, unit: "answered within 200 ms, in per cent; of all variants" },
  p95: { of: (figures) => figures.p95_ms, text: (value) => (value >= 10 ? value.toFixed(0) : value.toFixed(1)), step: (value) => 2.5 * Math.log10(1 + value), unit: "95th percentile of times in milliseconds; of all variants" },
  requests: { of: (figures) => figures.requests, text: (value) => (value >= 10_000 ? `${(value / 1000).toFixed(0)}k` : value), step: (value, most) => (10 * value) / most, unit: "requests" },
};

export function week(answer, site) {
  const one = answer.sites.find((week) => week.site === site) ?? answer.sites[0];
  if (!one) return;
  const names = [...new Set(one.hours.flatMap((hour) => hour.variants.map((variant) => variant.variant ?? "")))].sort();
  const select = byId("week-variant");
  if ([...select.options].slice(1).map((option) => option.value).join() !== names.join()) {
    const before = select.value;
    select.replaceChildren(new Option("all", "*"), ...names.map((name) => new Option(name || "no variant", name)));
    select.value = before === "*" || names.includes(before) ? before : "*";
  }
  const name = byId("week-measure").value;
  const measure = MEASURES[name];
  const ofHour = new Map();
  for (const hour of one.hours) {
    const isWhole = select.value === "*" || name === "fast" || name === "p95";
    const figures = isWhole ? hour : hour.variants.find((variant) => (variant.variant ?? "") === select.value);
    const value = figures ? measure.of(figures) : null;
    if (value !== null && value !== undefined) ofHour.set(`${hour.weekday}-${hour.hour}`, [value, hour, figures]);
  }
  const most = Math.max(1, ...[...ofHour.values()].map(([value]) => value));
  const [today, hourNow] = [(new Date(`${one.local.slice(0, 10)}T12:00:00Z`).getUTCDay() + 6) % 7, Number(one.local.slice(11, 13))];
  const hours = Array.from({ length: 24 }, (_, hour) => hour);
  const rows = DAYS.map((day, weekday) => el("tr", {}, el("th", { scope: "row" }, day), hours.map((hour) => {
    const found = ofHour.get(`${weekday}-${hour}`);
    const isNow = weekday === today && hour === hourNow;
    if (!found) return el("td", { class: isNow ? "current" : null }, "");
    const [value, whole, figures] = found;
    const step = Math.min(9, Math.max(0, Math.floor(measure.step(value, most))));
    const title = `${day} ${whole.date}, ${String(hour).padStart(2, "0")}:00: ${count(figures.requests)} requests, hit rate ${percent(figures.hit_rate)}, of bytes ${percent(figures.byte_hit_rate)}, 95 % within ${millis(whole.p95_ms)}`;
    return el("td", { class: `h${step}${isNow ? " current" : ""}`, title }, String(measure.text(value)));
  })));
  const head = el("tr", {}, el("td", {}), hours.map((hour) => el("th", { scope: "col" }, String(hour).padStart(2, "0"))));
  put("week", el("table", { class: "heat" }, el("caption", {}, `${one.site}: ${measure.unit}, on the clock of ${one.zone}, where it is ${one.local.slice(0, 16).replace("T", " ")}. The last seven days.`), el("thead", {}, head), el("tbody", {}, rows)));
}

// Origins.

export function origins(answer, site, actions) {
  const rows = answer.origins.filter((one) => !site || one.site === site).map((one) => [
    one.origin,
    one.site,
    el("span", { class: one.state === "healthy" ? "good" : "bad" }, one.state),
    one.reason ? `${one.reason}${one.rests_for_ms ? `, for ${(one.rests_for_ms / 1000).toFixed(1)} s` : ""}` : "",
    count(one.in_flight),
    count(one.requests),
    count(one.failed),
    millis(one.mean_ms),
    when(one.certificate_ends),
    one.state === "drained"
      ? button("Put back", `resume ${one.site} ${one.origin}`, () => actions.resume(one.site, one.origin))
      : button("Drain", `drain ${one.site} ${one.origin}`, () => actions.drain(one.site, one.origin)),
  ]);
  put("origins", table(null, ["origin", "site", "state", "why", "in flight #", "requests #", "failed #", "mean #", "certificate ends", "do"], rows));
}

// The fleet.

/** What decides at a node, where it differs from most others. */
function versions(report) {
  const policies = report.policies.map((one) => `${one.policy} ${short(one.version)}${one.canary ? `, canary ${short(one.canary.version)}` : ""}`);
  const tables = report.tables.map((one) => `${one.table} ${short(one.version)}`);
  return [...policies, ...tables].join("; ");
}

function nodeState(node) {
  if (node.silent) return el("span", { class: "bad" }, "silent");
  if (node.report.purges?.blind_ms != null) return el("span", { class: "bad" }, "blind");
  return el("span", { class: "good" }, "serves");
}

export function fleet(answer, stats, site) {
  const nats = answer.nats.server ? `is connected to ${answer.nats.server}` : `has no connection: ${answer.nats.failure ?? "it is being made"}`;
  byId("fleet-state").textContent = `${answer.node} ${nats}.`;
  const furthest = Math.max(0, ...answer.nodes.map((node) => node.report.purges?.applied ?? 0));
  const revision = Math.max(...answer.nodes.map((node) => node.report.revision));
  put("fleet", table(null, ["node", "state", "heard #", "purges #", "behind #", "versions", "decide", "clock #", "why"], answer.nodes.map((node) => [
    node.report.node,
    nodeState(node),
    `${(node.heard_ms_ago / 1000).toFixed(1)} s`,
    node.report.purges ? count(node.report.purges.applied) : "–",
    node.report.purges ? count(furthest - node.report.purges.applied) : "–",
    node.report.apart ? "not told" : node.report.revision === revision ? "the latest" : "behind",
    versions(node.report),
    Math.abs(node.clock_ahead_ms) >= 1000 ? `${(node.clock_ahead_ms / 1000).toFixed(1)} s` : "",
    node.report.troubles.join("; "),
  ])));
  const rows = (stats?.sites ?? []).filter((one) => !site || one.site === site).map((one) => [one.site, count(one.requests), percent(one.hit_rate), size(one.response_bytes)]);
  const missing = stats?.fleet?.missing.length ? `Not counted: ${stats.fleet.missing.join(", ")}` : null;
  put("fleet-stats", table(missing, ["site", "requests #", "hit rate #", "sent #"], rows));
}

/** A node without a fleet. */
export function noFleet(why) {
  byId("fleet-state").textContent = why;
  put("fleet", table(null, ["node", "state"], []));
  put("fleet-stats");
}

// Policies.

function trial(title, rows) {
  return [el("h4", {}, title), el("div", { class: "scroll" }, table(null, ["", "requests #", "hit rate #", "errors #", "to the origin #"], rows))];
}

/** The forecast of the version that decides, if it brought one. */
export const forecastOf = (one) => one.versions.find((version) => version.digest === one.version)?.forecast;

/** What became of the requests of the week's hours that began since a version decides, by local hour. */
function truth(one, week) {
  const hours = Array.from({ length: 24 }, () => Object.fromEntries(OUTCOMES.map((name) => [name, 0])));
  for (const site of week.sites.filter((site) => one.sites.includes(site.site))) {
    const offset = site.local.match(/(Z|[+-]\d\d:\d\d)$/)[0];
    for (const hour of site.hours) {
      const began = Date.parse(`${hour.date}T${String(hour.hour).padStart(2, "0")}:00:00${offset}`);
      if (began < one.active_since_unix_secs * 1000) continue;
      for (const name of OUTCOMES) hours[hour.hour][name] += hour.outcomes[name];
    }
  }
  return hours;
}

function forecast(one, week) {
  const foreseen = forecastOf(one);
  if (!foreseen || !week) return null;
  const hours = truth(one, week);
  const all = Object.fromEntries(OUTCOMES.map((name) => [name, hours.reduce((sum, hour) => sum + hour[name], 0)]));
  const row = (name, rate, counts) => [name, percent(rate), percent(hitRate(counts)), count(total(counts))];
  const title = `hit rate: forecast from ${count(foreseen.requests)} requests of ${count(foreseen.days)} days, and what came true in the hours of the last seven days since the version decides`;
  return el("div", { class: "scroll" }, table(title, ["local hour", "forecast #", "came true #", "requests #"], [
    row("all", foreseen.hit_rate, all),
    ...hours.map((counts, hour) => row(`${String(hour).padStart(2, "0")}:00`, foreseen.hours[hour], counts)),
  ]));
}

function policy(one, week, actions) {
  const group = (name, figures) => (figures ? [name, count(figures.requests), percent(figures.hit_rate), count(figures.errors), count(figures.origin_requests)] : [name, "–", "–", "–", "–"]);
  const hooks = Object.entries(one.hooks).map(([hook, of]) => [hook, ...["ok", "trap", "deadline", "memory", "bad_answer"].map((name) => count(of[name])), `${of.seconds.toFixed(3)} s`]);
  const isOff = one.status !== "active";
  const canGoBack = one.previous !== null || one.canary !== null;
  const back = button("Roll back", `roll back ${one.name}`, () => actions.rollBack(one.name));
  back.disabled = !canGoBack;
  return el("article", { class: "card" },
    el("h3", {}, one.name, el("span", { class: isOff ? "bad" : "good" }, isOff ? `switched off: ${one.reason}` : "active"), back),
    el("p", {}, "version ", el("span", { class: "version" }, short(one.version)), `, since ${when(one.active_since_unix_secs)}; asked by ${one.sites.join(", ") || "no site"}`, one.zone ? `; on the clock of ${one.zone}` : ""),
    one.trouble ? el("p", { class: "bad" }, one.trouble) : null,
    one.unsaved ? el("p", { class: "bad" }, one.unsaved) : null,
    one.rolled_back ? el("p", { class: "bad" }, `The guard rolled back ${short(one.rolled_back.version)} at ${when(one.rolled_back.at_unix_secs)}: ${one.rolled_back.reason}`) : null,
    el("div", { class: "scroll" }, table("questions by result", ["hook", "ok #", "trap #", "deadline #", "memory #", "bad answer #", "time #"], hooks)),
    one.canary ? trial(`Canary ${short(one.canary.version)}, for ${one.canary.share} of the keys since ${when(one.canary.since_unix_secs)}`, [group("active", one.canary.control), group("canary", one.canary.canary)]) : null,
    one.shadow ? el("p", {}, `Shadow ${short(one.shadow.version)}, asked about ${one.shadow.sample} of the requests: ${count(one.shadow.requests)} requests and ${count(one.shadow.responses)} responses compared, ${count(one.shadow.differences)} fields differ.`) : null,
    one.versions.length > 0 ? el("div", { class: "scroll" }, table("versions that were pushed", ["version", "pushed", "bytes #", "cases #"], one.versions.map((version) => [
      el("span", { class: "version" }, `${short(version.digest)}${version.digest === one.version ? " (active)" : version.digest === one.previous ? " (before)" : ""}`),
      when(version.pushed_unix_secs),
      count(version.bytes),
      version.cases ?? "–",
    ]))) : null,
    forecast(one, week));
}

export function policies(answer, week, site, actions) {
  const all = answer.policies.filter((one) => !site || one.sites.includes(site));
  put("policies", ...(all.length > 0 ? all.map((one) => policy(one, week, actions)) : [el("p", {}, "No policy is configured.")]));
}

// Warming.

const worth = (run) => (run?.worth ? `gave ${percent(run.worth.share_of_hits)} of ${count(run.worth.window_hits)} hits; ${count(run.worth.unused)} unused (${size(run.worth.wasted_bytes)})` : run ? "known when its window is over" : "–");

export function warming(plans, runs, site, actions) {
  const last = (plan, test) => runs.runs.find((run) => run.plan === plan.name && !run.dry_run && test(run));
  put("plans", table(null, ["plan", "site", "schedule", "next run", "last run", "last worth", "do"], plans.plans.filter((plan) => !site || plan.site === site).map((plan) => {
    const latest = last(plan, () => true);
    return [
      plan.name,
      plan.site,
      plan.schedule ? `${plan.schedule} (${plan.zone})` : "by request",
      plan.next ? plan.next.slice(0, 16).replace("T", " ") : "–",
      latest ? `${latest.state}, ${latest.started.slice(0, 16).replace("T", " ")}` : "never",
      worth(last(plan, (run) => run.worth) ?? latest),
      plan.running !== null
        ? button("Cancel", `run ${plan.name}`, () => actions.cancel(plan.name))
        : el("span", {}, button("Warm", `run ${plan.name}`, () => actions.warm(plan.name, false)), " ", button("Dry run", `dry ${plan.name}`, () => actions.warm(plan.name, true))),
    ];
  })));
  put("runs", table(null, ["run", "plan", "state", "started", "fetched #", "fresh #", "not stored #", "failed #", "of #", "bytes #", "used #", "worth"], runs.runs.filter((run) => !site || run.site === site).slice(0, 20).map((run) => [
    run.id,
    run.dry_run ? `${run.plan} (dry)` : run.plan,
    el("span", { class: run.state === "failed" ? "bad" : null }, run.state),
    run.started.slice(0, 19).replace("T", " "),
    count(run.fetched),
    count(run.fresh),
    count(run.not_stored),
    count(run.failed),
    count(run.planned),
    size(run.bytes),
    count(run.used_later),
    run.dry_run ? "–" : worth(run),
  ])));
  const shared = runs.runs.filter((run) => run.fleet && (!site || run.site === site)).slice(0, 3);
  byId("shared-runs").hidden = shared.length === 0;
  put("shared-runs", el("h3", {}, "Runs that the fleet shared"), ...shared.map(sharedRun));
}

/** What each node had of the pages of a run. */
function sharedRun(run) {
  const counts = (part) => [part.fetched, part.fresh, part.not_stored, part.failed].map(count);
  const row = (name, part) => [name, ...counts(part), size(part.bytes)];
  const caption = `Run ${run.id} of ${run.plan}: ${count(run.fleet.planned)} pages, planned by ${run.fleet.planned_by || "no node"}.`;
  return table(caption, ["node", "fetched #", "fresh #", "not stored #", "failed #", "bytes #"], [...run.fleet.nodes.map((one) => row(one.node, one)), row("all", run.fleet)]);
}

// Requests.

export function requests(all) {
  put("requests", table(null, ["time", "outcome", "status #", "took #", "request", "variant", "why"], all.map((one) => [
    new Date(one.at_unix_ms).toLocaleTimeString(),
    outcome(one.outcome),
    one.status,
    millis(one.took_ms),
    `${one.method} ${one.url}`,
    [...new Set([one.variant, one.device])].filter(Boolean).join(", ") || "–",
    [one.reason, one.failure, one.not_stored && `not stored: ${one.not_stored}`, one.forward && `forward: ${one.forward}`, one.stored && "stored", one.ttl_secs !== undefined && `ttl ${one.ttl_secs} s`, one.origin && `from ${one.origin}`].filter(Boolean).join("; "),
  ])));
}

// Explain.

function said(hook) {
  if (hook.answer) return Object.entries(hook.answer).map(([name, value]) => `${name}: ${Array.isArray(value) ? value.join(" ") : value}`).join("; ") || "nothing";
  if (hook.failed) return `failed (${hook.failed}): ${hook.reason}`;
  return `not asked: ${hook.not_asked}`;
}

export function explanation(answer) {
  const { would, response } = answer;
  put("explanation",
    el("h3", {}, "It would be: ", el("span", { class: "outcome" }, would.outcome)),
    el("p", {}, would.why),
    el("p", {}, `Site ${answer.site}, device ${answer.device}, at ${answer.at.local} (${answer.at.zone}). Key: `, el("code", {}, answer.key.url), answer.key.variant ? `, variant ${answer.key.variant}` : ""),
    el("p", {}, `The response (${response.from}, ${response.status}) ${response.would_be_stored ? `would be stored, fresh for ${response.lifetime_secs} s by ${response.lifetime_from}` : `would not be stored: ${response.refusal}`}.`),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "What the policies say" }, table("what the policies say", ["policy", "of the request", "of the response"], answer.policies.map((one) => [one.canary ? `${one.policy} (canary)` : one.policy, said(one.on_request), said(one.on_response)]))),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Rules of the engine" }, table("rules of the engine", ["rule", "what it did"], answer.rules.map((rule) => [rule.rule, rule.text]))),
    el("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Stored under the key" }, table("stored under the key", ["status", "selected", "age #", "fresh for #", "bytes #", "why"], answer.stored.map((one) => [one.status, one.selected ? "yes" : "no", `${one.age_secs} s`, `${one.fresh_for_secs} s`, count(one.bytes), one.reason ?? one.lifetime_from]))),
    el("details", {}, el("summary", {}, "The whole answer"), el("pre", { tabindex: 0 }, JSON.stringify(answer, null, 2))));
}
