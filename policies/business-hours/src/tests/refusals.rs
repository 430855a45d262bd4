//! Settings that are refused.

use super::*;

fn refusal(settings: serde_json::Value) -> String {
    tero_policy::configure::<BusinessHours>(&settings.to_string()).unwrap_err()
}

#[test]
fn bad_settings_are_refused_with_key_and_cure() {
    let base = |more: serde_json::Value| {
        let mut settings = serde_json::json!({"zone": "UTC", "open": "09:00", "close": "18:00"});
        settings
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        settings
            .as_object_mut()
            .unwrap()
            .retain(|_, value| !value.is_null());
        refusal(settings)
    };
    let rule = |more: serde_json::Value| {
        let mut rule = serde_json::json!({"paths": ["*"], "inside": "1min", "outside": "1min"});
        rule.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        base(serde_json::json!({"rules": [rule]}))
    };
    let windows = |json: &str| {
        let windows: serde_json::Value = serde_json::from_str(json).unwrap();
        serde_json::json!({"open": null, "close": null, "windows": windows})
    };
    let rules = |json: &str| serde_json::json!({"rules": serde_json::from_str::<serde_json::Value>(json).unwrap()});
    for (found, expected) in [
        (
            base(serde_json::json!({"zone": null})),
            "missing field `zone`",
        ),
        (
            base(serde_json::json!({"opens": "09:00"})),
            "unknown field `opens`",
        ),
        (base(serde_json::json!({"open": null})), "`open` is missing"),
        (
            base(serde_json::json!({"close": null})),
            "`close` is missing",
        ),
        (
            base(serde_json::json!({"open": null, "close": null})),
            "the opening hours are missing",
        ),
        (
            base(serde_json::json!({"open": "9"})),
            "settings: `open`: \"9\" is not a time of day",
        ),
        (
            base(serde_json::json!({"close": "09:00"})),
            "covers nothing",
        ),
        (
            base(serde_json::json!({"windows": [{"from": "09:00", "to": "10:00"}]})),
            "leave one out",
        ),
        (
            base(serde_json::json!({"open": null, "close": null, "windows": []})),
            "name 1 to 32",
        ),
        (
            base(
                serde_json::json!({"open": null, "close": null, "days": ["mon"], "windows": [{"from": "09:00", "to": "10:00"}]}),
            ),
            "its own `days`",
        ),
        (
            base(serde_json::json!({"days": ["lun"]})),
            "settings: `days`: \"lun\" is not a day of the week",
        ),
        (
            base(serde_json::json!({"holidays": "shut"})),
            "unknown variant `shut`",
        ),
        (
            base(serde_json::json!({"spread": 51})),
            "write 0 to 50 percent",
        ),
        (
            base(windows(
                r#"[{"days": "mon-fri", "from": "09:00", "to": "18:00"}, {"days": "fri", "from": "10:00", "to": "12:00"}]"#,
            )),
            "`windows[1]` lies within `windows[0]`, so it never opens by itself",
        ),
        (
            base(windows(
                r#"[{"from": "09:00", "to": "18:00"}, {"from": "09:00", "to": "18:00"}]"#,
            )),
            "`windows[0]` lies within `windows[1]`",
        ),
        (
            base(windows(r#"[{"from": "09:00", "to": "09:00"}]"#)),
            "covers nothing",
        ),
        (
            base(windows(r#"[{"days": [], "from": "09:00", "to": "10:00"}]"#)),
            "`windows[0].days`",
        ),
        (
            base(rules(
                r#"[{"paths": ["/a/*"], "inside": "1min", "outside": "1min"}, {"paths": ["/", "/a/b"], "inside": "1s", "outside": "1s"}]"#,
            )),
            "`rules[1]`: /a/b is decided by `rules[0]` (/a/*): put this rule before that one",
        ),
        (
            rule(serde_json::json!({"inside": "until 25:00"})),
            "settings: `rules[0].inside`: \"25:00\" is not a time of day",
        ),
        (
            rule(serde_json::json!({"browser_ttl": "never"})),
            "`rules[0]`: `browser_ttl` is a duration",
        ),
        (
            rule(serde_json::json!({"paths": []})),
            "`rules[0]`: `paths` is empty",
        ),
        (
            rule(serde_json::json!({"paths": ["x"]})),
            "settings: `rules[0].paths[0]`: \"x\" begins with neither",
        ),
        (
            rule(serde_json::json!({"inside": "1 minute"})),
            "settings: `rules[0].inside`: \"1 minute\" is not a duration",
        ),
        (
            rule(serde_json::json!({"inside": "until-open"})),
            "write \"until-close\"",
        ),
        (
            rule(serde_json::json!({"outside": "until-close"})),
            "write \"until-open\"",
        ),
        (
            rule(serde_json::json!({"spread": 60})),
            "`rules[0]`: `spread` is 60",
        ),
        (
            rule(serde_json::json!({"tags": ["a b"]})),
            "settings: `rules[0].tags[0]`: \"a b\" is not a tag",
        ),
        (
            rule(serde_json::json!({"stale_if_error": "400d"})),
            "longer than a year",
        ),
        (
            rule(serde_json::json!({"ttl": "1min"})),
            "settings: `rules[0].ttl`: unknown field `ttl`",
        ),
    ] {
        assert!(
            found.contains(expected),
            "{found:?} does not contain {expected:?}"
        );
    }
}
