// Scheduled publishing: the application knows when a page will change, and says so in the field `X-Changes-At`. Until then the page
// is fresh. At that instant it is purged, or becomes stale, so that visitors see the new one.

import type { Configure, OnResponse } from "tero-policy";

interface Settings {
  /** How long pages are fresh, such as `10min`. */
  ttl: string;
  /** Whether an old page is purged. Otherwise it is stale, and may be served while the new one is fetched. */
  purge: boolean;
}

/** When the page changes: `2026-12-01T09:00:00-03:00`. */
const CHANGES_AT = "x-changes-at";
const UNITS: Record<string, number> = { s: 1, min: 60, h: 3_600, d: 86_400 };

let ttlSecs: number;
let purge: boolean;

export const configure: Configure = (settings) => {
  const { ttl, purge: given, ...unknown } = settings as Settings;
  for (const key of Object.keys(unknown)) throw `unknown key \`${key}\``;
  const found = /^([0-9]+)(s|min|h|d)$/.exec(String(ttl));
  if (!found) throw "`ttl` is not a duration: write \"10min\"";
  if (typeof given !== "boolean") throw "`purge` must be true or false";
  ttlSecs = Number(found[1]) * UNITS[found[2]!]!;
  purge = given;
  return { responseHeaders: [CHANGES_AT], pathPatterns: [], abilities: ["expiry"] };
};

export const onResponse: OnResponse = (_request, response) => {
  if (response.status !== 200) return {};
  const text = response.header(CHANGES_AT);
  if (text === undefined) return { storing: "always", ttlSecs, reason: "no instant" };
  const at = instant(text);
  if (at === undefined) return { storing: "always", ttlSecs, reason: "not an instant" };
  return { storing: "always", ttlSecs, expiry: purge ? { purgeAt: at } : { staleAt: at }, reason: "changes then" };
};

/** The seconds since the Unix epoch of a time with its offset. */
function instant(text: string): number | undefined {
  if (!/^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(Z|[+-]\d{2}:\d{2})$/.test(text)) return undefined;
  const millis = Date.parse(text);
  return Number.isNaN(millis) || millis < 0 ? undefined : Math.floor(millis / 1000);
}
