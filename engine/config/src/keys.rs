//! Every key of the configuration: its form, range, default and meaning, in one table.
//!
//! The loader reads by this table and `tero check --keys` prints it, so the two can't say different
//! things.

use std::fmt::Write as _;

/// A table of the file.
#[derive(Debug)]
pub struct Section {
    /// As it is written in the file: `[server]`, `[[site]]`.
    pub header: &'static str,
    /// Without brackets.
    pub name: &'static str,
    /// What the table is about, in one sentence of Markdown.
    pub doc: &'static str,
    /// Its keys, in the order of the documentation.
    pub keys: &'static [Key],
}

/// A key of a section.
#[derive(Debug)]
pub struct Key {
    /// As it is written in the file.
    pub name: &'static str,
    /// What its value looks like.
    pub form: Form,
    /// What holds where it is not written.
    pub fallback: Fallback,
    /// What it means, in Markdown.
    pub doc: &'static str,
}

/// What a key's value looks like, bounds included.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// A text of the kind that the words say.
    Text(&'static str),
    /// A list of texts of the kind that the words say.
    Texts(&'static str),
    /// True or false.
    Flag,
    /// A whole number.
    Count(u64, u64),
    /// A number.
    Number(f64, f64),
    /// A duration with its unit.
    Duration(&'static str, &'static str),
    /// A number of bytes with its unit.
    Size(&'static str, &'static str),
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// Any of these words.
    SomeOf(&'static [&'static str]),
    /// A table of anything.
    Table,
}

