// Puts the page together: the views, the stream, the theme, what operators are told.

import { Refusal, call, giveToken, lines } from "./edge.js";
import { Charts, History } from "./charts.js";
import * as views from "./views.js";

const byId = (id) => document.getElementById(id);
const SILENCE_MS = 6000;
const MAX_PAUSE_MS = 10_000;

const page = {
  history: new History(),
  charts: new Charts(),
  view: "now",
  site: "",
  filter: {},
  paused: false,
  requests: [],
  stream: null,
};

// What operators are told.

function say(text, isBad = false) {
  const message = byId("message");
  message.textContent = text;
  message.classList.toggle("bad", isBad);
  message.hidden = !text;
}

function state(text, isLost) {
  const line = byId("state");
  if (line.textContent !== text) line.textContent = text;
  line.classList.toggle("lost", isLost);
}

/** Asks before something is done that visitors or the origin notice. */
function confirm(title, text, yes) {
  const dialog = byId("confirm");
  byId("confirm-title").textContent = title;
  byId("confirm-text").textContent = text;
  byId("confirm-yes").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

let asking = null;

/** Asks for the token, once at a time. */
function askForToken() {
  asking ??= new Promise((resolve) => {
    const dialog = byId("token");
    const field = dialog.querySelector("input");
    const give = () => {
      giveToken(field.value);
      field.value = "";
      asking = null;
      resolve();
    };
    dialog.addEventListener("close", give, { once: true });
    dialog.showModal();
  });
  return asking;
}

/** Calls the edge; asks for the token where it is missing or wrong. */
async function ask(method, path, content) {
  for (;;) {
    try {
      return await call(method, path, content);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
      if (error.wantsToken) await askForToken();
    }
  }
}

/** Does what a button says, and tells what came of it. */
async function act(method, path, content, done) {
  try {
    const answer = await ask(method, path, content);
    say(done(answer));
  } catch (error) {
    say(error.message, true);
  }
  refresh();
}

// The stream.

function streamPath() {
  const query = new URLSearchParams({ requests: "0" });
  if (page.view === "requests") {
    query.set("requests", "20");
    if (page.site) query.set("site", page.site);
    for (const [name, value] of Object.entries(page.filter)) if (value) query.set(name, value);
  }
  return `live?${query.toString().replaceAll("+", "%20")}`;
}

/** Listens until it is told to stop; comes back when the edge does. */
async function listen(stop) {
  let pause = 500;
  while (!stop.aborted) {
    try {
      for await (const event of lines(streamPath(), stop, SILENCE_MS)) {
        pause = 500;
        take(event);
      }
      throw new Error("the edge has ended the stream");
    } catch (error) {
      if (stop.aborted) return;
      if (error instanceof Refusal && error.status === 401) {
        if (error.wantsToken) await askForToken();
        continue;
      }
      if (error instanceof Refusal && error.status === 400) {
        say(error.message, true);
        page.filter = {};
      }
      state(`the edge doesn't answer; trying again`, true);
      await new Promise((resolve) => setTimeout(resolve, pause));
      pause = Math.min(2 * pause, MAX_PAUSE_MS);
    }
  }
}

/** Begins the stream, or begins it anew with other wishes. */
function restartStream() {
  page.stream?.abort();
  if (document.hidden) return;
  page.stream = new AbortController();
  listen(page.stream.signal);
}

function take(event) {
  if (event.event === "request") {
    if (page.paused) return;
    page.requests.unshift(event);
    page.requests.length = Math.min(page.requests.length, 200);
    if (page.view === "requests") views.requests(page.requests);
    return;
  }
  const wasLost = byId("state").classList.contains("lost");
  page.history.add(event);
  state(`live, ${new Date(event.at_unix_ms).toLocaleTimeString()}`, false);
  fillSites(event.sites.map((site) => site.site));
  if (page.view === "now") drawNow();
  if (wasLost) refresh();
}

function drawNow() {
  views.now(page.history, page.site);
  page.charts.draw(page.history, page.site);
}

function fillSites(names) {
  const select = byId("site");
  const known = [...select.options].slice(1).map((option) => option.value);
  if (known.join() === names.join()) return;
  select.replaceChildren(new Option("all sites", ""), ...names.map((name) => new Option(name, name)));
  if (!names.includes(page.site)) page.site = "";
  select.value = page.site;
}

// The views. Each asks for what it shows, when it is shown and then from time to time.

const ACTIONS = {
  async drain(site, origin) {
    if (await confirm(`Take ${origin} out?`, `No further requests of ${site} go to it until it is put back or the edge starts again. Requests under way end in order.`, "Take it out")) {
      await act("POST", "origins/drain", { site, origin }, () => `${origin} is taken out.`);
    }
  },
  async resume(site, origin) {
    await act("POST", "origins/resume", { site, origin }, () => `${origin} is asked again.`);
  },
  async rollBack(policy) {
    if (await confirm(`Roll back ${policy}?`, "A canary ends; without one, the version before decides again.", "Roll back")) {
      const done = (answer) => (answer.ended_canary ? `The canary of ${policy} has ended.` : `${policy} decides by version ${views.short(answer.version)} again.`);
      await act("POST", `policies/${policy}/rollback`, undefined, done);
    }
  },
  async warm(plan, isDryRun) {
    await act("POST", `warm/${plan}${isDryRun ? "?dry_run=true" : ""}`, undefined, (answer) => `Run ${answer.run} of ${plan} has started.`);
  },
  async cancel(plan) {
    await act("POST", `warm/${plan}/cancel`, undefined, (answer) => `Run ${answer.run} of ${plan} is cancelled.`);
  },
};

const REFRESH = {
  now: [5000, async () => views.variants(await ask("GET", "stats"), page.site)],
  week: [30_000, async () => views.week(await ask("GET", "stats/week"), page.site)],
  origins: [3000, async () => views.origins(await ask("GET", "origins"), page.site, ACTIONS)],
  fleet: [3000, async () => {
    try {
      const answer = await ask("GET", "cluster");
      // The nodes are shown also while they can't be asked for figures.
      const stats = await ask("GET", "stats?fleet=true").catch(() => null);
      views.fleet(answer, stats, page.site);
    } catch (error) {
      if (error.status !== 404) throw error;
      views.noFleet(error.message);
    }
  }],
  policies: [5000, async () => {
    const answer = await ask("GET", "policies");
    // What came true is asked for where something was foreseen.
    const week = answer.policies.some(views.forecastOf) ? await ask("GET", "stats/week") : null;
    views.policies(answer, week, page.site, ACTIONS);
  }],
  warming: [3000, async () => {
    const [plans, runs] = await Promise.all([ask("GET", "warm"), ask("GET", "warm/runs")]);
    views.warming(plans, runs, page.site, ACTIONS);
  }],
};

let timer;

/** Shows what the current view shows, now and from time to time. */
async function refresh() {
  clearTimeout(timer);
  const [every, show] = REFRESH[page.view] ?? [0, null];
  if (!show || document.hidden) return;
  try {
    await show();
  } catch (error) {
    // An edge that can't be reached is told of by the stream.
    if (error instanceof Refusal) say(error.message, true);
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, every);
}

function show(name) {
  const sections = [...document.querySelectorAll("[data-view]")];
  page.view = sections.some((section) => section.dataset.view === name) ? name : "now";
  for (const section of sections) section.hidden = section.dataset.view !== page.view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${page.view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${page.view} – tero`;
  say("");
  if (page.view === "now" && page.history.latest) drawNow();
  refresh();
}

// What operators do.

window.addEventListener("hashchange", () => {
  const before = page.view;
  show(location.hash.slice(1));
  if ((before === "requests") !== (page.view === "requests")) restartStream();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) page.stream?.abort();
  else {
    restartStream();
    refresh();
  }
});

byId("site").addEventListener("change", (event) => {
  page.site = event.target.value;
  if (page.view === "now" && page.history.latest) drawNow();
  if (page.view === "requests") restartStream();
  refresh();
});

function theme(isDark) {
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
  byId("theme").setAttribute("aria-pressed", String(isDark));
  page.charts.clear();
  if (page.view === "now" && page.history.latest) drawNow();
}

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
prefersDark.addEventListener("change", (event) => theme(event.matches));
byId("theme").addEventListener("click", () => theme(document.documentElement.dataset.theme !== "dark"));
window.addEventListener("resize", () => {
  if (page.view === "now" && page.history.latest) drawNow();
});

for (const id of ["week-measure", "week-variant"]) byId(id).addEventListener("change", refresh);

byId("filter").addEventListener("submit", (event) => {
  event.preventDefault();
  page.filter = Object.fromEntries(new FormData(event.target));
  page.requests = [];
  say("");
  views.requests(page.requests);
  restartStream();
});

byId("pause").addEventListener("click", (event) => {
  page.paused = !page.paused;
  event.target.setAttribute("aria-pressed", String(page.paused));
  event.target.textContent = page.paused ? "Go on" : "Pause";
});

byId("ask").addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new FormData(event.target);
  const question = { url: fields.get("url").trim(), method: fields.get("method") };
  if (fields.get("device")) question.device = fields.get("device");
  if (fields.get("at")) question.at = fields.get("at");
  const headers = {};
  for (const line of fields.get("headers").split("\n")) {
    const colon = line.indexOf(":");
    if (colon > 0) headers[line.slice(0, colon).trim()] = line.slice(colon + 1).trim();
  }
  if (Object.keys(headers).length > 0) question.headers = headers;
  try {
    views.explanation(await ask("POST", "explain", question));
    say("");
  } catch (error) {
    say(error.message, true);
  }
});

byId("drop").addEventListener("submit", async (event) => {
  event.preventDefault();
  const fields = new FormData(event.target);
  const [kind, value, isSoft] = [fields.get("kind"), fields.get("value").trim(), fields.has("soft")];
  const what = `${isSoft ? "It is marked stale and revalidated" : "It is dropped, and fetched again"} when it is asked for.`;
  if (await confirm(`Purge ${kind} ${value}?`, what, "Purge")) {
    const done = (answer) => `${answer.purged} stored responses were ${isSoft ? "marked stale" : "dropped"}.`;
    await act("POST", "purge", { [kind]: value, soft: isSoft }, done);
  }
});

theme(prefersDark.matches);
show(location.hash.slice(1));
restartStream();
