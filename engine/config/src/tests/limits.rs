//! Every limit, from both sides.

use super::*;
use crate::keys::{Form, Section};
use crate::sections::SECTIONS;

#[test]
fn every_limit_holds_on_both_sides() {
    for section in SECTIONS {
        for key in section.keys {
            let (good, bad) = bounds(key.form);
            for value in good {
                check(section, key.name, &value, false);
            }
            for value in bad {
                check(section, key.name, &value, true);
            }
        }
    }
}

#[test]
fn there_are_at_most_64_limits_of_requests() {
    let limits = |count: usize| -> String {
        let limit = |number| format!("[[limit]]\nname = \"l{number}\"\nrequests = 1\n");
        (0..count).map(limit).collect()
    };
    assert_eq!(mistakes(&format!("{SITE}{}", limits(64))), []);
    let found = mistakes(&format!("{SITE}{}", limits(65)));
    assert!(found[0].problem.contains("65 limits"), "{found:?}");
}

fn check(section: &Section, key: &str, value: &str, is_out_of_range: bool) {
    let found = with(section, key, value);
    let is_refused = found
        .iter()
        .any(|mistake| mistake.problem.contains(" is too "));
    let name = section.name;
    assert_eq!(
        is_refused, is_out_of_range,
        "{name}.{key} = {value}: {found:?}"
    );
}

/// The values at the bounds of `form`, and those just past them.
fn bounds(form: Form) -> (Vec<String>, Vec<String>) {
    match form {
        Form::Count(min, max) => {
            let below = i64::try_from(min).unwrap() - 1;
            (
                vec![min.to_string(), max.to_string()],
                vec![below.to_string(), (max + 1).to_string()],
            )
        }
        Form::Number(min, max) => (
            vec![min.to_string(), max.to_string()],
            vec![(min / 2.0).to_string(), (max + 0.5).to_string()],
        ),
        Form::Duration(min, max) => {
            let millis = |text: &str| units::duration(text).unwrap().as_millis();
            let below = millis(min)
                .checked_sub(1)
                .map(|below| format!("\"{below}ms\""));
            let above = format!("\"{}ms\"", millis(max) + 1);
            (
                vec![format!("\"{min}\""), format!("\"{max}\"")],
                below.into_iter().chain([above]).collect(),
            )
        }
        Form::Size(min, max) => {
            let below = units::size(min)
                .unwrap()
                .checked_sub(1)
                .map(|below| format!("\"{below}B\""));
            let above = format!("\"{}B\"", units::size(max).unwrap() + 1);
            (
                vec![format!("\"{min}\""), format!("\"{max}\"")],
                below.into_iter().chain([above]).collect(),
            )
        }
        _ => (Vec::new(), Vec::new()),
    }
}

/// The mistakes of a configuration with this value.
fn with(section: &Section, key: &str, value: &str) -> Vec<ConfigError> {
    let memory = if section.name == "cache" && key != "memory" {
        "memory = \"16TiB\"\n"
    } else {
        ""
    };
    let entry = match section.name {
        "policy.limits" => format!(
            "[[policy]]\nname = \"p\"\nmodule = \"builtin:x\"\n[policy.limits]\n{key} = {value}\n"
        ),
        "warm" => format!("[[warm]]\nname = \"w\"\nsite = \"shop\"\n{key} = {value}\n"),
        "site" => format!("{key} = {value}\n"),
        name if name.starts_with("site.route.") => {
            let header = section.header;
            format!("[[site.route]]\nmatch = [\"/\"]\n{header}\n{key} = {value}\n")
        }
        _ => format!("{}\n{memory}{key} = {value}\n", section.header),
    };
    mistakes(&format!("{SITE}{entry}"))
}
