// Goes through the dashboard in a real browser: each view, each button, with the keyboard, on a phone,
// while the edge goes away and comes back. Arguments: the URL, the token, the program of the browser, and
// a folder for pictures or nothing. Asks on standard output for what the edge is to do, a word in a line
// (`stop`, `start`), and waits for a line on standard input. Fails with a message on standard error.

"use strict";

const assert = require("node:assert/strict");
const { readFileSync } = require("node:fs");
const path = require("node:path");
const readline = require("node:readline");
const { chromium } = require("playwright-core");

const [url, token, program, pictures] = process.argv.slice(2);
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();
// Answers as the contract of the admin interface has them.
const golden = (name) => JSON.parse(readFileSync(path.join(__dirname, "../../engine/admin-api/golden", `${name}.json`), "utf8"));
const VIEWS = ["now", "week", "origins", "fleet", "policies", "warming", "requests", "explain", "purge"];
const WAIT = { timeout: 60_000 };
const COUNTS = { fetched: 0, fresh: 0, not_stored: 0, failed: 0, bytes: 0 };
/** The report of a run that two nodes have shared. */
const SHARED = {
  ...COUNTS,
  planned_by: "edge-1",
  planned: 1_400,
  fetched: 1_390,
  fresh: 7,
  failed: 3,
  retried: 1,
  bytes: 3 << 20,
  nodes: [{ ...COUNTS, node: "edge-1", fetched: 1_000, fresh: 7, bytes: 2 << 20 }, { ...COUNTS, node: "edge-2", fetched: 390, failed: 3, bytes: 1 << 20 }],
  failures: [],
  refusals: [],
};

/** Has the test of the edge do something. */
async function edge(word) {
  process.stdout.write(`${word}\n`);
  const { value } = await answers.next();
  assert.equal(value, "done");
}

/** A page that notes what it should not do. */
async function open(browser, options) {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  const faults = [];
  let expected = [/401 \(Unauthorized\)/];
  page.on("console", (message) => {
    const isBad = ["error", "warning"].includes(message.type());
    // A node of no fleet says 404 of it.
    const isOfFleet = message.location().url.endsWith("/cluster");
    if (isBad && !isOfFleet && !expected.some((one) => one.test(message.text()))) faults.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => faults.push(`error: ${error}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) faults.push(`a request to ${request.url()}`);
  });
  page.expect = (patterns) => {
    expected = patterns;
  };
  page.faultless = () => assert.deepEqual(faults, []);
  return page;
}

async function go(page, view) {
  await page.click(`nav a[href="#${view}"]`);
  await page.waitForSelector(`[data-view="${view}"]:not([hidden])`, WAIT);
  assert.equal(await page.locator("[data-view]:not([hidden])").count(), 1);
}

const message = (page, pattern) => page.waitForFunction((source) => {
  const line = document.getElementById("message");
  return !line.hidden && new RegExp(source).test(line.textContent);
}, pattern.source, WAIT);

const live = (page) => page.waitForFunction(() => document.getElementById("state").textContent.startsWith("live"), null, WAIT);

/** Has the edge be one of a fleet, as far as the page can tell: tests of fleets try real ones. */
async function joinFleet(page) {
  await page.route(/\/cluster$/, (route) => route.fulfill({ json: golden("cluster") }));
  await page.route(/\/stats\?fleet=true$/, (route) => route.fulfill({ json: { ...golden("stats"), fleet: { nodes: ["edge-1"], missing: ["edge-2"] } } }));
  // The edge may be down, and the page gone.
  await page.route(/\/warm\/runs$/, (route) => shareRuns(route).catch(() => route.abort()).catch(() => {}));
}

/** Answers with the runs of the edge, as if a fleet had shared them. */
async function shareRuns(route) {
  const response = await route.fetch();
  if (!response.ok()) return route.fulfill({ response });
  const { runs } = await response.json();
  return route.fulfill({ json: { runs: runs.map((run) => (run.dry_run ? run : { ...run, fleet: SHARED })) } });
}

/** Gives the token by the keyboard, a wrong one first. */
async function giveToken(page) {
  // The first questions have no token, which the browser notes.
  page.expect([/401 \(Unauthorized\)/]);
  await page.waitForSelector("#token[open]", WAIT);
  await page.keyboard.type("wrong");
  const refused = page.waitForResponse((response) => response.status() === 401, WAIT);
  await page.keyboard.press("Enter");
  await refused;
  await page.waitForFunction(() => document.querySelector("#token[open] input")?.value === "", null, WAIT);
  await page.keyboard.type(token);
  await page.keyboard.press("Enter");
  await live(page);
  page.expect([]);
}

async function picture(page, name) {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png` });
}

async function confirm(page, answer) {
  await page.waitForSelector("#confirm[open]", WAIT);
  await page.click(`#confirm button[value="${answer}"]`);
}

/** Texts whose contrast with what is behind them is below what WCAG calls AA. */
function faint() {
  const parse = (text) => {
    const [red, green, blue, alpha = 1] = text.match(/[\d.]+/g).map(Number);
    return { red, green, blue, alpha };
  };
  const luminance = ({ red, green, blue }) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.alpha === 1) return colour;
    }
    return { red: 255, green: 255, blue: 255 };
  };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!says || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const [one, other] = [luminance(parse(style.color)), luminance(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    const pixels = parseFloat(style.fontSize);
    const isLarge = pixels >= 24 || (pixels >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (isLarge ? 3 : 4.5)) found.push(`${element.tagName}.${element.className} "${element.textContent.trim().slice(0, 40)}" ${ratio.toFixed(2)}`);
  }
  return found;
}

