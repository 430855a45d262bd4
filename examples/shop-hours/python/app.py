"""Pages are fresh for two minutes while the shop is open and for half an hour otherwise, but never past the next opening or
closing. Phones get their own pages. Private pages pass: they are neither looked up nor stored."""

from dataclasses import dataclass
from typing import Any, Tuple

from tero_policy import Manifest, Moment, Refusal, Request, RequestDecision, Response, ResponseDecision


@dataclass
class Settings:
    """Times in minutes since midnight."""

    zone: str
    open: int
    close: int
    private: str


settings: Settings


def configure(written: Any) -> Manifest:
    """Reads the settings. The operator reads a Refusal that is raised, and the configuration is refused."""
    global settings
    unknown = sorted(written.keys() - {"zone", "open", "close", "private"})
    if unknown:
        raise Refusal(f"unknown key `{unknown[0]}`")
    zone, private = written.get("zone"), written.get("private")
    if not isinstance(zone, str) or not isinstance(private, str):
        raise Refusal("`zone` and `private` must be texts")
    settings = Settings(zone, minutes("open", written.get("open")), minutes("close", written.get("close")), private)
    if settings.close <= settings.open:
        raise Refusal("`close` is not after `open`")
    return Manifest(device=True, zone=zone, variants=["mobile"])


def on_request(request: Request, now: Moment) -> RequestDecision:
    if request.path.startswith(settings.private):
        return RequestDecision(lookup="pass", reason="private")
    return RequestDecision(variant_name="mobile") if request.device == "mobile" else RequestDecision()


def on_response(request: Request, response: Response, now: Moment) -> ResponseDecision:
    if request.path.startswith(settings.private):
        return ResponseDecision(storing="never", reason="private")
    if response.status != 200:
        return ResponseDecision()
    open_mins, close_mins = hours(now)
    ttl, reason = 30 * 60, "closed"
    if open_mins <= now.mins < close_mins:
        ttl, reason = min(2 * 60, seconds_until(now, close_mins)), "open"
    elif now.mins < open_mins:
        ttl = min(ttl, seconds_until(now, open_mins))
    return ResponseDecision(storing="always", ttl_secs=ttl, stale_if_error_secs=86_400, tags=["pages"], reason=reason)


def hours(now: Moment) -> Tuple[int, int]:
    """Today's hours: no hours on a holiday, and those of the calendar on a half-day."""
    if now.holiday is None:
        return settings.open, settings.close
    if now.holiday.open is None:
        return 0, 0
    return now.holiday.open.from_mins, now.holiday.open.until_mins


def seconds_until(now: Moment, minute: int) -> int:
    """Seconds until a later minute of today, exact also in the night when the clocks change."""
    secs = (minute - now.mins) * 60 - now.second
    change = now.next_offset_change
    if change is None or change.unix_secs >= now.unix_secs + secs:
        return secs
    return max(secs - (change.utc_offset_mins - now.utc_offset_mins) * 60, 0)


def minutes(name: str, text: object) -> int:
    hour, _, minute = str(text).partition(":")
    if len(hour) == len(minute) == 2 and (hour + minute).isdecimal() and int(hour) < 24 and int(minute) < 60:
        return int(hour) * 60 + int(minute)
    raise Refusal(f'`{name}` is not a time of day: write "09:00"')
