"""Pages are fresh for two minutes while the shop is open and for half an hour otherwise, but never past the next opening or
closing. Phones get their own pages. Private pages pass: they are neither looked up nor stored."""

import json
from dataclasses import dataclass
from typing import List, Tuple

from componentize_py_types import Err
from wit_world import WitWorld as Policy
from wit_world.imports.types import (
    Device,
    Hook,
    Lookup,
    Manifest,
    Moment,
    PopularPage,
    Request,
    RequestDecision,
    Response,
    ResponseDecision,
    Storing,
    WarmUrl,
)


@dataclass
class Settings:
    """Times in minutes since midnight."""

    zone: str
    open: int
    close: int
    private: str


settings: Settings


class WitWorld(Policy):
    def configure(self, text: str) -> Manifest:
        """Reads the settings. The operator reads an Err that is raised, and the configuration is refused."""
        global settings
        written = json.loads(text)
        unknown = sorted(written.keys() - {"zone", "open", "close", "private"})
        if unknown:
            raise Err(f"unknown key `{unknown[0]}`")
        zone, private = written.get("zone"), written.get("private")
        if not isinstance(zone, str) or not isinstance(private, str):
            raise Err("`zone` and `private` must be texts")
        settings = Settings(zone, minutes("open", written.get("open")), minutes("close", written.get("close")), private)
        if settings.close <= settings.open:
            raise Err("`close` is not after `open`")
        return Manifest(
            hooks=[Hook.ON_REQUEST, Hook.ON_RESPONSE],
            headers=[],
            cookies=[],
            response_headers=[],
            query=False,
            device=True,
            zone=zone,
            variants=["mobile"],
        )

    def on_request(self, request: Request, now: Moment) -> RequestDecision:
        if request.path.startswith(settings.private):
            return RequestDecision(Lookup.PASS, None, None, "private")
        variant = "mobile" if request.device == Device.MOBILE else None
        return RequestDecision(None, variant, None, None)

    def on_response(self, request: Request, response: Response, now: Moment) -> ResponseDecision:
        if request.path.startswith(settings.private):
            return ResponseDecision(Storing.NEVER, None, None, None, None, [], "private")
        if response.status != 200:
            return ResponseDecision(Storing.BY_HEADERS, None, None, None, None, [], None)
        opens, closes = hours(now)
        time = now.hour * 60 + now.minute
        ttl, reason = 30 * 60, "closed"
        if opens <= time < closes:
            ttl, reason = min(2 * 60, seconds_until(now, closes)), "open"
        elif time < opens:
            ttl = min(ttl, seconds_until(now, opens))
        return ResponseDecision(
            storing=Storing.ALWAYS,
            ttl_secs=ttl,
            browser_ttl_secs=None,
            stale_while_revalidate_secs=None,
            stale_if_error_secs=86_400,
            tags=["pages"],
            reason=reason,
        )

    def plan_warm(self, plan: str, popular: List[PopularPage], now: Moment) -> List[WarmUrl]:
        return []


def hours(now: Moment) -> Tuple[int, int]:
    """Today's hours: no hours on a holiday, and those of the calendar on a half-day."""
    if now.holiday is None:
        return settings.open, settings.close
    half_day = now.holiday.open
    return (half_day.from_mins, half_day.until_mins) if half_day else (0, 0)


def seconds_until(now: Moment, minute: int) -> int:
    """Seconds until a later minute of today, exact also in the night when the clocks change."""
    secs = (minute - now.hour * 60 - now.minute) * 60 - now.second
    change = now.next_offset_change
    if change is None or change.unix_secs >= now.unix_secs + secs:
        return secs
    return max(secs - (change.utc_offset_mins - now.utc_offset_mins) * 60, 0)


def minutes(name: str, text: object) -> int:
    hour, _, minute = str(text).partition(":")
    if len(hour) == len(minute) == 2 and (hour + minute).isdecimal() and int(hour) < 24 and int(minute) < 60:
        return int(hour) * 60 + int(minute)
    raise Err(f'`{name}` is not a time of day: write "09:00"')
