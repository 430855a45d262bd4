// Pages are fresh for two minutes while the shop is open and for half an hour otherwise, but never past the next opening or
// closing. Phones get their own pages. Private pages pass: they are neither looked up nor stored.

import { Device, Manifest, Moment, Request, RequestDecision, Response, ResponseDecision, Settings, refuse } from "./tero";

let privatePath = "";
// Minutes since midnight.
let opens = 0;
let closes = 0;

/** Reads the settings. The operator reads the refusal, and the configuration is refused. */
export function configure(text: string): Manifest | null {
  const settings = new Settings(text);
  if (settings.error.length) return refuse(settings.error);
  const unknown = settings.unknown(["zone", "open", "close", "private"]);
  if (unknown.length) return refuse("unknown key `" + unknown + "`");
  privatePath = settings.text("private");
  const zone = settings.text("zone");
  if (!zone.length || !privatePath.length) return refuse("`zone` and `private` must be texts");
  opens = minutes(settings.text("open"));
  closes = minutes(settings.text("close"));
  if (opens < 0) return refuse('`open` is not a time of day: write "09:00"');
  if (closes < 0) return refuse('`close` is not a time of day: write "09:00"');
  if (closes <= opens) return refuse("`close` is not after `open`");
  const manifest = new Manifest();
  manifest.device = true;
  manifest.zone = zone;
  manifest.variants = ["mobile"];
  return manifest;
}

export function onRequest(request: Request, _now: Moment): RequestDecision {
  const decision = new RequestDecision();
  if (request.path.startsWith(privatePath)) return decision.pass().because("private");
  return request.device == Device.Mobile ? decision.variant("mobile") : decision;
}

export function onResponse(request: Request, response: Response, now: Moment): ResponseDecision {
  const decision = new ResponseDecision();
  if (request.path.startsWith(privatePath)) return decision.never().because("private");
  if (response.status != 200) return decision;
  // Today's hours: no hours on a holiday, and those of the calendar on a half-day.
  let open = opens;
  let close = closes;
  const holiday = now.holiday;
  if (holiday) {
    const half = holiday.open;
    open = half ? half.fromMins : 0;
    close = half ? half.untilMins : 0;
  }
  const isOpen = open <= now.mins && now.mins < close;
  let ttl = 30 * 60;
  if (isOpen) ttl = min(2 * 60, secondsUntil(now, close));
  else if (now.mins < open) ttl = min(ttl, secondsUntil(now, open));
  decision.cacheFor(ttl).because(isOpen ? "open" : "closed");
  decision.staleIfErrorSecs = 86_400;
  decision.tags = ["pages"];
  return decision;
}

/** Seconds until a later minute of today, exact also in the night when the clocks change. */
function secondsUntil(now: Moment, minute: i32): i32 {
  const secs = (minute - now.mins) * 60 - now.second;
  const change = now.nextOffsetChange;
  if (!change || change.unixSecs >= now.unixSecs + <u64>secs) return secs;
  return max(secs - (change.utcOffsetMins - now.utcOffsetMins) * 60, 0);
}

/** Minutes since midnight, or -1 if the text is not a time of day. */
function minutes(text: string): i32 {
  if (text.length != 5 || text.charAt(2) != ":") return -1;
  const hour = <i32>Number.parseInt(text.slice(0, 2), 10);
  const minute = <i32>Number.parseInt(text.slice(3), 10);
  return 0 <= hour && hour < 24 && 0 <= minute && minute < 60 ? hour * 60 + minute : -1;
}
