//! `builtin:device-variants`: a finite set of variants, by device class and path.
//!
//! ```toml
//! [[policy]]
//! name = "devices"
//! module = "builtin:device-variants"
//!
//! [policy.settings]
//! variants = [
//!     { name = "mobile", devices = ["mobile"], paths = ["/", "/barberias/*", "/turnos/*", "/img/*"] },
//!     { name = "tablet", devices = ["tablet"], paths = ["/img/*"] },
//! ]
//! ```
//!
//! # Settings
//! | key | meaning | default |
//! |---|---|---|
//! | `variants` | 1 to 256 rules; the first that matches decides, and without one there is no variant | required |
//!
//! Each rule:
//!
//! | key | meaning | default |
//! |---|---|---|
//! | `name` | the variant: 1 to 32 characters of `a-z`, `0-9`, `-` and `_`; at most 32 different ones; several rules may share one | required |
//! | `devices` | its device classes: `desktop`, `mobile`, `tablet`, `tv`, `bot`, `unknown`; at least one | required |
//! | `paths` | 1 to 256 patterns: `/img/*`, `*.jpg`, `/` | `["*"]` |
//! | `except` | at most 256 patterns of paths to which the rule does not apply | `[]` |
//!
//! The variant is part of the key, and goes to the origin as `Tero-Variant`. Every variant
//! multiplies the stored responses and the fetches of a cold cache, so name only the variants that
//! the origin really renders, and only for the paths that differ.

use std::collections::BTreeSet;

use serde::Deserialize;
use tero_policy::{
    Device, Manifest, Moment, PathPattern, Policy, Request, RequestDecision, VariantName,
    any_matches,
};

/// The settings as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    variants: Vec<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    name: VariantName,
    devices: Vec<Device>,
    #[serde(default = "everything")]
    paths: Vec<PathPattern>,
    #[serde(default)]
    except: Vec<PathPattern>,
}

fn everything() -> Vec<PathPattern> {
    vec!["*".parse().expect("a star is a pattern")]
}

/// The policy.
#[derive(Debug)]
pub struct DeviceVariants {
    rules: Vec<Rule>,
    names: BTreeSet<VariantName>,
}

impl Policy for DeviceVariants {
    type Settings = Settings;

    fn configure(settings: Settings) -> Result<DeviceVariants, String> {
        let rules = settings.variants;
        if !(1..=256).contains(&rules.len()) {
            return Err(format!(
                "`variants` has {} entries: name 1 to 256",
                rules.len()
            ));
        }
        for (index, rule) in rules.iter().enumerate() {
            let at = |what: &str| Err(format!("`variants[{index}]` ({}): {what}", rule.name));
            if rule.devices.is_empty() {
                return at(
                    "`devices` is empty: name at least one of desktop, mobile, tablet, tv, bot and unknown",
                );
            }
            if !(1..=256).contains(&rule.paths.len()) || rule.except.len() > 256 {
                return at("name 1 to 256 `paths`, and at most 256 in `except`");
            }
        }
        let names: BTreeSet<VariantName> = rules.iter().map(|rule| rule.name.clone()).collect();
        if names.len() > 32 {
            return Err(format!(
                "`variants` names {} different variants: at most 32",
                names.len()
            ));
        }
        Ok(DeviceVariants { rules, names })
    }

    fn manifest(&self) -> Manifest {
        let patterns = self
            .rules
            .iter()
            .flat_map(|rule| rule.paths.iter().chain(&rule.except));
        Manifest::new()
            .on_request()
            .device()
            .variants(&self.names)
            .path_patterns(patterns)
    }

    fn on_request(&self, request: &Request, _: &Moment) -> RequestDecision {
        match self.rules.iter().find(|rule| rule.fits(request)) {
            Some(rule) => RequestDecision::new()
                .variant(&rule.name)
                .because([rule.name.as_str(), ": ", request.device.as_str()].concat()),
            None => RequestDecision::new(),
        }
    }
}

tero_policy::export!(DeviceVariants);