/** Fields and buttons without a name that is read out. */
function nameless() {
  const named = (element) => element.labels?.length || element.getAttribute("aria-label") || element.textContent.trim();
  return [...document.querySelectorAll("button, input, select, textarea, a")].filter((element) => !named(element)).map((element) => element.outerHTML);
}

async function views(page) {
  // Now.
  await page.waitForFunction(() => document.querySelectorAll("#outcomes tbody tr").length === 8, null, WAIT);
  await page.waitForFunction(() => /\d/.test(document.querySelector("#tiles dd").textContent), null, WAIT);
  assert.equal(await page.locator(".chart canvas").count(), 4);
  await page.waitForFunction(() => /mobile/.test(document.getElementById("variants").textContent), null, WAIT);
  assert.match(await page.textContent("#sites"), /shop.*blog/s);
  await page.selectOption("#site", "shop");
  await page.waitForFunction(() => !document.getElementById("sites").textContent.includes("blog"), null, WAIT);
  await page.selectOption("#site", "");
  if (pictures) {
    await page.waitForTimeout(25_000);
    await picture(page, "dashboard-now");
  }
  // The week.
  await go(page, "week");
  await page.waitForFunction(() => document.querySelectorAll(".heat td[class^=h]").length > 140, null, WAIT);
  for (const measure of ["byte", "fast", "p95", "requests", "hit"]) {
    await page.selectOption("#week-measure", measure);
    await page.waitForFunction(() => document.querySelectorAll(".heat td[class^=h]").length > 140, null, WAIT);
  }
  assert.equal(await page.locator(".heat .current").count(), 1);
  await picture(page, "dashboard-week");
  await page.selectOption("#week-variant", "mobile");
  await page.waitForFunction(() => document.querySelectorAll(".heat td[class^=h]").length > 20, null, WAIT);
  // Origins.
  await go(page, "origins");
  const drain = page.locator('#origins button:text-is("Drain")').first();
  await drain.click();
  await confirm(page, "no");
  assert.doesNotMatch(await page.textContent("#origins"), /drained/);
  await drain.click();
  await confirm(page, "yes");
  await message(page, /app-1 is taken out/);
  await page.waitForFunction(() => /drained/.test(document.getElementById("origins").textContent), null, WAIT);
  await page.click('#origins button:text-is("Put back")');
  await message(page, /app-1 is asked again/);
  // The fleet: of none, then of two nodes.
  await go(page, "fleet");
  await page.waitForFunction(() => /cluster/.test(document.getElementById("fleet-state").textContent), null, WAIT);
  assert.equal(await page.locator("#fleet tbody tr").count(), 1, "a line that says that there are none");
  await joinFleet(page);
  await page.waitForFunction(() => document.querySelectorAll("#fleet tbody tr").length === 2, null, WAIT);
  assert.match(await page.textContent("#fleet-state"), /edge-1 is connected to nats-1 2\.12\.0/);
  const [own, other] = await page.locator("#fleet tbody tr").allTextContents();
  assert.match(own, /edge-1.*serves.*1,041.*the latest.*hours configuration; prices configuration/s);
  assert.match(other, /edge-2.*14\.0 s.*not told.*canary/s);
  assert.match(await page.textContent("#fleet-stats"), /Not counted: edge-2/);
  assert.ok(await page.locator("#fleet-stats tbody tr").count() >= 1);
  // Policies.
  await go(page, "policies");
  await page.waitForFunction(() => /Canary/.test(document.getElementById("policies").textContent), null, WAIT);
  assert.match(await page.textContent("#policies"), /versions that were pushed/);
  const foreseen = page.locator('article:has(h3:has-text("rules")) table:has(caption:has-text("forecast from 1,000 requests of 7 days"))');
  assert.equal(await foreseen.locator("tbody tr").count(), 25);
  assert.match(await foreseen.locator("tbody tr").first().textContent(), /^all62\.5 %/);
  assert.match(await foreseen.locator("tbody tr").nth(4).textContent(), /^03:00–/);
  await picture(page, "dashboard-policies");
  const back = page.locator('article:has(h3:has-text("rules")) button:text-is("Roll back")');
  await back.click();
  await confirm(page, "yes");
  await message(page, /The canary of rules has ended/);
  await page.waitForFunction(() => !/Canary/.test(document.getElementById("policies").textContent), null, WAIT);
  // Warming.
  await go(page, "warming");
  await page.click('#plans button:text-is("Dry run")');
  await message(page, /Run \d+ of opening has started/);
  await page.waitForFunction(() => /opening \(dry\)/.test(document.getElementById("runs").textContent), null, WAIT);
  await page.waitForSelector('#plans button:text-is("Warm")', WAIT);
  const said = await page.textContent("#message");
  await page.click('#plans button:text-is("Warm")');
  await page.waitForFunction((before) => document.getElementById("message").textContent !== before, said, WAIT);
  const [run] = (await page.textContent("#message")).match(/\d+/);
  await page.waitForFunction((id) => [...document.querySelectorAll("#runs tbody tr")].some((row) => row.textContent.startsWith(id) && /done/.test(row.textContent)), run, WAIT);
  await page.waitForSelector('#plans button:text-is("Warm")', WAIT);
  assert.match(await page.textContent("#plans"), /08:30/);
  // Which nodes had how many pages of it.
  const shared = page.locator(`#shared-runs table:has(caption:has-text("Run ${run} of opening: 1,400 pages, planned by edge-1"))`);
  assert.deepEqual(await shared.locator("tbody tr").allTextContents(), ["edge-11,0007002.0 MiB", "edge-23900031.0 MiB", "all1,3907033.0 MiB"]);
  await edge("slow");
  await page.click('#plans button:text-is("Warm")');
  await page.click('#plans button:text-is("Cancel")', WAIT);
  await message(page, /is cancelled/);
  await edge("fast");
  // Requests.
  await go(page, "requests");
  await page.waitForFunction(() => document.querySelectorAll("#requests tbody tr").length > 20, null, WAIT);
  assert.match(await page.textContent("#requests"), /rules: /);
  await page.selectOption('#filter [name="outcome"]', "miss");
  await page.fill('#filter [name="path"]', "/new/*");
  await page.click('#filter button:text-is("Filter")');
  const outcomes = () => page.locator("#requests tbody .outcome").allTextContents();
  await page.waitForFunction(() => document.querySelectorAll("#requests tbody .outcome").length > 3, null, WAIT);
  assert.deepEqual([...new Set(await outcomes())], ["miss"]);
  await page.selectOption('#filter [name="outcome"]', "");
  await page.fill('#filter [name="path"]', "");
  await page.fill('#filter [name="policy"]', "nothing");
  page.expect([/400 \(Bad Request\)/]);
  await page.click('#filter button:text-is("Filter")');
  await message(page, /no site asks a policy `nothing`/);
  await live(page);
  page.expect([]);
  await page.fill('#filter [name="policy"]', "rules");
  await page.click('#filter button:text-is("Filter")');
  await page.waitForFunction(() => document.querySelectorAll("#requests tbody .outcome").length > 10, null, WAIT);
  await page.click("#pause");
  assert.equal(await page.getAttribute("#pause", "aria-pressed"), "true");
  const first = await page.textContent("#requests tbody");
  await page.waitForTimeout(1500);
  assert.equal(await page.textContent("#requests tbody"), first);
  await page.click("#pause");
  // Explain.
  await go(page, "explain");
  await page.fill('#ask [name="url"]', "http://shop.example/prices");
  await page.selectOption('#ask [name="device"]', "mobile");
  await page.fill('#ask [name="at"]', "2026-11-24T08:59:00");
  await page.fill('#ask [name="headers"]', "Cookie: a=1\nAccept-Language: es");
  await page.click('#ask button:text-is("Explain")');
  await page.waitForFunction(() => /It would be/.test(document.getElementById("explanation").textContent), null, WAIT);
  const explained = await page.textContent("#explanation");
  assert.match(explained, /2026-11-24T08:59:00/);
  assert.match(explained, /rules/);
  page.expect([/404 \(Not Found\)/]);
  await page.fill('#ask [name="url"]', "http://elsewhere.example/");
  await page.click('#ask button:text-is("Explain")');
  await message(page, /site/);
  page.expect([]);
  // Purge.
  await go(page, "purge");
  await page.fill('#drop [name="value"]', "http://shop.example/prices");
  await page.click('#drop button:text-is("Purge")');
  await confirm(page, "no");
  await page.click('#drop button:text-is("Purge")');
  await confirm(page, "yes");
  await message(page, /stored responses were marked stale/);
  await page.selectOption('#drop [name="kind"]', "site");
  await page.fill('#drop [name="value"]', "blog");
  await page.uncheck('#drop [name="soft"]');
  await page.click('#drop button:text-is("Purge")');
  await confirm(page, "yes");
  await message(page, /[1-9]\d* stored responses were dropped/);
}

