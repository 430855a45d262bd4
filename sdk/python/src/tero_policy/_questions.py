"""The questions of the engine as friendly objects. Their texts come as one string, and spans point into its UTF-8."""

from typing import Any, Callable, Optional

import tero_policy as friendly


class Lifting:
    """Lifts the parts of one question."""

    def __init__(self, texts: str) -> None:
        self.cut: Callable[[Any], str]
        if texts.isascii():
            self.cut = lambda span: texts[span.start : span.start + span.length]
        else:
            raw = texts.encode()
            self.cut = lambda span: raw[span.start : span.start + span.length].decode()

    def optional(self, span: Any) -> Optional[str]:
        return None if span is None else self.cut(span)

    def pairs(self, fields: Any) -> list[tuple[str, str]]:
        return [(self.cut(field.name), self.cut(field.value)) for field in fields]

    def word(self, case: Any) -> Any:
        return case.name.lower().replace("_", "-")

    def request(self, raw: Any) -> friendly.Request:
        client = raw.client
        return friendly.Request(
            self.cut(raw.method),
            self.cut(raw.scheme),
            self.cut(raw.host),
            self.cut(raw.path),
            self.optional(raw.query),
            self.pairs(raw.headers),
            self.pairs(raw.cookies),
            self.word(raw.device),
            self.word(raw.device_source),
            friendly.Client(self.optional(client.network), self.optional(client.country), self.optional(client.region), client.bucket),
            self.optional(raw.route),
            self.optional(raw.variant_name),
        )

    def response(self, raw: Any) -> friendly.Response:
        return friendly.Response(
            raw.status, self.pairs(raw.headers), raw.length, raw.header_ttl_secs, raw.header_browser_ttl_secs, raw.key_hash
        )

    def holiday(self, raw: Any) -> friendly.Holiday:
        return friendly.Holiday(self.cut(raw.name), raw.open and friendly.Opening(raw.open.from_mins, raw.open.until_mins))

    def moment(self, raw: Any) -> friendly.Moment:
        change = raw.next_offset_change
        return friendly.Moment(
            raw.unix_secs,
            raw.year,
            raw.month,
            raw.day,
            self.word(raw.weekday),
            raw.hour,
            raw.minute,
            raw.second,
            raw.utc_offset_mins,
            change and friendly.OffsetChange(change.unix_secs, change.utc_offset_mins),
            raw.holiday and self.holiday(raw.holiday),
            [friendly.NearbyHoliday(near.days_ahead, self.holiday(near.holiday)) for near in raw.nearby_holidays],
        )

    def popular(self, pages: Any) -> list[friendly.PopularPage]:
        return [friendly.PopularPage(self.cut(page.url), page.requests, self.optional(page.variant_name)) for page in pages]
