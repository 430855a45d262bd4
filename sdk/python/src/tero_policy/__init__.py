"""Write policies for the tero caching edge in Python.

A policy is a module `app` with these functions; those for hooks that it doesn't have are left out:

    def configure(settings: Any) -> Manifest
    def on_request(request: Request, now: Moment) -> RequestDecision
    def on_response(request: Request, response: Response, now: Moment) -> ResponseDecision
    def plan_warm(plan: str, popular: Sequence[PopularPage], now: Moment) -> list[WarmUrl]
"""

from dataclasses import dataclass, field
from typing import Literal, Mapping, Optional, Sequence, Union

from . import _host

__all__ = [
    "Answer", "BucketRule", "Client", "Expiry", "Holiday", "Manifest", "Moment", "NearbyHoliday", "NetworkPrefix", "OffsetChange",
    "Opening", "PopularPage", "QueryRule", "Refusal", "Request", "RequestDecision", "Response", "ResponseDecision", "Rewrite", "Row",
    "Tables", "WarmUrl", "log", "redirect", "tables",
]  # fmt: skip

Device = Literal["desktop", "mobile", "tablet", "tv", "bot", "unknown"]
DeviceSource = Literal["client-hints", "user-agent", "nothing"]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
Hook = Literal["on-request", "on-response", "plan-warm"]
Ability = Literal["rewrite", "answer", "log-tag", "admission", "error-ttl", "expiry"]


class Refusal(Exception):
    """Raised in `configure`: the operator reads its text, and the configuration is refused."""


# What a policy is told


@dataclass(frozen=True)
class Opening:
    """Minutes since local midnight, from 0 to 1440."""

    from_mins: int
    until_mins: int


@dataclass(frozen=True)
class Holiday:
    """A day of the policy's calendar. Without `open` it is closed; with `open` it is a half-day with these hours."""

    name: str
    open: Optional[Opening] = None


@dataclass(frozen=True)
class NearbyHoliday:
    """A calendar entry of a day before or after today."""

    days_ahead: int
    holiday: Holiday


@dataclass(frozen=True)
class OffsetChange:
    """The next change of the zone's offset from UTC."""

    unix_secs: int
    utc_offset_mins: int


@dataclass(frozen=True)
class Moment:
    """The local time of the policy's zone. In `on_request` it is cut to the minute, and without a zone in the manifest it is the
    Unix epoch, so that decisions can be remembered."""

    unix_secs: int = 0
    year: int = 1970
    month: int = 1
    day: int = 1
    weekday: Weekday = "thursday"
    hour: int = 0
    minute: int = 0
    second: int = 0
    utc_offset_mins: int = 0
    next_offset_change: Optional[OffsetChange] = None
    holiday: Optional[Holiday] = None
    nearby_holidays: Sequence[NearbyHoliday] = ()

    @property
    def mins(self) -> int:
        """Minutes since local midnight."""
        return self.hour * 60 + self.minute


@dataclass(frozen=True)
class Client:
    """The client, as far as the manifest names it."""

    network: Optional[str] = None
    country: Optional[str] = None
    region: Optional[str] = None
    bucket: Optional[int] = None


def _find(fields: Sequence[tuple[str, str]], name: str) -> Optional[str]:
    return next((value for found, value in fields if found == name), None)


@dataclass(frozen=True)
class Request:
    """A request. Only the inputs that the manifest names are filled in, and always method, scheme, host and path."""

    method: str = "GET"
    scheme: str = "https"
    host: str = "localhost"
    path: str = "/"
    query: Optional[str] = None
    headers: Sequence[tuple[str, str]] = ()
    cookies: Sequence[tuple[str, str]] = ()
    device: Device = "unknown"
    device_source: DeviceSource = "nothing"
    client: Client = Client()
    route: Optional[str] = None
    variant_name: Optional[str] = None

    def header(self, name: str) -> Optional[str]:
        """The first line of a field."""
        return _find(self.headers, name.lower())

    def cookie(self, name: str) -> Optional[str]:
        """The value of a cookie."""
        return _find(self.cookies, name)


@dataclass(frozen=True)
class Response:
    status: int = 200
    headers: Sequence[tuple[str, str]] = ()
    length: Optional[int] = None
    header_ttl_secs: Optional[int] = None
    header_browser_ttl_secs: Optional[int] = None
    key_hash: int = 0

    def header(self, name: str) -> Optional[str]:
        """The first line of a field."""
        return _find(self.headers, name.lower())


@dataclass(frozen=True)
class PopularPage:
    """A page that visitors requested. The most requested page comes first."""

    url: str
    requests: int
    variant_name: Optional[str] = None


# What a policy answers


@dataclass
class NetworkPrefix:
    """How much of a client's address is told: bits of an IPv4 address or of an IPv6 address."""

    ipv4: int = 24
    ipv6: int = 48