/// What holds where the key is not written.
#[derive(Clone, Copy, Debug)]
pub enum Fallback {
    /// It must be written.
    Required,
    /// This value, as it would be written.
    Value(&'static str),
    /// What the words say; the loader knows how.
    Rule(&'static str),
}

use Fallback::{Required, Rule, Value};
use Form::{Count, Duration, Flag, Number, OneOf, Size, SomeOf, Table, Text, Texts};

/// A row of a table of keys.
pub const fn key(name: &'static str, form: Form, fallback: Fallback, doc: &'static str) -> Key {
    Key {
        name,
        form,
        fallback,
        doc,
    }
}

const NAME: Form = Text("1 to 64 of `a-z`, `0-9`, `-`, `_`");

/// `[server]`
pub const SERVER: Section = Section {
    header: "[server]",
    name: "server",
    doc: "The public listener.",
    keys: &[
        key(
            "listen",
            Texts("`ADDRESS:PORT`, at least one"),
            Value("[\"0.0.0.0:8080\"]"),
            "Where visitors connect. Port 0 takes a free one.",
        ),
        key(
            "workers",
            Count(1, 1_024),
            Rule("one per core"),
            "Threads, each with its own accept queue.",
        ),
        key(
            "name",
            Text("a token of 1 to 64 bytes"),
            Value("\"tero\""),
            "How tero calls itself in `Via`, `Cache-Status` and `CDN-Loop`.",
        ),
        key(
            "max_connections",
            Count(1, 1_000_000),
            Value("10000"),
            "Open client connections in all. Beyond it, new ones wait in the accept queue.",
        ),
        key(
            "max_header_bytes",
            Size("8KiB", "1MiB"),
            Value("\"32KiB\""),
            "Request line and header fields together. Beyond it: 431.",
        ),
        key(
            "max_headers",
            Count(16, 1_000),
            Value("100"),
            "Number of header fields. Beyond it: 431.",
        ),
        key(
            "header_timeout",
            Duration("1s", "5min"),
            Value("\"10s\""),
            "From the first byte of a request to the end of its header.",
        ),
        key(
            "idle_timeout",
            Duration("1s", "1h"),
            Value("\"75s\""),
            "How long a client connection may be silent between requests.",
        ),
        key(
            "write_timeout",
            Duration("1s", "1h"),
            Value("\"30s\""),
            "How long a client may take no byte of a response.",
        ),
        key(
            "drain",
            Duration("0s", "10min"),
            Value("\"30s\""),
            "How long requests may go on after a signal to stop.",
        ),
    ],
};

/// `[admin]`
pub const ADMIN: Section = Section {
    header: "[admin]",
    name: "admin",
    doc: "The operators' listener: health, metrics, purge, warming.",
    keys: &[
        key(
            "listen",
            Text("`ADDRESS:PORT`"),
            Value("\"127.0.0.1:9090\""),
            "Anywhere else than on loopback it wants a token.",
        ),
        key(
            "token",
            Text("16 to 4096 visible characters"),
            Rule("none"),
            "The bearer token that every request must carry.",
        ),
        key(
            "token_file",
            Text("a path, relative to this file"),
            Rule("none"),
            "A file whose first line is the token; instead of `token`.",
        ),
        key(
            "ready_after",
            Texts("the name of a `[[warm]]`"),
            Value("[]"),
            "Plans that run as soon as the edge starts; until they have, `/ready` says no.",
        ),
        key(
            "ready_within",
            Duration("1s", "1h"),
            Value("\"5min\""),
            "After that, `/ready` does not wait for them any longer.",
        ),
    ],
};

/// `[cache]`
pub const CACHE: Section = Section {
    header: "[cache]",
    name: "cache",
    doc: "The store and how its fills are shared.",
    keys: &[
        key(
            "memory",
            Size("1MiB", "16TiB"),
            Value("\"512MiB\""),
            "All that the store may hold: keys, header fields, bodies, overhead and fills in flight.",
        ),
        key(
            "max_object",
            Size("1KiB", "8TiB"),
            Rule("`64MiB`, or an eighth of `memory` if that is less"),
            "The largest body that is stored; at most half of `memory`.",
        ),
        key(
            "fill_memory",
            Size("64KiB", "8TiB"),
            Rule("an eighth of `memory`, at least `max_object` and `64KiB`"),
            "The part of `memory` that fills in flight may take; from `max_object` to half of `memory`.",
        ),
        key(
            "warm_memory",
            Size("0B", "8TiB"),
            Rule("an eighth of `memory`"),
            "The part of `memory` kept for warmed responses that nobody asked for yet; at most half of `memory`.",
        ),
        key(
            "max_variants",
            Count(1, 1_000),
            Value("32"),
            "Stored responses per key that differ by `Vary`.",
        ),
        key(
            "max_policy_variants",
            Count(1, 10_000),
            Value("64"),
            "The bound on the product of the variants that one site's policies declare.",
        ),
        key(
            "collapse_timeout",
            Duration("10ms", "5min"),
            Value("\"10s\""),
            "How long a request waits for another one's fetch before it goes itself.",
        ),
        key(
            "hit_for_miss",
            Duration("1s", "1h"),
            Value("\"2min\""),
            "How long \"not storable\" is remembered for a key.",
        ),
    ],
};

/// `[access_log]`
pub const ACCESS_LOG: Section = Section {
    header: "[access_log]",
    name: "access_log",
    doc: "A line per answer. Without the section nothing is written.",
    keys: &[
        key(
            "path",
            Text("a path, relative to this file, or `-`"),
            Value("\"-\""),
            "A file, appended to and reopened on SIGHUP; `-` is standard output.",
        ),
        key(
            "format",
            OneOf(&["combined", "json"]),
            Value("\"combined\""),
            "Apache's combined format with `Cache-Status` behind, or one JSON object a line.",
        ),
    ],
};

/// `[policies]`
pub const POLICIES: Section = Section {
    header: "[policies]",
    name: "policies",
    doc: "What holds for all policies together.",
    keys: &[
        key(
            "compiled_cache",
            Text("a path, relative to this file, or `\"\"`"),
            Rule("`tero` in the user's cache folder"),
            "The folder of compiled modules; `\"\"` compiles at every start.",
        ),
        key(
            "decision_cache",
            Size("64KiB", "16GiB"),
            Value("\"32MiB\""),
            "Memory for remembered decisions of all sites together.",
        ),
        key(
            "stack",
            Size("64KiB", "1MiB"),
            Value("\"512KiB\""),
            "How deep policies may nest their calls, in bytes of stack.",
        ),
        key(
            "state_dir",
            Text("a path, relative to this file, or `\"\"`"),
            Value("\"\""),
            "The folder of what a restart must not forget, for one edge alone: pushed versions and which is active, which pages are \
             popular, and when plans ran last. `\"\"`: nothing can be pushed, and the rest is forgotten.",
        ),
        key(
            "max_module",
            Size("64KiB", "1GiB"),
            Value("\"64MiB\""),
            "The largest module, with the settings and cases that come along.",
        ),
        key(
            "max_versions",
            Count(2, 1_000),
            Value("10"),
            "Pushed versions that are kept of each policy; the oldest go.",
        ),
        key(
            "shadow_queue",
            Count(16, 1_000_000),
            Value("1024"),
            "Answered requests that wait for a candidate in shadow. Beyond it, they are left out and counted.",
        ),
    ],
};

/// `[[policy]]`
pub const POLICY: Section = Section {
    header: "[[policy]]",
    name: "policy",
    doc: "A policy: a module with its settings.",
    keys: &[
        key("name", NAME, Required, "What sites call it; unique."),
        key(
            "module",
            Text("`builtin:NAME` or a path, relative to this file"),
            Required,
            "A shipped policy or a `.wasm` file.",
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
        key("limits", Table, Value("{}"), "See `[policy.limits]`."),
    ],
};

/// `[policy.limits]`
pub const POLICY_LIMITS: Section = Section {
    header: "[policy.limits]",
    name: "policy.limits",
    doc: "What one policy may use.",
    keys: &[
        key(
            "deadline",
            Duration("1ms", "10s"),
            Value("\"50ms\""),
            "For one decision. `configure` and `plan-warm` get twenty times as much.",
        ),
        key(
            "memory",
            Size("64KiB", "4GiB"),
            Value("\"64MiB\""),
            "Of one instance.",
        ),
        key(
            "answer",
            Size("1KiB", "16MiB"),
            Value("\"256KiB\""),
            "The largest answer, and all that one call logs.",
        ),
        key(
            "plan",
            Size("1KiB", "256MiB"),
            Value("\"16MiB\""),
            "The largest answer to `plan-warm`.",
        ),
        key(
            "core_instances",
            Count(1, 10_000),
            Value("256"),
            "Core modules in one instance; those of the larger languages have dozens.",
        ),
        key(
            "log_lines",
            Count(0, 1_000_000),
            Value("1000"),
            "Lines a minute in the log, of all its instances together.",
        ),
        key(
            "decisions_per_instance",
            Count(1, 1_000_000_000),
            Value("100000"),
            "After that many, a fresh instance is made.",
        ),
        key(
            "max_failures",
            Count(1, 1_000_000),
            Value("10"),
            "That many failures without a good answer in between switch the policy off.",
        ),
    ],
};

/// `[[site]]`
pub const SITE: Section = Section {
    header: "[[site]]",
    name: "site",
    doc: "Some hosts and the application behind them; at least one.",
    keys: &[
        key(
            "name",
            NAME,
            Required,
            "What plans, purges and metrics call it; unique.",
        ),
        key(
            "hosts",
            Texts("a host name or address without port, or `*`; at least one"),
            Required,
            "The hosts that it answers for; `*` is what no other site names.",
        ),
        key(
            "origins",
            Texts("`http://HOST[:PORT]`, at least one"),
            Required,
            "The next hops. Fetches go to them in turn; one that can't be reached is left alone for a while.",
        ),
        key(
            "host_header",
            Text("`HOST[:PORT]`"),
            Rule("the one that the client sent"),
            "The `Host` that the origin is told.",
        ),
        key(
            "policies",
            Texts("the name of a `[[policy]]`"),
            Value("[]"),
            "Asked in this order.",
        ),
        key(
            "policy_may_override",
            SomeOf(&["set-cookie", "authorization", "private", "no-store"]),
            Value("[]"),
            "Parts of the safety floor that a policy's `always` lifts here.",
        ),
        key(
            "zone",
            Text("an IANA zone"),
            Rule("the zone of the first policy that has one, else UTC"),
            "Whose clock the hours of `/stats` show.",
        ),
        key(
            "max_fetches",
            Count(1, 100_000),
            Value("256"),
            "Concurrent requests to the origins. Beyond it, requests wait up to `connect_timeout`.",
        ),
        key(
            "connect_timeout",
            Duration("10ms", "1min"),
            Value("\"3s\""),
            "To open a connection to an origin.",
        ),
        key(
            "response_timeout",
            Duration("10ms", "10min"),
            Value("\"30s\""),
            "From the request to the head of the response.",
        ),
        key(
            "body_timeout",
            Duration("10ms", "10min"),
            Value("\"30s\""),
            "Between two pieces of a body.",
        ),
        key(
            "upgrades",
            Texts("a protocol name"),
            Value("[\"websocket\"]"),
            "Protocols that clients may switch to with `Upgrade`; anything else in it is ignored.",
        ),
        key(
            "max_tunnels",
            Count(1, 1_000_000),
            Value("1000"),
            "Connections that have switched, at once. Beyond it: 503.",
        ),
        key(
            "tunnel_idle_timeout",
            Duration("1s", "24h"),
            Value("\"5min\""),
            "How long neither side of a tunnel may say anything.",
        ),
        key(
            "stale_if_error",
            Duration("0s", "1y"),
            Value("\"1h\""),
            "Where neither policy nor response says: how long what was fresh is served stale while the origin can't be reached, breaks off, takes too long or answers 5xx. Never against `must-revalidate`, `proxy-revalidate`, `no-cache` or `s-maxage`.",
        ),
        key(
            "stale_while_revalidate",
            Duration("0s", "1y"),
            Value("\"0s\""),
            "Where neither policy nor response says.",
        ),
        key(
            "client_directives",
            OneOf(&["ignore", "obey"]),
            Value("\"ignore\""),
            "Whether `Cache-Control` and `Pragma` of requests are obeyed; `ignore` protects the origin.",
        ),
        key(
            "targeted_fields",
            Texts("a field name"),
            Value("[\"tero-cache-control\", \"cdn-cache-control\"]"),
            "Targeted cache-control fields (RFC 9213); the first that is there wins.",
        ),
        key(
            "cache_status_key",
            Flag,
            Value("false"),
            "Whether `Cache-Status` tells the key.",
        ),
        key(
            "refresh_ahead",
            Table,
            Rule("none: nothing is revalidated before it expires"),
            "See `[site.refresh_ahead]`.",
        ),
    ],
};

/// `[site.refresh_ahead]`
pub const REFRESH_AHEAD: Section = Section {
    header: "[site.refresh_ahead]",
    name: "site.refresh_ahead",
    doc: "What visitors want often is revalidated shortly before it expires, when one of them asks for it, so that none of them waits.",
    keys: &[
        key(
            "before",
            Duration("1s", "1h"),
            Value("\"10s\""),
            "How long before it expires. A response that lives no longer than twice that is left alone.",
        ),
        key(
            "tags",
            Texts("a surrogate key"),
            Value("[]"),
            "Only responses with one of these, so that policies can choose them; all where there is none.",
        ),
        key(
            "min_hits",
            Count(1, 1_000_000),
            Value("3"),
            "Hits since a response was fetched that make it wanted often.",
        ),
        key(
            "share",
            Number(0.01, 0.95),
            Value("0.5"),
            "The part of all requests to the origins that may be revalidations ahead.",
        ),
        key(
            "rate",
            Number(0.1, 10_000.0),
            Value("20"),
            "Revalidations a second; fewer as soon as the origin is slow or fails.",
        ),
        key(
            "max_watched",
            Count(1, 10_000_000),
            Value("100000"),
            "Stored responses whose end is watched.",
        ),
    ],
};

/// `[[warm]]`
pub const WARM: Section = Section {
    header: "[[warm]]",
    name: "warm",
    doc: "A warming plan.",
    keys: &[
        key(
            "name",
            NAME,
            Required,
            "What `tero warm` and `POST /warm/{plan}` call it; unique.",
        ),
        key(
            "site",
            Text("the name of a `[[site]]`"),
            Required,
            "Whose pages it fetches.",
        ),
        key(
            "schedule",
            Text("a cron expression of five fields"),
            Rule("none: started from outside"),
            "When it runs, on the clock of `zone`.",
        ),
        key(
            "zone",
            Text("an IANA zone"),
            Rule("the zone of the site's first policy that has one, else UTC"),
            "Whose clock the schedule means.",
        ),
        key(
            "window",
            Duration("1min", "7d"),
            Value("\"4h\""),
            "The time that it prepares for, from when it comes due. What stays fresh to its end is left alone, `popular` means the pages \
             wanted in its hours, and what it fetched is kept until then.",
        ),
        key(
            "missed",
            OneOf(&["run", "skip"]),
            Value("\"run\""),
            "What becomes of a run whose time came while the edge was down (with `state_dir`): it runs at the start unless its \
             window is over, or never.",
        ),
        key(
            "urls",
            Texts("a path with its query"),
            Value("[]"),
            "Pages to fetch.",
        ),
        key(
            "url_files",
            Texts("a path, relative to this file"),
            Value("[]"),
            "Files of pages, a path with its query in each line; empty lines and those that begin with `#` say nothing. Read for \
             each run.",
        ),
        key(
            "sitemap",
            Text("a path, or a list of them"),
            Rule("none"),
            "Sitemaps on the site, or indexes of such.",
        ),
        key(
            "max_sitemap_bytes",
            Size("1KiB", "1GiB"),
            Value("\"50MiB\""),
            "Of one sitemap, unpacked.",
        ),
        key(
            "max_sitemaps",
            Count(1, 50_000),
            Value("50"),
            "Sitemaps that are read in one run.",
        ),
        key(
            "sitemap_timeout",
            Duration("1s", "1h"),
            Value("\"30s\""),
            "For one sitemap.",
        ),
        key(
            "popular",
            Count(0, 100_000),
            Value("0"),
            "That many of the most wanted pages.",
        ),
        key(
            "variants",
            Text("`\"seen\"`, `\"all\"`, or a list of variants and device classes"),
            Value("\"seen\""),
            "What each page is fetched as: what visitors of those hours wanted it as (and all of them where nothing is known of \
             those hours), every variant that the site's policies declare and none, or these.",
        ),
        key(
            "max_urls",
            Count(1, 1_000_000),
            Value("10000"),
            "Fetches in one run, variants counted.",
        ),
        key(
            "concurrency",
            Count(1, 256),
            Value("4"),
            "Fetches at the same time.",
        ),
        key(
            "rate",
            Number(0.1, 10_000.0),
            Value("50"),
            "Fetches a second.",
        ),
        key(
            "retries",
            Count(0, 10),
            Value("1"),
            "How often a page is tried again that failed since the origin had too much to do.",
        ),
        key(
            "deadline",
            Duration("1s", "24h"),
            Value("\"15min\""),
            "Of one run.",
        ),
    ],
};

/// Every section, in the order of the reference.
pub const SECTIONS: [&Section; 10] = [
    &SERVER,
    &ADMIN,
    &CACHE,
    &ACCESS_LOG,
    &POLICIES,
    &POLICY,
    &POLICY_LIMITS,
    &SITE,
    &REFRESH_AHEAD,
    &WARM,
];

impl Section {
    /// The key of that name.
    ///
    /// # Panics
    /// If the section has none: the loader asks for what is not in the table.
    pub fn key(&self, name: &str) -> &'static Key {
        self.keys
            .iter()
            .find(|key| key.name == name)
            .unwrap_or_else(|| panic!("{} has no key {name}", self.header))
    }
}

impl Form {
    /// What to write, in Markdown.
    pub fn describe(self) -> String {
        match self {
            Text(words) => words.to_owned(),
            Texts(words) => format!("a list of: {words}"),
            Flag => "`true` or `false`".to_owned(),
            Count(min, max) => format!("{} to {}", thousands(min), thousands(max)),
            Number(min, max) => format!("{min} to {max}"),
            Duration(min, max) | Size(min, max) => format!("`\"{min}\"` to `\"{max}\"`"),
            OneOf(words) => list(words, "or"),
            SomeOf(words) => format!("a list of any of: {}", list(words, "and")),
            Table => "a table".to_owned(),
        }
    }
}

/// The reference of all keys as Markdown: what `tero check --keys` prints.
pub fn reference() -> String {
    tables(&SECTIONS)
}

/// The reference of these sections as Markdown.
pub fn tables(sections: &[&Section]) -> String {
    let mut markdown = String::new();
    for section in sections {
        let _ = writeln!(markdown, "### `{}`\n\n{}\n", section.header, section.doc);
        markdown.push_str("| key | value | default | meaning |\n|---|---|---|---|\n");
        for key in section.keys {
            let fallback = match key.fallback {
                Required => "required".to_owned(),
                Value(value) => format!("`{value}`"),
                Rule(words) => words.to_owned(),
            };
            let _ = writeln!(
                markdown,
                "| `{}` | {} | {fallback} | {} |",
                key.name,
                key.form.describe(),
                key.doc
            );
        }
        markdown.push('\n');
    }
    markdown.push_str(UNITS);
    markdown
}

const UNITS: &str = "Durations are a whole number and a unit: `ms`, `s`, `min`, `h`, `d` or `y` (365 days). Sizes are a whole number and `B`, `KiB`, \
    `MiB`, `GiB`, `TiB` (by 1024) or `KB`, `MB`, `GB`, `TB` (by 1000). Unknown keys are refused.\n";

fn list(words: &[&str], last: &str) -> String {
    let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
    match words.split_last() {
        Some((end, start)) if !start.is_empty() => format!("{} {last} {end}", start.join(", ")),
        _ => words.concat(),
    }
}

fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_reference_is_the_one_in_the_documentation() {
        let page = include_str!("../../../docs/configuration.md");
        assert!(
            page.ends_with(&reference()),
            "docs/configuration.md is behind: replace what follows its introduction by the output of `tero check --keys`"
        );
    }
}
