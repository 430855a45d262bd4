// @ts-check
// Pages are fresh for two minutes while the shop is open and for half an hour otherwise, but never past the next opening or
// closing. Phones get their own pages. Private pages pass: they are neither looked up nor stored.

/**
 * @import { Manifest, Moment, Request, RequestDecision, Response, ResponseDecision } from "tero-policy"
 * @typedef {{ zone: string, open: number, close: number, private: string }} Settings Times in minutes since midnight.
 */

/** @type {Settings} */
let settings;

/**
 * Reads the settings. The operator reads a text that is thrown, and the configuration is refused.
 * @param {any} written
 * @returns {Manifest}
 */
export function configure(written) {
  const { zone, open, close, private: path, ...unknown } = written;
  if (typeof zone !== "string" || typeof path !== "string") throw "`zone` and `private` must be texts";
  const [name] = Object.keys(unknown);
  if (name) throw `unknown key \`${name}\``;
  settings = { zone, open: minutes("open", open), close: minutes("close", close), private: path };
  if (settings.close <= settings.open) throw "`close` is not after `open`";
  return { device: true, zone, variants: ["mobile"] };
}

/**
 * @param {Request} request
 * @returns {RequestDecision}
 */
export function onRequest(request) {
  if (request.path.startsWith(settings.private)) return { lookup: "pass", reason: "private" };
  return request.device === "mobile" ? { variantName: "mobile" } : {};
}

/**
 * @param {Request} request
 * @param {Response} response
 * @param {Moment} now
 * @returns {ResponseDecision}
 */
export function onResponse(request, response, now) {
  if (request.path.startsWith(settings.private)) return { storing: "never", reason: "private" };
  if (response.status !== 200) return {};
  const [open, close] = hours(now);
  let [ttlSecs, reason] = [30 * 60, "closed"];
  if (open <= now.mins && now.mins < close) {
    [ttlSecs, reason] = [Math.min(2 * 60, secondsUntil(now, close)), "open"];
  } else if (now.mins < open) {
    ttlSecs = Math.min(ttlSecs, secondsUntil(now, open));
  }
  return { storing: "always", ttlSecs, staleIfErrorSecs: 86_400, tags: ["pages"], reason };
}

/**
 * Today's hours: no hours on a holiday, and those of the calendar on a half-day.
 * @param {Moment} now
 * @returns {[number, number]}
 */
function hours(now) {
  if (!now.holiday) return [settings.open, settings.close];
  return now.holiday.open ? [now.holiday.open.fromMins, now.holiday.open.untilMins] : [0, 0];
}

/**
 * Seconds until a later minute of today, exact also in the night when the clocks change.
 * @param {Moment} now
 * @param {number} minute
 */
function secondsUntil(now, minute) {
  const secs = (minute - now.mins) * 60 - now.second;
  const change = now.nextOffsetChange;
  if (!change || change.unixSecs >= now.unixSecs + secs) return secs;
  return Math.max(secs - (change.utcOffsetMins - now.utcOffsetMins) * 60, 0);
}

/**
 * @param {string} name
 * @param {unknown} text
 */
function minutes(name, text) {
  const found = /^([01][0-9]|2[0-3]):([0-5][0-9])$/.exec(String(text));
  if (!found) throw `\`${name}\` is not a time of day: write "09:00"`;
  return Number(found[1]) * 60 + Number(found[2]);
}
