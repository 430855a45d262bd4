//! Rules as people write them: in other quotes, on several lines, with exceptions.

use super::*;

/// A configuration with these variants of `builtin:device-variants`.
fn variants(written: &str) -> ConfigText {
    let old = r#"variants = [{ name = "mobile", devices = ["mobile"], paths = ["/", "/img/*"] }]"#;
    assert!(CONFIG.contains(old));
    ConfigText::new(
        &CONFIG.replace(old, &format!("variants = {written}")),
        "site",
    )
}

fn without_images(written: &str) -> Result<ConfigText, EditRefusal> {
    let pattern = "/img/*".to_owned();
    variants(written).with(&ConfigEdit::NoVariants { pattern })
}

#[test]
fn a_pattern_leaves_a_list_however_it_is_written() {
    let of = |paths: &str| format!(r#"[{{ devices = ["mobile"], paths = {paths} }}]"#);
    for (written, left) in [
        (r#"['/img/*', "/"]"#, r#"["/"]"#),
        (r#"["/","/img/*"]"#, r#"["/"]"#),
        (r#"["/", '/img/*' , ]"#, r#"["/" , ]"#),
        (r#"["/img/*", "/", "/img/*"]"#, r#"["/"]"#),
        (r#"["/", """/img/*""", "/a"]"#, r#"["/", "/a"]"#),
        (r#"["/", "\u002Fimg/*", "/a"]"#, r#"["/", "/a"]"#),
        ("[\n  \"/\", # home\n  \"/img/*\",\n]", "[\n  \"/\",\n]"),
    ] {
        let edited = without_images(&of(written)).unwrap();
        assert_eq!(edited, variants(&of(left)), "{written}");
    }
}

#[test]
fn an_exception_is_no_rule() {
    let written = r#"[{ devices = ["mobile"], paths = ["*"], except = ["/img/*"] }]"#;
    assert_eq!(without_images(written), Err(EditRefusal::Elsewhere));
    let both = |paths: &str| {
        format!(r#"[{{ devices = ["mobile"], except = ["/img/*"], paths = {paths} }}]"#)
    };
    let edited = without_images(&both(r#"["/a", "/img/*"]"#)).unwrap();
    assert_eq!(edited, variants(&both(r#"["/a"]"#)));
}

#[test]
fn a_stale_window_is_written_as_the_durations_of_the_rule() {
    let hour = std::time::Duration::from_secs(3_600);
    for (written, expected) in [
        (
            r#"ttl = { business_hours = 120, otherwise = "until 18:00" }"#,
            "stale_while_revalidate = 7200",
        ),
        (
            r#"inside = "2min", outside = "until-open""#,
            r#"stale_while_revalidate = "2h""#,
        ),
        (
            r#"inside = "until-close", outside = "2min""#,
            r#"stale_while_revalidate = "2h""#,
        ),
    ] {
        let text = format!(
            "[[policy]]\nname = \"p\"\n[policy.settings]\nrules = [{{ match = ['/a/*', \"/b\"], {written} }}]\n\
             [[site]]\nname = \"a\"\npolicies = [\"p\"]\n"
        );
        let new = ConfigText::new(&text, "a").with(&ConfigEdit::Lifetime {
            pattern: "/a/*".to_owned(),
            ttl: hour,
            stale: 2 * hour,
        });
        let new = new.unwrap();
        let (own, others) = new.as_str().split_once(",\n").unwrap();
        assert!(
            own.contains(r#"match = ["/a/*"]"#) && own.contains(expected),
            "{own}"
        );
        let left = format!("{{ match = [\"/b\"], {written} }}");
        assert!(others.starts_with(&left), "{others}");
    }
}
