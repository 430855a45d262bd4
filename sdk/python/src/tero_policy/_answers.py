"""Checks the answers of a policy, and lowers them to the types that componentize-py makes of the contract."""

from dataclasses import fields, is_dataclass
from typing import Any, Callable, Mapping, Optional

import tero_policy as friendly

YEAR_SECS = 31_536_000
ABILITIES = ("rewrite", "answer", "log-tag", "admission", "error-ttl", "expiry")

Lower = Callable[[Any, str], Any]


class AnswerError(TypeError):
    """An answer of another shape than the contract's."""


class Lowering:
    """Lowers the answers of one hook. `types` are those of the contract."""

    def __init__(self, hook: str, types: Any) -> None:
        self.hook, self.types = hook, types

    def refuse(self, at: str, value: Any, wanted: str) -> AnswerError:
        simple = value is None or isinstance(value, (str, int, float, bool))
        shown = f"{value!r:.64}" if simple else f"a {type(value).__name__}"
        return AnswerError(f"{self.place(at)} is {shown}: it wants {wanted}")

    def place(self, at: str) -> str:
        return f"`{at}` in the answer of {self.hook}" if at else f"the answer of {self.hook}"

    def text(self, most: int, or_none: str = "") -> Lower:
        def lower(value: Any, at: str) -> str:
            if not isinstance(value, str) or len(value.encode("utf-8", "surrogatepass")) > most:
                raise self.refuse(at, value, f"a text of at most {most} bytes{or_none}")
            return value

        return lower

    def whole(self, least: int, most: int, or_none: str = "") -> Lower:
        def lower(value: Any, at: str) -> int:
            if type(value) is not int or not least <= value <= most:
                raise self.refuse(at, value, f"a whole number from {least} to {most}{or_none}")
            return value

        return lower

    def flag(self, value: Any, at: str) -> bool:
        if type(value) is not bool:
            raise self.refuse(at, value, "True or False")
        return value

    def one_of(self, kind: Any, *names: str, or_none: str = "") -> Lower:
        def lower(value: Any, at: str) -> Any:
            if value not in names:
                wanted = ", ".join(f'"{name}"' for name in names)
                raise self.refuse(at, value, f"one of {wanted}{or_none}")
            return getattr(kind, value.replace("-", "_").upper())

        return lower

    def listed(self, lower: Lower, most: int) -> Lower:
        def lower_all(value: Any, at: str) -> list[Any]:
            if not isinstance(value, (list, tuple)) or len(value) > most:
                raise self.refuse(at, value, f"a list of at most {most}")
            return [lower(each, f"{at}[{index}]") for index, each in enumerate(value)]

        return lower_all

    def pairs(self, lower: Lower, most: int, make: Callable[[str, Any], Any]) -> Lower:
        def lower_all(value: Any, at: str) -> list[Any]:
            if not isinstance(value, Mapping) or len(value) > most:
                raise self.refuse(at, value, f"a dict of at most {most} from names to values")
            return [make(name, lower(each, f"{at}.{name}")) for name, each in value.items()]

        return lower_all

    def optional(self, lower: Lower) -> Lower:
        return lambda value, at: None if value is None else lower(value, at)

    def record(self, kind: type, value: Any, at: str, or_none: str = "") -> None:
        """Checks that a value is of this kind, without fields that it doesn't have."""
        if type(value) is not kind:
            raise self.refuse(at, value, f"a {kind.__name__}{or_none}")
        assert is_dataclass(kind)
        known = [each.name for each in fields(kind)]
        for name in vars(value):
            if name not in known:
                raise AnswerError(f"{self.place(at)} has the field `{name}`, which is not one of {', '.join(known)}")

    def maybe_text(self, most: int) -> Lower:
        return self.optional(self.text(most, " or None"))

    def edits(self, value: Any, at: str) -> list[Any]:
        lowered: list[Any] = self.pairs(self.maybe_text(4096), 32, self.types.Edit)(value, at)
        return lowered

    def network(self, value: Any, at: str) -> Any:
        self.record(friendly.NetworkPrefix, value, at)
        return self.types.NetworkPrefix(self.whole(0, 32)(value.ipv4, f"{at}.ipv4"), self.whole(0, 128)(value.ipv6, f"{at}.ipv6"))

    def bucket(self, value: Any, at: str) -> Any:
        self.record(friendly.BucketRule, value, at, " or None")
        return self.types.BucketRule(
            self.text(64)(value.experiment, f"{at}.experiment"),
            self.whole(2, 10_000)(value.buckets, f"{at}.buckets"),
            self.maybe_text(256)(value.cookie, f"{at}.cookie"),
            self.network(value.network, f"{at}.network"),
        )

    def manifest(self, value: Any, hooks: list[str]) -> Any:
        self.record(friendly.Manifest, value, "")
        types, names = self.types, self.listed(self.text(256), 32)
        lowered: dict[str, Any] = {
            name: names(getattr(value, name), name)
            for name in (
                "headers", "cookies", "response_headers", "tables", "variants", "key_parts", "origins", "rate_classes", "request_edits",
                "response_edits", "stored_edits",
            )
        }  # fmt: skip
        for name in ("query", "device", "device_source", "country", "region", "route"):
            lowered[name] = self.flag(getattr(value, name), name)
        lowered["query_rules"] = self.listed(self.query_rule, 32)(value.query_rules, "query_rules")
        lowered["zone"] = self.maybe_text(256)(value.zone, "zone")
        lowered["network"] = self.optional(self.network)(value.network, "network")
        lowered["bucket"] = self.optional(self.bucket)(value.bucket, "bucket")
        hook = self.one_of(types.Hook, "on-request", "on-response", "plan-warm")
        lowered["hooks"] = self.listed(hook, 3)(hooks if value.hooks is None else value.hooks, "hooks")
        abilities = types.Abilities(0)
        for ability in self.listed(self.one_of(types.Abilities, *ABILITIES), 6)(value.abilities, "abilities"):
            abilities |= ability
        patterns = self.optional(self.listed(self.text(1024), 256))(value.path_patterns, "path_patterns")
        each = self.flag(value.each_response, "each_response")
        lowered["path_patterns"] = None if patterns is None else types.PathPatterns(patterns, each)
        return types.Manifest(abilities=abilities, **lowered)

    def query_rule(self, value: Any, at: str) -> Any:
        self.record(friendly.QueryRule, value, at, " or None")
        names, types = self.listed(self.text(256), 128), self.types
        if value.only is not None:
            parameters = types.QueryParameters_Only(names(value.only, f"{at}.only"))
        elif value.ignore is not None:
            parameters = types.QueryParameters_Ignore(names(value.ignore, f"{at}.ignore"))
        else:
            parameters = types.QueryParameters_All()
        return types.QueryRule(parameters, self.flag(value.sort, f"{at}.sort"))

    def query_choice(self, value: Any, at: str) -> Any:
        if isinstance(value, int):
            return self.types.QueryChoice_Declared(self.whole(0, 31)(value, at))
        return self.types.QueryChoice_Rule(self.query_rule(value, at))

    def rewrite(self, value: Any, at: str) -> Any:
        self.record(friendly.Rewrite, value, at, " or None")
        text = self.maybe_text(8192)
        return self.types.Rewrite(text(value.path, f"{at}.path"), text(value.query, f"{at}.query"))

    def answer(self, value: Any, at: str) -> Any:
        self.record(friendly.Answer, value, at, " or None")

        def lines(value: Any, at: str) -> list[str]:
            line = self.text(4096)
            return [line(value, at)] if isinstance(value, str) else self.listed(line, 32)(value, at)

        by_name = self.pairs(lines, 32, lambda name, values: [(name, value) for value in values])(value.fields, f"{at}.fields")
        return self.types.Answer(
            self.whole(200, 599)(value.status, f"{at}.status"),
            [pair for pairs in by_name for pair in pairs],
            self.text(65_536)(value.body, f"{at}.body"),
        )

    def request_decision(self, value: Any) -> Any:
        self.record(friendly.RequestDecision, value, "")
        types = self.types
        lookup = self.one_of(types.Lookup, "cache", "pass", or_none=" or None")
        return types.RequestDecision(
            lookup=self.optional(lookup)(value.lookup, "lookup"),
            variant_name=self.maybe_text(32)(value.variant_name, "variant_name"),
            query=self.optional(self.query_choice)(value.query, "query"),
            key_parts=self.pairs(self.text(128), 8, types.KeyPart)(value.key_parts, "key_parts"),
            rewrite=self.optional(self.rewrite)(value.rewrite, "rewrite"),
            origin=self.maybe_text(256)(value.origin, "origin"),
            request_edits=self.edits(value.request_edits, "request_edits"),
            response_edits=self.edits(value.response_edits, "response_edits"),
            answer=self.optional(self.answer)(value.answer, "answer"),
            log_tag=self.maybe_text(64)(value.log_tag, "log_tag"),
            rate_class=self.maybe_text(256)(value.rate_class, "rate_class"),
            reason=self.maybe_text(200)(value.reason, "reason"),
        )

    def expiry(self, value: Any, at: str) -> Any:
        self.record(friendly.Expiry, value, at, " or None")
        instant = self.whole(0, 2**63)
        if value.purge_at is not None:
            return self.types.Expiry_PurgeAt(instant(value.purge_at, f"{at}.purge_at"))
        return self.types.Expiry_StaleAt(instant(value.stale_at, f"{at}.stale_at"))

    def response_decision(self, value: Any) -> Any:
        self.record(friendly.ResponseDecision, value, "")

        def secs(name: str) -> Optional[int]:
            found: Optional[int] = self.optional(self.whole(0, YEAR_SECS, " or None"))(getattr(value, name), name)
            return found

        storing = self.one_of(self.types.Storing, "by-headers", "never", "always")
        return self.types.ResponseDecision(
            storing=storing(value.storing, "storing"),
            admit=self.optional(self.flag)(value.admit, "admit"),
            ttl_secs=secs("ttl_secs"),
            error_ttl_secs=secs("error_ttl_secs"),
            browser_ttl_secs=secs("browser_ttl_secs"),
            stale_while_revalidate_secs=secs("stale_while_revalidate_secs"),
            stale_if_error_secs=secs("stale_if_error_secs"),
            expiry=self.optional(self.expiry)(value.expiry, "expiry"),
            edits=self.edits(value.edits, "edits"),
            tags=self.listed(self.text(128), 64)(value.tags, "tags"),
            reason=self.maybe_text(200)(value.reason, "reason"),
        )

    def warm_urls(self, value: Any) -> list[Any]:
        def page(value: Any, at: str) -> Any:
            self.record(friendly.WarmUrl, value, at)
            return self.types.WarmUrl(
                self.text(8192)(value.url, f"{at}.url"),
                self.listed(self.text(256), 64)(value.variants, f"{at}.variants"),
                self.whole(0, 255)(value.priority, f"{at}.priority"),
            )

        lowered: list[Any] = self.listed(page, 100_000)(value, "")
        return lowered