/** The edge goes away and comes back; the page goes on by itself, and asks for no token again. */
async function returns(page) {
  await go(page, "now");
  await live(page);
  page.expect([/ERR_CONNECTION_REFUSED/, /ERR_INCOMPLETE_CHUNKED_ENCODING/, /ERR_CONNECTION_RESET/, /ERR_EMPTY_RESPONSE/]);
  await edge("stop");
  await page.waitForSelector("#state.lost", WAIT);
  assert.match(await page.textContent("#state"), /doesn't answer/);
  await edge("start");
  await live(page);
  await page.waitForFunction(() => !document.getElementById("state").classList.contains("lost"), null, WAIT);
  assert.equal(await page.locator("#token[open]").count(), 0);
  page.expect([]);
}

/** What was asked with the token before is refused late: the page asks the edge again, and not the operator. */
async function refusedLate(browser) {
  const page = await open(browser, { viewport: { width: 1180, height: 860 }, locale: "en-GB" });
  let release;
  const held = new Promise((resolve) => { release = resolve; });
  await page.route(/\/policies$/, async (route) => {
    if (route.request().headers().authorization === "Bearer wrong") await held;
    await route.continue();
  });
  await page.goto(`${url}#policies`);
  await giveToken(page);
  page.expect([/401 \(Unauthorized\)/]);
  const answered = page.waitForResponse((response) => response.url().endsWith("/policies") && response.ok(), WAIT);
  release();
  await answered;
  assert.equal(await page.locator("#token[open]").count(), 0);
  page.faultless();
}

/** Everything can be reached without a mouse. */
async function keyboard(page) {
  page.expect([/401 \(Unauthorized\)/]);
  await page.reload();
  await giveToken(page);
  await page.evaluate(() => document.activeElement.blur());
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.className), "skip");
  const reached = [];
  for (let step = 0; step < 14; step += 1) {
    await page.keyboard.press("Tab");
    reached.push(await page.evaluate(() => document.activeElement.hash || document.activeElement.id));
  }
  for (const name of ["site", "theme", ...VIEWS.map((view) => `#${view}`)]) assert.ok(reached.includes(name), `${name} in ${reached}`);
  await page.focus('nav a[href="#origins"]');
  await page.keyboard.press("Enter");
  await page.waitForSelector('#origins button:text-is("Drain")', WAIT);
  await page.locator('#origins button:text-is("Drain")').first().focus();
  const outline = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.notEqual(outline, "none");
  await page.keyboard.press("Enter");
  await page.waitForSelector("#confirm[open]", WAIT);
  await page.keyboard.press("Escape");
  await page.waitForSelector("#confirm:not([open])", { ...WAIT, state: "attached" });
  // What is shown is asked for again every three seconds; the focus stays where it was.
  await page.waitForTimeout(3500);
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Drain");
}

