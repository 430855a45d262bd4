//! Modules that are loaded, refused, and kept compiled.

use super::*;

#[test]
fn a_component_with_too_many_core_modules_is_refused() {
    let (folder, host) = (tempfile::tempdir().unwrap(), host());
    let mut config = ByHand::default().config(folder.path());
    config.limits.core_instances = 1;
    let message = host.load(&config).unwrap_err().to_string();
    assert!(
        message.contains("`by-hand`")
            && message.contains("more than 1 core modules (`core_instances`)"),
        "{message}"
    );
}

#[test]
fn bytes_that_are_not_a_policy_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let host = host();
    let load = |module: &[u8]| host.load(&config(folder.path(), module)).unwrap_err();
    for bytes in [
        &b""[..],
        b"#!/bin/sh",
        b"\0asm\x01\0\0\0\x63",
        b"\0asm\x0d\0\x01\0\x63",
    ] {
        let error = load(bytes);
        assert!(matches!(error, PolicyError::NotAModule { .. }), "{error}");
    }
    for text in ["(module)", "(component)"] {
        let error = load(&wat::parse_str(text).unwrap());
        assert!(matches!(error, PolicyError::NoContract { .. }), "{error}");
    }
}

#[test]
fn a_module_that_does_not_exist_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for (module, name) in [
        (
            config::ModuleSource::File("/nowhere.wasm".into()),
            "/nowhere.wasm",
        ),
        (
            config::ModuleSource::Builtin("nonesuch".into()),
            "`nonesuch`",
        ),
    ] {
        let config = config::Policy {
            module,
            ..config(folder.path(), b"")
        };
        let message = host().load(&config).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
    }
}

#[test]
fn a_module_beyond_the_size_limit_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), b"\0asm\x01\0\0\0");
    let config::ModuleSource::File(path) = &config.module else {
        unreachable!()
    };
    std::fs::OpenOptions::new()
        .write(true)
        .open(path)
        .unwrap()
        .set_len(100 << 20)
        .unwrap();
    let error = host().load(&config).unwrap_err();
    assert!(matches!(error, PolicyError::TooLarge { .. }), "{error}");
    assert!(
        error.to_string().contains("`by-hand`")
            && error.to_string().contains("64MiB (`policies.max_module`)"),
        "{error}"
    );
}

#[test]
fn an_import_that_is_not_offered_is_named() {
    let component = r#"(component (import "acme:net/http" (instance (export "fetch" (func)))))"#;
    let folder = tempfile::tempdir().unwrap();
    let error = host()
        .load(&config(folder.path(), &wat::parse_str(component).unwrap()))
        .unwrap_err();
    assert!(
        matches!(&error, PolicyError::NotOffered { import, .. } if import == "acme:net/http"),
        "{error}"
    );
    let message = refused(&ByHand {
        imports: r#"(import "env" "fetch" (func))"#,
        ..ByHand::default()
    });
    assert_eq!(
        message,
        "policy `by-hand`: the module imports `env#fetch`, which is not offered to policies"
    );
    let contract = CONTRACT.replace(
        "import log:",
        "import fetch: func(url: string); import log:",
    );
    let message = refused(&ByHand {
        contract: &contract,
        imports: r#"(import "$root" "fetch" (func (param i32 i32)))"#,
        ..ByHand::default()
    });
    assert_eq!(
        message,
        "policy `by-hand`: the module imports `fetch`, which is not offered to policies"
    );
}

#[test]
fn refused_settings_are_reported_with_the_policys_own_message() {
    let message = refused(&ByHand::configure(REFUSAL));
    assert_eq!(
        message,
        "policy `by-hand` refuses its settings: no such shop"
    );
}

#[test]
fn a_guest_that_fails_while_it_is_configured_is_refused_with_the_kind_of_failure() {
    #[track_caller]
    fn check(guest: &ByHand<'_>, expected: FailureKind) {
        let error = load(guest).unwrap_err();
        assert!(
            matches!(error, PolicyError::Failed { kind, .. } if kind == expected),
            "{error}"
        );
    }
    check(&ByHand::configure("unreachable"), FailureKind::Trap);
    check(
        &ByHand::configure("(loop (br 0)) unreachable"),
        FailureKind::Deadline,
    );
    check(
        &ByHand {
            memory_pages: 17,
            ..ByHand::default()
        },
        FailureKind::Memory,
    );
    let start = "(func $start unreachable) (start $start)";
    check(
        &ByHand {
            more: start,
            ..ByHand::default()
        },
        FailureKind::Trap,
    );
    let bad = r#"(data (i32.const 1028) "\ff\ff\ff\7f")"#;
    check(
        &ByHand {
            more: bad,
            ..ByHand::default()
        },
        FailureKind::BadAnswer,
    );
}

#[test]
fn a_bad_manifest_refuses_the_policy() {
    let shouted = r#"(data (i32.const 1312) "MOBILE")"#;
    let message = refused(&ByHand {
        more: shouted,
        ..ByHand::default()
    });
    assert!(
        message.contains("bad manifest") && message.contains("MOBILE"),
        "{message}"
    );
}

#[test]
fn compiled_modules_are_kept_and_damaged_or_untrusted_ones_are_replaced() {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    let (folder, modules) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let cache = folder.path().join("tero");
    let config = ByHand::on_request(MOBILE).config(modules.path());
    let load = || {
        Host::new(&host_config(Some(cache.clone())))
            .unwrap()
            .load(&config)
            .unwrap()
    };
    let files = || {
        fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect::<Vec<_>>()
    };
    load();
    let [file] = files().try_into().unwrap();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&file)), (0o700, 0o600));
    let good = fs::read(&file).unwrap();

    // A good file is used as it is.
    let written = fs::metadata(&file).unwrap().modified().unwrap();
    load();
    assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);

    // A damaged, a cut and an empty file are replaced.
    let mut damaged = good.clone();
    *damaged.last_mut().unwrap() ^= 1;
    for bad in [damaged.as_slice(), &good[..good.len() / 2], b""] {
        fs::write(&file, bad).unwrap();
        load();
        assert!(fs::read(&file).unwrap() == good);
    }
    // A file that other users may write is not trusted, whatever it holds.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    load();
    assert_eq!(mode(&file), 0o600);
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    load();
}

#[test]
fn malformed_custom_sections_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    let module = ByHand::on_request(MOBILE).module();
    for malformed in [
        // A name beyond the section, no name, a name that is not UTF-8.
        &b"\0\x02\x05a"[..],
        b"\0\0",
        b"\0\x02\x01\xff",
        // Contents that are not what these names promise.
        b"\0\x06\x04name\xff",
        b"\0\x0b\x09producers\xff",
        b"\0\x0c\x0a.debug_inf\xff",
    ] {
        let bytes = [&module[..], malformed].concat();
        let policy = host().load(&config(folder.path(), &bytes)).unwrap();
        assert_eq!(
            policy.digest(),
            digest(&bytes),
            "they are part of what was given"
        );
        let chain = Chain::new(&host(), vec![policy], 64).unwrap();
        assert_eq!(on_request(&chain, "/").variant.as_deref(), Some("mobile"));
    }
}
