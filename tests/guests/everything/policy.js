// @ts-nocheck
import { tables } from "tero-policy";

const DEVICES = ["desktop", "mobile", "tablet", "tv", "bot", "unknown"];
const SOURCES = ["client-hints", "user-agent", "nothing"];
const DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const UNTIL = 2_000_000_000;

export const configure = () => ({
  headers: ["x-a"], cookies: ["c"], responseHeaders: ["etag"], query: true, device: true, deviceSource: true,
  zone: "America/Argentina/Buenos_Aires", network: { ipv4: 16, ipv6: 40 }, country: true, region: true,
  bucket: { experiment: "e", buckets: 7, cookie: "v" }, route: true, tables: ["t"], variants: ["a"],
  queryRules: [{ ignore: ["utm_*"], sort: true }], keyParts: ["k"], origins: ["o"], rateClasses: ["r"],
  requestEdits: ["x-q", "x-r"], responseEdits: ["x-s"], storedEdits: ["x-t"],
  abilities: ["rewrite", "answer", "log-tag", "admission", "error-ttl", "expiry"],
  pathPatterns: ["/all", "/answer", "/rule"], eachResponse: true,
});

export function onRequest(request, now) {
  if (request.path === "/answer") return { answer: { status: 410, fields: { "x-u": "1" }, body: "hóla" } };
  if (request.path === "/rule") return { query: { only: ["a"] } };
  if (request.path !== "/all") return {};
  const { network, country, region, bucket } = request.client;
  const told = [
    request.method, request.scheme, request.host, request.path, request.query, request.header("x-a")?.length + 1, request.cookie("c"),
    DEVICES.indexOf(request.device), SOURCES.indexOf(request.deviceSource), network, country, region, bucket, request.route,
    tables.get("t", "/all"), tables.longestPrefix("t", "/all/x")?.key, DAYS.indexOf(now.weekday), `${now.hour}:${now.minute}`,
    now.holiday?.name.length, Number(now.nearbyHolidays.length > 0),
  ];
  return {
    lookup: "cache", variantName: "a", query: 0, keyParts: { k: String(bucket ?? "-") }, rewrite: { path: "/rewritten", query: "q=1" },
    origin: "o", requestEdits: { "x-q": "1", "x-r": null }, responseEdits: { "x-s": "2" }, logTag: "tag", rateClass: "r",
    reason: told.map((it) => (it === undefined || Number.isNaN(it) ? "-" : it)).join(" "),
  };
}

export function onResponse(request, response, now) {
  const told = [response.status, response.header("etag"), response.length, response.headerTtlSecs, response.headerBrowserTtlSecs, request.variantName, now.second];
  const reason = told.map((it) => it ?? "-").join(" ");
  if (response.status === 404) return { storing: "never", expiry: { staleAt: UNTIL }, reason };
  if (response.status !== 200) return {};
  return {
    storing: "always", admit: false, ttlSecs: 1, errorTtlSecs: 2, browserTtlSecs: 3, staleWhileRevalidateSecs: 4, staleIfErrorSecs: 5,
    expiry: { purgeAt: UNTIL }, edits: { "x-t": "3" }, tags: ["t1", "t2"], reason,
  };
}

export const planWarm = (plan, popular) => [
  { url: `/${plan}${popular[0].url}/${popular[0].requests}/${popular[0].variantName}/${popular.length}`, variants: ["a", "mobile"], priority: 7 },
];
