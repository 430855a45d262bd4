# mypy: ignore-errors
from tero_policy import (
    Answer, BucketRule, Expiry, Manifest, NetworkPrefix, QueryRule, RequestDecision, ResponseDecision, Rewrite, WarmUrl, tables,
)  # fmt: skip

DEVICES = ["desktop", "mobile", "tablet", "tv", "bot", "unknown"]
SOURCES = ["client-hints", "user-agent", "nothing"]
DAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
UNTIL = 2_000_000_000


def configure(settings):
    return Manifest(
        headers=["x-a"], cookies=["c"], response_headers=["etag"], query=True, device=True, device_source=True,
        zone="America/Argentina/Buenos_Aires", network=NetworkPrefix(16, 40), country=True, region=True,
        bucket=BucketRule("e", 7, "v"), route=True, tables=["t"], variants=["a"], query_rules=[QueryRule(ignore=["utm_*"], sort=True)],
        key_parts=["k"], origins=["o"], rate_classes=["r"], request_edits=["x-q", "x-r"], response_edits=["x-s"], stored_edits=["x-t"],
        abilities=["rewrite", "answer", "log-tag", "admission", "error-ttl", "expiry"],
        path_patterns=["/all", "/answer", "/rule"], each_response=True,
    )  # fmt: skip


def told(*parts):
    return " ".join("-" if part is None else str(part) for part in parts)


def on_request(request, now):
    if request.path == "/answer":
        return RequestDecision(answer=Answer(410, {"x-u": "1"}, "hóla"))
    if request.path == "/rule":
        return RequestDecision(query=QueryRule(only=["a"]))
    if request.path != "/all":
        return RequestDecision()
    client, field = request.client, request.header("x-a")
    row = tables.longest_prefix("t", "/all/x")
    reason = told(
        request.method, request.scheme, request.host, request.path, request.query, field and len(field) + 1, request.cookie("c"),
        DEVICES.index(request.device), SOURCES.index(request.device_source), client.network, client.country, client.region, client.bucket,
        request.route, tables.get("t", "/all"), row and row.key, DAYS.index(now.weekday), f"{now.hour}:{now.minute}",
        now.holiday and len(now.holiday.name), int(len(now.nearby_holidays) > 0),
    )  # fmt: skip
    return RequestDecision(
        lookup="cache", variant_name="a", query=0, key_parts={"k": told(client.bucket)}, rewrite=Rewrite("/rewritten", "q=1"), origin="o",
        request_edits={"x-q": "1", "x-r": None}, response_edits={"x-s": "2"}, log_tag="tag", rate_class="r", reason=reason,
    )  # fmt: skip


def on_response(request, response, now):
    reason = told(
        response.status, response.header("etag"), response.length, response.header_ttl_secs, response.header_browser_ttl_secs,
        request.variant_name, now.second,
    )  # fmt: skip
    if response.status == 404:
        return ResponseDecision(storing="never", expiry=Expiry(stale_at=UNTIL), reason=reason)
    if response.status != 200:
        return ResponseDecision()
    return ResponseDecision("always", False, 1, 2, 3, 4, 5, Expiry(purge_at=UNTIL), {"x-t": "3"}, ["t1", "t2"], reason)


def plan_warm(plan, popular, now):
    first = popular[0]
    return [WarmUrl(f"/{plan}{first.url}/{first.requests}/{first.variant_name}/{len(popular)}", ["a", "mobile"], 7)]