@dataclass
class BucketRule:
    """How visitors are divided into buckets. A visitor stays in its bucket."""

    experiment: str
    buckets: int
    cookie: Optional[str] = None
    network: NetworkPrefix = field(default_factory=NetworkPrefix)


@dataclass
class Manifest:
    """What decisions depend on, and what the policy may do. The hooks are the functions that it has, unless they are named."""

    hooks: Optional[Sequence[Hook]] = None
    headers: Sequence[str] = ()
    cookies: Sequence[str] = ()
    response_headers: Sequence[str] = ()
    query: bool = False
    device: bool = False
    device_source: bool = False
    zone: Optional[str] = None
    network: Optional[NetworkPrefix] = None
    country: bool = False
    region: bool = False
    bucket: Optional[BucketRule] = None
    route: bool = False
    tables: Sequence[str] = ()
    variants: Sequence[str] = ()
    query_rules: Sequence["QueryRule"] = ()
    key_parts: Sequence[str] = ()
    origins: Sequence[str] = ()
    rate_classes: Sequence[str] = ()
    request_edits: Sequence[str] = ()
    response_edits: Sequence[str] = ()
    stored_edits: Sequence[str] = ()
    abilities: Sequence[Ability] = ()
    path_patterns: Optional[Sequence[str]] = None
    """The patterns by which decisions depend on the path (`/shops/*`); `None` if they depend on all of it. The edge asks once for
    all pages that the same patterns match, so a decision must hold for each of them."""
    each_response: bool = False
    """With `path_patterns`, whether `on_response` depends on a response's length and key too."""


@dataclass
class QueryRule:
    """The query parameters that count: only those of `only`, or all but those of `ignore`. A name may end in `*`."""

    ignore: Optional[Sequence[str]] = None
    only: Optional[Sequence[str]] = None
    sort: bool = False


@dataclass
class Rewrite:
    """What the origin is asked for instead. None leaves the client's."""

    path: Optional[str] = None
    query: Optional[str] = None


@dataclass
class Answer:
    """An answer of the policy's own."""

    status: int
    fields: Mapping[str, Union[str, Sequence[str]]] = field(default_factory=dict)
    body: str = ""


def redirect(status: int, location: str) -> Answer:
    """An answer that redirects."""
    return Answer(status, {"location": location})


@dataclass
class RequestDecision:
    """A decision about a request. What is left out is left to the site's next policy, and then to the engine. In edits None removes
    a field."""

    lookup: Optional[Literal["cache", "pass"]] = None
    variant_name: Optional[str] = None
    # A rule, or the place of one in the manifest's `query_rules`, which costs less.
    query: Optional[Union[QueryRule, int]] = None
    key_parts: Mapping[str, str] = field(default_factory=dict)
    rewrite: Optional[Rewrite] = None
    origin: Optional[str] = None
    request_edits: Mapping[str, Optional[str]] = field(default_factory=dict)
    response_edits: Mapping[str, Optional[str]] = field(default_factory=dict)
    answer: Optional[Answer] = None
    log_tag: Optional[str] = None
    rate_class: Optional[str] = None
    reason: Optional[str] = None


@dataclass
class Expiry:
    """When a stored response ends at the latest, in seconds since the Unix epoch: it is purged then, or stale from then on."""

    purge_at: Optional[int] = None
    stale_at: Optional[int] = None


@dataclass
class ResponseDecision:
    """A decision about a response. What is left out is left to the next policy, and then to the response's own fields."""

    storing: Literal["by-headers", "never", "always"] = "by-headers"
    admit: Optional[bool] = None
    ttl_secs: Optional[int] = None
    error_ttl_secs: Optional[int] = None
    browser_ttl_secs: Optional[int] = None
    stale_while_revalidate_secs: Optional[int] = None
    stale_if_error_secs: Optional[int] = None
    expiry: Optional[Expiry] = None
    edits: Mapping[str, Optional[str]] = field(default_factory=dict)
    tags: Sequence[str] = ()
    reason: Optional[str] = None


@dataclass
class WarmUrl:
    """A page to fetch ahead of demand: the path with its query. Pages with a higher priority are fetched first."""

    url: str
    variants: Sequence[str] = ()
    priority: int = 0


# The log and the tables


@dataclass(frozen=True)
class Row:
    key: str
    value: str


def log(message: str) -> None:
    """Writes a line to the operator's log; cut at 1 KiB, and at 16 lines a call."""
    _host.log(message)


class Tables:
    """Data tables of the manifest. A table does not change during a call."""

    def get(self, table: str, key: str) -> Optional[str]:
        """The value of a key."""
        return _host.get(table, key)

    def longest_prefix(self, table: str, text: str) -> Optional[Row]:
        """The row with the longest key that `text` begins with. In a table of networks `text` is an address or a network, and the
        row is that of the smallest network that contains it."""
        row = _host.longest_prefix(table, text)
        return None if row is None else Row(*row)


tables = Tables()
