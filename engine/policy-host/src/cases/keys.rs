//! Every key of a file of cases, in tables as those of the configuration.

use tero_config::keys::Fallback::{Required, Rule, Value};
use tero_config::keys::Form::{Count, Flag, OneOf, Table, Text, Texts};
use tero_config::keys::{POLICY_LIMITS, Section, key, tables};

const DURATION: tero_config::keys::Form = Text("a duration, or `false` for none");

pub(super) const FILE: Section = Section {
    header: "the file",
    name: "",
    doc: "The policy that is tried.",
    keys: &[
        key(
            "module",
            Text("`builtin:NAME` or a path, relative to this file"),
            Required,
            "A shipped policy or a `.wasm` file.",
        ),
        key(
            "name",
            Text("1 to 64 of `a-z`, `0-9`, `-`, `_`"),
            Rule("that of the module"),
            "What messages call the policy.",
        ),
        key(
            "settings",
            Table,
            Value("{}"),
            "What the policy reads, given to it as JSON text.",
        ),
        key(
            "settings_file",
            Text("a path, relative to this file"),
            Rule("none"),
            "A file of JSON text; instead of `settings`.",
        ),
        key(
            "calendar",
            Text(
                "`builtin:` and `argentina`, `chile`, `mexico` or `spain`, or a path, relative to this file",
            ),
            Rule("none: no day is a holiday"),
            "The holidays that the policy is told of.",
        ),
        key(
            "limits",
            Table,
            Value("{}"),
            "As `[policy.limits]` of the configuration, with the same defaults.",
        ),
        key(
            "zone",
            Text("an IANA zone"),
            Rule("the policy's own, else UTC"),
            "Whose clock `at` shows.",
        ),
        key("case", Table, Required, "See `[[case]]`."),
    ],
};

pub(super) const LIMITS: Section = Section {
    header: "[limits]",
    name: "limits",
    doc: "",
    keys: POLICY_LIMITS.keys,
};

pub(super) const CASE: Section = Section {
    header: "[[case]]",
    name: "case",
    doc: "A question and what is expected of the answer; at least one of the last three keys.",
    keys: &[
        key(
            "name",
            Text("a text"),
            Required,
            "What the report calls it.",
        ),
        key(
            "at",
            Text(
                "a local time, `2026-11-24T08:59:00`, or with its offset, `2026-11-24T08:59:00-03:00`",
            ),
            Rule("the beginning of 1970"),
            "When it is asked. A local time that is skipped comes at the end of the gap, one that comes twice the first time.",
        ),
        key(
            "method",
            Text("a method"),
            Value("\"GET\""),
            "Of the request.",
        ),
        key(
            "url",
            Text("a path with its query, or a whole URL"),
            Value("\"/\""),
            "Of the request; `http://localhost` before a path.",
        ),
        key(
            "headers",
            Table,
            Value("{}"),
            "The request's fields: a text each, or a list of texts for several lines.",
        ),
        key(
            "cookies",
            Table,
            Value("{}"),
            "The request's cookies: a text each.",
        ),
        key(
            "device",
            OneOf(&["desktop", "mobile", "tablet", "tv", "bot", "unknown"]),
            Rule("what the fields say"),
            "The class of the visitor's device.",
        ),
        key(
            "variant",
            Text("a variant of the site"),
            Rule("what the policy decides in `on-request`"),
            "What `on-response` is told that the site's policies decided.",
        ),
        key("response", Table, Value("{}"), "See `[case.response]`."),
        key(
            "plan",
            Text("a text"),
            Value("\"\""),
            "The name of the plan that `plan-warm` is asked about.",
        ),
        key(
            "popular",
            Table,
            Value("[]"),
            "The pages that visitors wanted: see `[[case.popular]]`.",
        ),
        key(
            "on_request",
            Table,
            Rule("not looked at"),
            "See `[case.on_request]`.",
        ),
        key(
            "on_response",
            Table,
            Rule("not looked at"),
            "See `[case.on_response]`.",
        ),
        key(
            "plan_warm",
            Table,
            Rule("not looked at"),
            "All pages of the answer in their order: see `[[case.plan_warm]]`.",
        ),
    ],
};

