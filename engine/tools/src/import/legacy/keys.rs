//! The keys of a static JSON policy file, by object.

use tero_config::keys::Fallback::{Required, Rule, Value as Default};
use tero_config::keys::Form::{Count, Flag, OneOf, Table, Text, Texts};
use tero_config::keys::{ConfigKey, Section, key};

/// The longest lifetime: a year.
pub(super) const YEAR_SECS: u64 = 31_536_000;
const PATTERNS: &str = "a path, a path that ends in `*`, `*` and an ending (`*.css`), or `*`";

const COOKIES: &str = "the name of a cookie, or its beginning and `*`";

pub(super) const FILE: Section = section(
    "the file",
    "",
    &[
        key("version", Count(1, 3), Rule("3"), ""),
        key("name", Text("a name"), Rule("none"), ""),
        key("timezone", Text("an IANA zone"), Rule("UTC"), ""),
        key("business_hours", Table, Rule("none"), ""),
        key("key", Table, Rule("none"), ""),
        key("variants", Table, Rule("none"), ""),
        key("spread", Count(0, 50), Default("0"), ""),
        key("pass_cookies", Texts(COOKIES), Default("[]"), ""),
        key("rules", Table, Required, ""),
        key("warming", Table, Rule("none"), ""),
    ],
);

pub(super) const BUSINESS_HOURS: Section = section(
    "business_hours",
    "business_hours",
    &[
        key(
            "days",
            Texts("mon, tue, wed, thu, fri, sat, sun or a range of them"),
            Required,
            "",
        ),
        key("from", Text("a time of day, \"09:00\""), Required, ""),
        key("to", Text("a time of day, \"18:00\""), Required, ""),
        key("holidays", OneOf(&["closed", "open"]), Rule("open"), ""),
    ],
);

pub(super) const KEY: Section = section(
    "key",
    "key",
    &[
        key(
            "ignore_query",
            Texts("the name of a parameter, or its beginning and `*`"),
            Default("[]"),
            "",
        ),
        key("sort_query", Flag, Default("false"), ""),
    ],
);

pub(super) const VARIANT: Section = section(
    "a variant",
    "variants",
    &[
        key("devices", Texts("a device class"), Required, ""),
        key("paths", Texts(PATTERNS), Rule("everything"), ""),
    ],
);

pub(super) const RULE: Section = section(
    "a rule",
    "rules",
    &[
        key("name", Text("a name"), Rule("none"), ""),
        key("match", Texts(PATTERNS), Required, ""),
        key("cache", OneOf(&["never"]), Rule("none"), ""),
        key("ttl", Table, Rule("none"), ""),
        key("spread", Count(0, 50), Rule("that of the file"), ""),
        key(
            "stale_while_revalidate",
            Count(0, YEAR_SECS),
            Rule("none"),
            "",
        ),
        key("stale_if_error", Count(0, YEAR_SECS), Rule("none"), ""),
        key(
            "tags",
            Texts("1 to 128 visible characters"),
            Default("[]"),
            "",
        ),
        key(
            "pass_cookies",
            Texts(COOKIES),
            Rule("those of the file"),
            "",
        ),
    ],
);

pub(super) const TTL: Section = section(
    "ttl",
    "rules.ttl",
    &[
        key("business_hours", Table, Required, ""),
        key("otherwise", Table, Required, ""),
    ],
);

pub(super) const WARMING: Section = section(
    "a warming plan",
    "warming",
    &[
        key("name", Text("1 to 64 of a-z, 0-9, - and _"), Required, ""),
        key("at", Text("a time of day, \"08:30\""), Rule("none"), ""),
        key(
            "days",
            Texts("mon, tue, wed, thu, fri, sat, sun or a range of them"),
            Rule("every day"),
            "",
        ),
        key("urls", Texts("a path with its query"), Default("[]"), ""),
        key("sitemap", Text("a path"), Rule("none"), ""),
        key("popular", Count(0, 100_000), Default("0"), ""),
        key(
            "variants",
            Texts("a variant or a device class"),
            Default("[]"),
            "",
        ),
    ],
);

const fn section(header: &'static str, name: &'static str, keys: &'static [ConfigKey]) -> Section {
    Section {
        header,
        name,
        doc: "",
        keys,
    }
}