async function contrasts(page) {
  for (const dark of [false, true]) {
    if ((await page.getAttribute("html", "data-theme") === "dark") !== dark) await page.click("#theme");
    for (const view of VIEWS) {
      await go(page, view);
      if (view !== "explain" && view !== "purge") await page.waitForSelector(`[data-view="${view}"] :is(td, article p)`, WAIT);
      assert.deepEqual(await page.evaluate(faint), [], `${view}, ${dark ? "dark" : "light"}`);
    }
  }
  assert.deepEqual(await page.evaluate(nameless), []);
}

async function phone(browser) {
  const page = await open(browser, { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, deviceScaleFactor: 1, colorScheme: "dark", locale: "en-GB", timezoneId: "America/Argentina/Buenos_Aires" });
  await joinFleet(page);
  await page.goto(url);
  await giveToken(page);
  assert.equal(await page.getAttribute("html", "data-theme"), "dark");
  for (const view of VIEWS) {
    await page.locator(`nav a[href="#${view}"]`).tap();
    await page.waitForSelector(`[data-view="${view}"]:not([hidden])`, WAIT);
    await page.waitForTimeout(300);
    const [wide, shown] = await page.evaluate(() => [document.scrollingElement.scrollWidth, window.innerWidth]);
    assert.ok(wide <= shown, `${view} is ${wide} wide on ${shown}`);
  }
  await page.locator('nav a[href="#now"]').tap();
  await page.waitForFunction(() => /\d/.test(document.querySelector("#tiles dd").textContent), null, WAIT);
  if (pictures) await page.waitForTimeout(12_000);
  await picture(page, "dashboard-phone");
  page.faultless();
}

async function main() {
  const browser = await chromium.launch({ executablePath: program, args: ["--no-sandbox"] });
  try {
    const page = await open(browser, { viewport: { width: 1180, height: 860 }, colorScheme: "light", locale: "en-GB", timezoneId: "America/Argentina/Buenos_Aires" });
    const answer = await page.goto(url);
    assert.equal(answer.status(), 200);
    assert.match(answer.headers()["content-security-policy"], /default-src 'self'/);
    await giveToken(page);
    await views(page);
    await returns(page);
    await keyboard(page);
    await contrasts(page);
    page.faultless();
    await phone(browser);
    await refusedLate(browser);
  } finally {
    await browser.close();
  }
}

main().then(() => process.exit(0), (error) => {
  process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