pub(super) const RESPONSE: Section = Section {
    header: "[case.response]",
    name: "case.response",
    doc: "What the origin answered. The lifetime that its fields give, and its length, are read from the fields as the edge reads them.",
    keys: &[
        key("status", Count(100, 599), Value("200"), "The status."),
        key(
            "headers",
            Table,
            Value("{}"),
            "The fields: a text each, or a list of texts for several lines.",
        ),
    ],
};

pub(super) const POPULAR: Section = Section {
    header: "[[case.popular]]",
    name: "case.popular",
    doc: "A page that visitors wanted.",
    keys: &[
        key("url", Text("a path with its query"), Required, "The page."),
        key(
            "requests",
            Count(0, u64::MAX),
            Value("1"),
            "How often it was wanted.",
        ),
        key(
            "variant",
            Text("a variant"),
            Rule("none"),
            "In which variant.",
        ),
    ],
};

pub(super) const ON_REQUEST: Section = Section {
    header: "[case.on_request]",
    name: "case.on_request",
    doc: "What is expected of the answer to `on-request`; what is not written is not looked at.",
    keys: &[
        key(
            "lookup",
            Text("`cache`, `pass`, or `false` for none"),
            Rule("any"),
            "Whether it is looked up.",
        ),
        key(
            "variant",
            Text("a variant, or `false` for none"),
            Rule("any"),
            "The variant.",
        ),
        key(
            "query_ignore",
            Texts("a name, or its beginning and `*`"),
            Rule("any"),
            "The query parameters that do not count.",
        ),
        key(
            "query_only",
            Texts("a name, or its beginning and `*`"),
            Rule("any"),
            "The query parameters that alone count.",
        ),
        key(
            "query_sort",
            Flag,
            Rule("any"),
            "Whether their order is without meaning.",
        ),
        key(
            "reason",
            Text("a text, or `false` for none"),
            Rule("any"),
            "The reason, to the letter.",
        ),
        key(
            "reason_contains",
            Text("a text"),
            Rule("any"),
            "Something that the reason says.",
        ),
    ],
};

pub(super) const ON_RESPONSE: Section = Section {
    header: "[case.on_response]",
    name: "case.on_response",
    doc: "What is expected of the answer to `on-response`; what is not written is not looked at.",
    keys: &[
        key(
            "storing",
            OneOf(&["by-headers", "never", "always"]),
            Rule("any"),
            "Whether it is stored.",
        ),
        key(
            "ttl",
            DURATION,
            Rule("any"),
            "How long it is fresh at the edge.",
        ),
        key(
            "browser_ttl",
            DURATION,
            Rule("any"),
            "What the browser is told.",
        ),
        key(
            "stale_while_revalidate",
            DURATION,
            Rule("any"),
            "How long it is served stale while it is revalidated.",
        ),
        key(
            "stale_if_error",
            DURATION,
            Rule("any"),
            "How long it is served stale when the origin fails.",
        ),
        key(
            "tags",
            Texts("a tag"),
            Rule("any"),
            "The surrogate keys, in their order.",
        ),
        key(
            "reason",
            Text("a text, or `false` for none"),
            Rule("any"),
            "The reason, to the letter.",
        ),
        key(
            "reason_contains",
            Text("a text"),
            Rule("any"),
            "Something that the reason says.",
        ),
    ],
};

pub(super) const PLAN_WARM: Section = Section {
    header: "[[case.plan_warm]]",
    name: "case.plan_warm",
    doc: "A page of the answer to `plan-warm`.",
    keys: &[
        key("url", Text("a path with its query"), Required, "The page."),
        key(
            "variants",
            Texts("a variant or a device class"),
            Rule("any"),
            "What it is fetched as.",
        ),
        key(
            "priority",
            Count(0, 255),
            Rule("any"),
            "The higher goes first.",
        ),
    ],
};

/// The reference of all keys as Markdown.
pub fn reference() -> String {
    tables(&[
        &FILE,
        &CASE,
        &RESPONSE,
        &POPULAR,
        &ON_REQUEST,
        &ON_RESPONSE,
        &PLAN_WARM,
    ])
}
