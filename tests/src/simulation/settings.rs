//! The configurations in which a week is served.

use tero_tools::traffic::SiteKind;

use crate::{ART, compiled_cache, toml_string};

/// How the site is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Each path has a fixed lifetime.
    WithoutPolicies,
    /// A static policy file decides.
    JsonPolicy,
    /// The shipped WebAssembly policies decide.
    Policies,
    /// The shipped policies, with a warming plan half an hour before the rush.
    PoliciesAndWarming,
}

/// The lifetimes of some paths, the same in each way.
struct PathLifetime {
    name: &'static str,
    paths: &'static [&'static str],
    /// In opening hours, in seconds.
    inside: u32,
    /// At other times.
    outside: u32,
    /// How long it may be used stale while it is revalidated.
    stale: u32,
}

const BOOKING: [PathLifetime; 4] = [
    PathLifetime {
        name: "availability",
        paths: &["/api/v1/disponibilidad/*"],
        inside: 15,
        outside: 120,
        stale: 15,
    },
    PathLifetime {
        name: "pages",
        paths: &["/", "/barberias/*", "/turnos/*"],
        inside: 600,
        outside: 3_600,
        stale: 600,
    },
    PathLifetime {
        name: "images",
        paths: &["/img/*"],
        inside: 86_400,
        outside: 86_400,
        stale: 3_600,
    },
    ASSETS,
];

const NEWS: [PathLifetime; 5] = [
    PathLifetime {
        name: "ticker",
        paths: &["/api/ultimas"],
        inside: 15,
        outside: 15,
        stale: 15,
    },
    PathLifetime {
        name: "lists",
        paths: &["/", "/seccion/*", "/buscar"],
        inside: 60,
        outside: 300,
        stale: 60,
    },
    PathLifetime {
        name: "articles",
        paths: &["/nota/*"],
        inside: 300,
        outside: 900,
        stale: 300,
    },
    PathLifetime {
        name: "images",
        paths: &["/img/*"],
        inside: 86_400,
        outside: 86_400,
        stale: 3_600,
    },
    ASSETS,
];

const ASSETS: PathLifetime = PathLifetime {
    name: "assets",
    paths: &["/assets/*"],
    inside: 31_536_000,
    outside: 31_536_000,
    stale: 0,
};

/// The hours in which most visitors come, and the local time of the plan.
pub(super) struct SiteHours {
    pub(super) opens: u32,
    pub(super) closes: u32,
    /// Minutes from midnight.
    pub(super) plan_minute: u32,
    /// The plan does not run on Sundays.
    pub(super) rests_on_sundays: bool,
}

/// The hours of a site.
pub(super) fn hours(kind: SiteKind) -> SiteHours {
    match kind {
        SiteKind::Booking => SiteHours {
            opens: 9,
            closes: 18,
            plan_minute: 8 * 60 + 30,
            rests_on_sundays: true,
        },
        SiteKind::News => SiteHours {
            opens: 7,
            closes: 23,
            plan_minute: 6 * 60 + 30,
            rests_on_sundays: false,
        },
    }
}

fn lifetimes(kind: SiteKind) -> &'static [PathLifetime] {
    match kind {
        SiteKind::Booking => &BOOKING,
        SiteKind::News => &NEWS,
    }
}

impl Way {
    /// All ways, in the order of reports.
    pub const ALL: [Way; 4] = [
        Way::WithoutPolicies,
        Way::JsonPolicy,
        Way::Policies,
        Way::PoliciesAndWarming,
    ];

    /// The name in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Way::WithoutPolicies => "without policies",
            Way::JsonPolicy => "JSON policy",
            Way::Policies => "Wasm policies",
            Way::PoliciesAndWarming => "Wasm policies and warming",
        }
    }

    /// The configuration of an edge in front of this origin.
    pub fn configuration(self, kind: SiteKind, origin: &str) -> String {
        let by_device = kind == SiteKind::Booking;
        let (policies, names) = match self {
            Way::WithoutPolicies => (String::new(), ""),
            Way::JsonPolicy => (json_policy(kind), "\"rules\""),
            Way::Policies | Way::PoliciesAndWarming if by_device => (
                format!("{}{DEVICES}{POPULAR}", hours_policy(kind)),
                "\"hours\", \"devices\", \"popular\"",
            ),
            Way::Policies | Way::PoliciesAndWarming => (
                format!("{}{POPULAR}", hours_policy(kind)),
                "\"hours\", \"popular\"",
            ),
        };
        let routes = match self {
            Way::WithoutPolicies => routes(kind),
            _ => String::new(),
        };
        let plan = match self {
            Way::PoliciesAndWarming => plan(kind),
            _ => String::new(),
        };
        let compiled = toml_string(&compiled_cache().display().to_string());
        format!(
            "[server]\nlisten = [\"127.0.0.1:0\"]\nworkers = 1\nidle_timeout = \"1h\"\n\n[admin]\nlisten = \"127.0.0.1:0\"\n\n\
             [policies]\ncompiled_cache = {compiled}\n{policies}\n[[site]]\nname = \"site\"\nhosts = [\"www.example\"]\n\
             origins = [\"{origin}\"]\npolicies = [{names}]\nzone = \"{ART}\"\nquery = {{ drop = [\"utm_*\", \"fbclid\", \"gclid\"] }}\n\n\
             [[site.never]]\nmatch = [\"/checkout/*\", \"/mi-cuenta*\", \"/api/v1/pagos/*\"]\n{routes}{plan}"
        )
    }
}

