//! Every key of a file of test cases, in tables like those of the configuration.

use tero_config::PolicyLimits;
use tero_config::keys::Fallback::{Required, Rule, Value};
use tero_config::keys::Form::{Count, Flag, Nested, OneOf, Table, Text, Texts};
use tero_config::keys::{Section, key, tables};

const DURATION: tero_config::keys::Form = Text("a duration, or `false` for none");

pub(super) const FILE: Section = Section {
    header: "the file",
    name: "",
    doc: "The policy under test.",
    keys: &[
        key(
            "module",
            Text("`builtin:NAME` or a path, relative to this file"),
            Required,
            "A built-in policy or a `.wasm` file.",
        ),
        key(
            "name",
            Text("1 to 64 of `a-z`, `0-9`, `-`, `_`"),
            Rule("the name of the module"),
            "The name of the policy in messages.",
        ),
        key(
            "settings",
            Table,
            Value("{}"),
            "The settings, given to the policy as JSON text.",
        ),
        key(
            "settings_file",
            Text("a path, relative to this file"),
            Rule("none"),
            "A file of JSON text. Use it instead of `settings`.",
        ),
        key(
            "calendar",
            Text(
                "`builtin:argentina`, `builtin:chile`, `builtin:mexico`, `builtin:spain`, a region of these (`builtin:argentina/salta`), or a path, relative to this file",
            ),
            Rule("none: no day is a holiday"),
            "The holidays that the policy is told.",
        ),
        key(
            "limits",
            Nested(&LIMITS),
            Value("{}"),
            "As `[policy.limits]` of the configuration, with the same defaults.",
        ),
        key(
            "zone",
            Text("an IANA zone"),
            Rule("the policy's own, else UTC"),
            "The time zone of `at`.",
        ),
        key("case", Table, Required, "See `[[case]]`."),
    ],
};

const LIMITS: Section = Section {
    header: "[limits]",
    name: "limits",
    doc: "",
    keys: PolicyLimits::SECTION.keys,
};

pub(super) const CASE: Section = Section {
    header: "[[case]]",
    name: "case",
    doc: "A question and the expected answer. At least one of the last three keys is required.",
    keys: &[
        key(
            "name",
            Text("a text"),
            Required,
            "The name of the case in the report.",
        ),
        key(
            "at",
            Text(
                "a local time, `2026-11-24T08:59:00`, or with its offset, `2026-11-24T08:59:00-03:00`",
            ),
            Rule("the beginning of 1970"),
            "The time of the question. A local time that is skipped means the end of the gap; one that occurs twice means its first occurrence.",
        ),
        key(
            "method",
            Text("a method"),
            Value("\"GET\""),
            "The method of the request.",
        ),
        key(
            "url",
            Text("a path with its query, or a whole URL"),
            Value("\"/\""),
            "The URL of the request; a path is taken on `http://localhost`.",
        ),
        key(
            "headers",
            Table,
            Value("{}"),
            "The fields of the request: for each a text, or a list of texts for several lines.",
        ),
        key(
            "cookies",
            Table,
            Value("{}"),
            "The cookies of the request: for each a text.",
        ),
        key(
            "device",
            OneOf(&["desktop", "mobile", "tablet", "tv", "bot", "unknown"]),
            Rule("taken from the fields"),
            "The device class of the visitor.",
        ),
        key(
            "variant",
            Text("a variant of the site"),
            Rule("the policy's decision in `on-request`"),
            "The variant that `on-response` is told.",
        ),
        key("response", Table, Value("{}"), "See `[case.response]`."),
        key(
            "plan",
            Text("a text"),
            Value("\"\""),
            "The name of the plan that `plan-warm` is told.",
        ),
        key(
            "popular",
            Table,
            Value("[]"),
            "The pages that visitors requested. See `[[case.popular]]`.",
        ),
        key(
            "on_request",
            Table,
            Rule("not compared"),
            "See `[case.on_request]`.",
        ),
        key(
            "on_response",
            Table,
            Rule("not compared"),
            "See `[case.on_response]`.",
        ),
        key(
            "plan_warm",
            Table,
            Rule("not compared"),
            "All pages of the answer, in order. See `[[case.plan_warm]]`.",
        ),
    ],
};

pub(super) const RESPONSE: Section = Section {
    header: "[case.response]",
    name: "case.response",
    doc: "The response of the origin. Lifetime and length are taken from the fields, as in the edge.",
    keys: &[
        key("status", Count(100, 599), Value("200"), "The status."),
        key(
            "headers",
            Table,
            Value("{}"),
            "The fields: for each a text, or a list of texts for several lines.",
        ),
    ],
};

pub(super) const POPULAR: Section = Section {
    header: "[[case.popular]]",
    name: "case.popular",
    doc: "A page that visitors requested.",
    keys: &[
        key("url", Text("a path with its query"), Required, "The page."),
        key(
            "requests",
            Count(0, u64::MAX),
            Value("1"),
            "How often it was requested.",
        ),
        key(
            "variant",
            Text("a variant"),
            Rule("none"),
            "The variant in which it was requested.",
        ),
    ],
};

pub(super) const ON_REQUEST: Section = Section {
    header: "[case.on_request]",
    name: "case.on_request",
    doc: "The expected answer to `on-request`. A key that is left out is not compared.",
    keys: &[
        key(
            "lookup",
            Text("`cache`, `pass`, or `false` for none"),
            Rule("any"),
            "Whether the request is looked up.",
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
            "The query parameters that are ignored.",
        ),
        key(
            "query_only",
            Texts("a name, or its beginning and `*`"),
            Rule("any"),
            "The only query parameters that count.",
        ),
        key(
            "query_sort",
            Flag,
            Rule("any"),
            "Whether the order of the parameters is ignored.",
        ),
        key(
            "reason",
            Text("a text, or `false` for none"),
            Rule("any"),
            "The exact reason.",
        ),
        key(
            "reason_contains",
            Text("a text"),
            Rule("any"),
            "A part of the reason.",
        ),
    ],
};

pub(super) const ON_RESPONSE: Section = Section {
    header: "[case.on_response]",
    name: "case.on_response",
    doc: "The expected answer to `on-response`. A key that is left out is not compared.",
    keys: &[
        key(
            "storing",
            OneOf(&["by-headers", "never", "always"]),
            Rule("any"),
            "Whether the response is stored.",
        ),
        key(
            "ttl",
            DURATION,
            Rule("any"),
            "How long the response is fresh at the edge.",
        ),
        key(
            "browser_ttl",
            DURATION,
            Rule("any"),
            "How long the browser may keep it.",
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
            "The surrogate keys, in order.",
        ),
        key(
            "reason",
            Text("a text, or `false` for none"),
            Rule("any"),
            "The exact reason.",
        ),
        key(
            "reason_contains",
            Text("a text"),
            Rule("any"),
            "A part of the reason.",
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
            "The variants in which the page is fetched.",
        ),
        key(
            "priority",
            Count(0, 255),
            Rule("any"),
            "Pages with a higher priority are fetched first.",
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
