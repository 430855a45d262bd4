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
        key(
            "table",
            Table,
            Value("[]"),
            "The data tables that the policy looks things up in. See `[[table]]`.",
        ),
        key("case", Table, Required, "See `[[case]]`."),
    ],
};

pub(super) const TABLE: Section = Section {
    header: "[[table]]",
    name: "table",
    doc: "A data table, in place of one of the same name. One of `file` and `rows` is required.",
    keys: &[
        key(
            "name",
            Text("1 to 64 of `a-z`, `0-9`, `-`, `_`"),
            Required,
            "The name of the table, as the policy's manifest has it.",
        ),
        key(
            "file",
            Text("a path ending in `.csv` or `.json`, relative to this file"),
            Rule("none"),
            "The file of the table. Cases that come with a push can't name one.",
        ),
        key(
            "rows",
            Table,
            Rule("none"),
            "The rows: for each key a text.",
        ),
        key(
            "kind",
            OneOf(&["keys", "networks"]),
            Value("\"keys\""),
            "How rows are found, as in the configuration.",
        ),
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
            "device_source",
            OneOf(&["client-hints", "user-agent", "nothing"]),
            Value("\"nothing\""),
            "How the device class was found.",
        ),
        key(
            "client",
            Text("an address, or a network such as `203.0.113.0/24`"),
            Rule("unknown"),
            "The client's address; of a network, its first one.",
        ),
        key(
            "country",
            Text("two capital letters"),
            Rule("unknown"),
            "The client's country.",
        ),
        key(
            "region",
            Text("1 to 3 of `A-Z` and `0-9`"),
            Rule("unknown"),
            "The client's region.",
        ),
        key(
            "bucket",
            Count(0, 9_999),
            Rule("made of the policy's cookie, or else of `client`"),
            "The visitor's bucket.",
        ),
        key(
            "route",
            Text("1 to 64 of `a-z`, `0-9`, `-`, `_`"),
            Rule("none"),
            "The name of the route that matched.",
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
            "key_parts",
            Table,
            Rule("any"),
            "All parts of the key: for each name its value.",
        ),
        key(
            "path",
            Text("a path, or `false` for none"),
            Rule("any"),
            "The path that the origin is asked for.",
        ),
        key(
            "query",
            Text("a query, or `false` for none"),
            Rule("any"),
            "The query that the origin is asked for.",
        ),
        key(
            "origin",
            Text("the name of an origin, or `false` for none"),
            Rule("any"),
            "The origin.",
        ),
        key(
            "set_request",
            Table,
            Rule("any"),
            "All fields that are set in the request to the origin: for each a text.",
        ),
        key(
            "remove_request",
            Texts("a field name"),
            Rule("any"),
            "The fields that are removed from it, in order.",
        ),
        key(
            "set_response",
            Table,
            Rule("any"),
            "All fields that are set in the response to the client: for each a text.",
        ),
        key(
            "remove_response",
            Texts("a field name"),
            Rule("any"),
            "The fields that are removed from it, in order.",
        ),
        key(
            "answer",
            Text("a status, `301`, or `false` for none"),
            Rule("any"),
            "The status of the policy's own answer.",
        ),
        key(
            "answer_headers",
            Table,
            Rule("any"),
            "All fields of that answer: for each a text.",
        ),
        key(
            "answer_body",
            Text("a text"),
            Rule("any"),
            "The exact content of that answer.",
        ),
        key(
            "answer_body_contains",
            Text("a text"),
            Rule("any"),
            "A part of the content of that answer.",
        ),
        key(
            "log_tag",
            Text("a word, or `false` for none"),
            Rule("any"),
            "The word for the access log.",
        ),
        key(
            "rate_class",
            Text("the name of a class, or `false` for none"),
            Rule("any"),
            "The class of the rate limit.",
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
            "error_ttl",
            DURATION,
            Rule("any"),
            "How long an answer with a status of 400 or above is fresh.",
        ),
        key(
            "purge_at",
            Text("a time with its offset, `2026-11-24T12:00:00-03:00`, or `false` for none"),
            Rule("any"),
            "When the stored response is purged.",
        ),
        key(
            "stale_at",
            Text("a time with its offset, or `false` for none"),
            Rule("any"),
            "When the stored response becomes stale.",
        ),
        key(
            "admit",
            OneOf(&["yes", "no"]),
            Rule("any"),
            "Whether the policy says that it is worth a place in the store.",
        ),
        key(
            "set_stored",
            Table,
            Rule("any"),
            "All fields that are set before it is stored: for each a text.",
        ),
        key(
            "remove_stored",
            Texts("a field name"),
            Rule("any"),
            "The fields that are removed before it is stored, in order.",
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
        &TABLE,
        &CASE,
        &RESPONSE,
        &POPULAR,
        &ON_REQUEST,
        &ON_RESPONSE,
        &PLAN_WARM,
    ])
}