fn quoted(paths: &[&str]) -> String {
    let quoted: Vec<String> = paths.iter().map(|path| format!("\"{path}\"")).collect();
    quoted.join(", ")
}

/// Fixed lifetimes: those of opening hours.
fn routes(kind: SiteKind) -> String {
    lifetimes(kind)
        .iter()
        .map(|lifetime| {
            format!(
                "\n[[site.route]]\nmatch = [{}]\ncache_control = \"public, max-age={}, stale-while-revalidate={}\"\n",
                quoted(lifetime.paths),
                lifetime.inside,
                lifetime.stale
            )
        })
        .collect()
}

fn days(kind: SiteKind) -> (&'static str, &'static str) {
    match kind {
        SiteKind::Booking => (
            "[\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\"]",
            "[\"mon-sat\"]",
        ),
        SiteKind::News => (
            "[\"mon\", \"tue\", \"wed\", \"thu\", \"fri\", \"sat\", \"sun\"]",
            "[\"mon-sun\"]",
        ),
    }
}

/// A static policy file, as `examples/barberpro` has one.
fn json_policy(kind: SiteKind) -> String {
    let SiteHours { opens, closes, .. } = hours(kind);
    let rules: String = lifetimes(kind)
        .iter()
        .map(|lifetime| {
            format!(
                "    {{ name = \"{}\", match = [{}], ttl = {{ business_hours = {}, otherwise = {} }}, stale_while_revalidate = {} }},\n",
                lifetime.name,
                quoted(lifetime.paths),
                lifetime.inside,
                lifetime.outside,
                lifetime.stale
            )
        })
        .collect();
    let variants = match kind {
        SiteKind::Booking => {
            "variants.mobile = { devices = [\"mobile\"], paths = [\"/\", \"/barberias/*\", \"/turnos/*\"] }\n"
        }
        SiteKind::News => "",
    };
    format!(
        "\n[[policy]]\nname = \"rules\"\nmodule = \"builtin:json-rules\"\ncalendar = \"builtin:argentina\"\nlimits = {{ deadline = \"5s\" }}\n\n\
         [policy.settings]\nversion = 3\ntimezone = \"{ART}\"\n\
         business_hours = {{ days = {}, from = \"{opens:02}:00\", to = \"{closes:02}:00\", holidays = \"closed\" }}\n{variants}rules = [\n{rules}]\n",
        days(kind).0
    )
}

/// The shipped policy. Pages that don't change at opening time may stay fresh beyond it; free
/// appointments may not. Lifetimes are spread, so that pages don't expire together.
fn hours_policy(kind: SiteKind) -> String {
    let SiteHours { opens, closes, .. } = hours(kind);
    let rules: String = lifetimes(kind)
        .iter()
        .map(|lifetime| {
            let beyond = if lifetime.inside >= 60 {
                ", clip = false, spread = 20"
            } else {
                ""
            };
            format!(
                "    {{ name = \"{}\", paths = [{}], inside = \"{}s\", outside = \"{}s\", stale_while_revalidate = \"{}s\"{beyond} }},\n",
                lifetime.name,
                quoted(lifetime.paths),
                lifetime.inside,
                lifetime.outside,
                lifetime.stale
            )
        })
        .collect();
    format!(
        "\n[[policy]]\nname = \"hours\"\nmodule = \"builtin:business-hours\"\ncalendar = \"builtin:argentina\"\nlimits = {{ deadline = \"5s\" }}\n\n\
         [policy.settings]\nzone = \"{ART}\"\ndays = {}\nopen = \"{opens:02}:00\"\nclose = \"{closes:02}:00\"\nrules = [\n{rules}]\n",
        days(kind).1
    )
}

const DEVICES: &str = r#"
[[policy]]
name = "devices"
module = "builtin:device-variants"
limits = { deadline = "5s" }
settings = { variants = [{ name = "mobile", devices = ["mobile"], paths = ["/", "/barberias/*", "/turnos/*"] }] }
"#;

const POPULAR: &str = r#"
[[policy]]
name = "popular"
module = "builtin:popular-pages"
limits = { deadline = "5s" }
settings = { top = 500, min_requests = 1, exclude = ["/api/*"] }
"#;

/// Warms the pages in the sitemap, and those that are popular in the hours of the window.
fn plan(kind: SiteKind) -> String {
    let hours = hours(kind);
    let days = if hours.rests_on_sundays {
        "MON-SAT"
    } else {
        "*"
    };
    let variants = match kind {
        SiteKind::Booking => "variants = [\"desktop\", \"mobile\"]\n",
        SiteKind::News => "",
    };
    format!(
        "\n[[warm]]\nname = \"apertura\"\nsite = \"site\"\nschedule = \"{} {} * * {days}\"\nsitemap = \"/sitemap.xml\"\n{variants}\
         window = \"4h\"\nrate = 0.2\ndeadline = \"30min\"\n",
        hours.plan_minute % 60,
        hours.plan_minute / 60,
    )
}