impl Rule {
    fn fits(&self, request: &Request) -> bool {
        self.devices.contains(&request.device)
            && any_matches(&self.paths, request.path)
            && !any_matches(&self.except, request.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_policy::Hook;

    fn policy(settings: &str) -> DeviceVariants {
        tero_policy::configure(settings).unwrap()
    }

    fn check(policy: &DeviceVariants, device: Device, path: &str, expected: Option<&str>) {
        let decision = policy.on_request(&Request::get(path).with_device(device), &Moment::epoch());
        assert_eq!(decision.variant.as_deref(), expected, "{device} on {path}");
        assert_eq!(decision.lookup, None);
    }

    #[test]
    fn the_first_rule_that_fits_decides() {
        let policy = policy(
            r#"{"variants": [
                {"name": "mobile", "devices": ["mobile"], "paths": ["/", "/barberias/*", "/img/*"], "except": ["/img/logo.svg"]},
                {"name": "tablet", "devices": ["tablet"], "paths": ["/img/*"]},
                {"name": "small", "devices": ["mobile", "tablet"], "paths": ["/turnos/*"]}
            ]}"#,
        );
        check(&policy, Device::Mobile, "/", Some("mobile"));
        check(
            &policy,
            Device::Mobile,
            "/barberias/palermo",
            Some("mobile"),
        );
        check(&policy, Device::Mobile, "/img/1.jpg", Some("mobile"));
        check(&policy, Device::Mobile, "/img/logo.svg", None);
        check(&policy, Device::Mobile, "/turnos/1", Some("small"));
        check(&policy, Device::Mobile, "/mi-cuenta/", None);
        check(&policy, Device::Tablet, "/", None);
        check(&policy, Device::Tablet, "/img/1.jpg", Some("tablet"));
        check(&policy, Device::Tablet, "/turnos/1", Some("small"));
        for device in [Device::Desktop, Device::Tv, Device::Bot, Device::Unknown] {
            check(&policy, device, "/img/1.jpg", None);
        }
    }

    #[test]
    fn the_manifest_declares_the_device_and_every_variant_once() {
        let manifest = policy(
            r#"{"variants": [{"name": "small", "devices": ["tablet"]}, {"name": "big", "devices": ["tv"]}, {"name": "small", "devices": ["mobile"]}]}"#,
        )
        .manifest();
        assert_eq!(
            manifest,
            Manifest::new()
                .hook(Hook::OnRequest)
                .device()
                .variants(["big", "small"])
                .path_patterns(["*"])
        );
    }

    #[test]
    fn a_rule_without_paths_matches_every_path() {
        check(
            &policy(r#"{"variants": [{"name": "crawler", "devices": ["bot"]}]}"#),
            Device::Bot,
            "/any/thing",
            Some("crawler"),
        );
    }

    #[test]
    fn bad_settings_are_refused_with_key_and_cure() {
        let many = |count: usize| {
            let rule = |n: usize| format!(r#"{{"name": "v{n}", "devices": ["mobile"]}}"#);
            format!(
                r#"{{"variants": [{}]}}"#,
                (0..count).map(rule).collect::<Vec<_>>().join(",")
            )
        };
        assert!(tero_policy::configure::<DeviceVariants>(&many(32)).is_ok());
        for (settings, expected) in [
            (r#"{}"#, "missing field `variants`"),
            (r#"{"variants": []}"#, "name 1 to 256"),
            (r#"{"variant": []}"#, "unknown field `variant`"),
            (
                r#"{"variants": [{"name": "M", "devices": ["mobile"]}]}"#,
                "settings: `variants[0].name`: \"M\" is not a variant's name",
            ),
            (
                r#"{"variants": [{"name": "m", "devices": []}]}"#,
                "`variants[0]` (m): `devices` is empty",
            ),
            (
                r#"{"variants": [{"name": "m", "devices": ["phone"]}]}"#,
                "settings: `variants[0].devices[0]`: \"phone\" is not a device class",
            ),
            (
                r#"{"variants": [{"name": "m", "devices": ["mobile"], "paths": []}]}"#,
                "name 1 to 256 `paths`",
            ),
            (
                r#"{"variants": [{"name": "m", "devices": ["mobile"], "path": "/"}]}"#,
                "unknown field `path`",
            ),
            (&many(33), "33 different variants: at most 32"),
        ] {
            let found = tero_policy::configure::<DeviceVariants>(settings).unwrap_err();
            assert!(
                found.contains(expected),
                "{found:?} does not contain {expected:?}"
            );
        }
    }
}
