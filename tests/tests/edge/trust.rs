//! Modules and data tables are signed: with `trusted_keys`, others are refused.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tero_admin_api::endpoints::{Policy, PushVersion, RollBackTable, Rollback, Table};
use tero_admin_api::{
    CONFIGURATION, PolicyModule, PushResponse, PushTableResponse, RollBackTableRequest,
};
use tero_policy_host::{Package, builtin};
use tero_tests::{Answer, Edge, EdgeBuilder, Origin, Request, folder, toml_string};

use crate::program::{assert_code, configuration, err, out, run, run_in};

/// Whether Debian's `minisign` is installed. Where it must be, `.ci/run` sets `TERO_DEMAND_MINISIGN`.
fn is_installed() -> bool {
    let found = Command::new("minisign").arg("-v").output();
    if found.is_ok() {
        return true;
    }
    assert!(
        std::env::var_os("TERO_DEMAND_MINISIGN").is_none(),
        "minisign is missing: install it"
    );
    eprintln!("SKIPPED: minisign is not installed, so signatures were not tried with it");
    false
}

/// Two pairs of keys, made by Debian's `minisign`, and files to sign.
struct Keys {
    folder: tempfile::TempDir,
}

impl Keys {
    fn new() -> Keys {
        let keys = Keys { folder: folder() };
        for name in ["team", "other"] {
            let (public, secret) = (format!("{name}.pub"), format!("{name}.key"));
            keys.minisign(&["-G", "-W", "-p", &public, "-s", &secret]);
        }
        keys
    }

    #[track_caller]
    fn minisign(&self, arguments: &[&str]) {
        let output = Command::new("minisign")
            .args(arguments)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "minisign {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        std::fs::write(self.path(name), content).unwrap();
        self.path(name).display().to_string()
    }

    /// Signs a file by `minisign`, and gives the signature.
    #[track_caller]
    fn sign(&self, key: &str, file: &str) -> String {
        let key = format!("{key}.key");
        self.minisign(&["-S", "-s", &key, "-m", file]);
        std::fs::read_to_string(self.path(&format!("{file}.minisig"))).unwrap()
    }

    fn trusted(&self, name: &str) -> String {
        let path = self.path(&format!("{name}.pub")).display().to_string();
        format!("trusted_keys = [{}]", toml_string(&path))
    }
}

fn builder(origin: &Origin, state: &Path, trusted: &str) -> EdgeBuilder {
    let rules = "settings = { rules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }] }";
    Edge::before(origin)
        .state_dir(state)
        .policies(trusted)
        .policy("rules", "builtin:json-rules", rules)
}

fn push(edge: &Edge, target: &str, content: &[u8], signature: Option<&str>) -> Answer {
    let signature = signature.map(|text| format!("?signature={}", URL_SAFE_NO_PAD.encode(text)));
    let target = format!("{target}{}", signature.unwrap_or_default());
    edge.admin(&Request::new("POST", target).body(content))
}

#[test]
fn pushes_need_the_signature_of_a_trusted_key() {
    if !is_installed() {
        return;
    }
    let (keys, origin, state) = (Keys::new(), Origin::start(), folder());
    let edge = builder(&origin, state.path(), &keys.trusted("team")).start();
    keys.write("prices.csv", "/a,1\n");
    keys.write("rules.wasm", builtin("json-rules").unwrap());
    for (file, target) in [
        ("prices.csv", "/data/prices/versions"),
        ("rules.wasm", "/policies/rules/versions"),
    ] {
        let content = std::fs::read(keys.path(file)).unwrap();
        let unsigned = push(&edge, target, &content, None);
        unsigned.assert_refused(422, &["is not signed", "tero policy sign KEY FILE"]);
        let other = keys.sign("other", file);
        let by_other = push(&edge, target, &content, Some(&other));
        by_other.assert_refused(422, &["none of the keys"]);
        keys.minisign(&["-S", "-l", "-s", "team.key", "-m", file]);
        let old = std::fs::read_to_string(keys.path(&format!("{file}.minisig"))).unwrap();
        push(&edge, target, &content, Some(&old)).assert_refused(422, &["prehashed"]);
        keys.write("second.csv", "/a,2\n");
        let of_second = keys.sign("team", "second.csv");
        let of_other_file = push(&edge, target, &content, Some(&of_second));
        of_other_file.assert_refused(422, &["was altered"]);
        let signature = keys.sign("team", file);
        let mut altered = content.clone();
        *altered.last_mut().unwrap() ^= 1;
        let answer = push(&edge, target, &altered, Some(&signature));
        answer.assert_refused(422, &["was altered"]);
        let comment = signature.replacen("timestamp:", "timestamp:1", 1);
        let answer = push(&edge, target, &content, Some(&comment));
        answer.assert_refused(422, &["was altered"]);
        for nonsense in ["", "untrusted comment: x\n", "a\nb\nc\nd\n", "\0"] {
            let answer = push(&edge, target, &content, Some(nonsense));
            answer.assert_refused(422, &["is not one of minisign"]);
        }
        let answer =
            edge.admin(&Request::new("POST", format!("{target}?signature=é!")).body(&content));
        assert!(matches!(answer.status, 400 | 422), "{answer:?}");
        // The ends of lines don't matter.
        let windows = signature.replace('\n', "\r\n");
        let answer = push(&edge, target, &content, Some(&windows));
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    // After a restart what was pushed is trusted as it was.
    let before = edge.call::<Table>(&["prices"], &());
    drop(edge);
    let edge = builder(&origin, state.path(), &keys.trusted("team")).start();
    assert_eq!(edge.call::<Table>(&["prices"], &()), before);
}

#[test]
fn versions_from_before_the_keys_neither_decide_nor_come_back() {
    if !is_installed() {
        return;
    }
    let (keys, origin, state) = (Keys::new(), Origin::start(), folder());
    let edge = builder(&origin, state.path(), "").start();
    let rules = builtin("json-rules").unwrap();
    let module: PushResponse = push(&edge, "/policies/rules/versions", rules, None).read();
    edge.admin_post(
        "/policies/rules/activate",
        &format!("{{\"digest\": \"{}\"}}", module.version),
    );
    for content in ["/a,1\n", "/a,2\n"] {
        let answer = push(&edge, "/data/prices/versions", content.as_bytes(), None);
        assert_eq!(answer.status, 201, "{answer:?}");
    }
    drop(edge);
    let edge = builder(&origin, state.path(), &keys.trusted("team")).start();
    let report = edge.call::<Policy>(&["rules"], &());
    assert_eq!(report.version, CONFIGURATION);
    assert!(report.trouble.unwrap().contains("not signed"));
    let activate = edge.admin_post(
        "/policies/rules/activate",
        &format!("{{\"digest\": \"{}\"}}", module.version),
    );
    activate.assert_refused(
        409,
        &["not signed", "push the version again with its signature"],
    );
    let table = edge.call::<Table>(&["prices"], &());
    assert_eq!(table.version, None);
    assert!(table.trouble.unwrap().contains("not signed"));
    for version in [None, Some("1"), Some("2")] {
        let request = RollBackTableRequest {
            version: version.map(str::to_owned),
        };
        let answer = edge.ask::<RollBackTable>(&["prices"], &request);
        answer.assert_refused(409, &["not signed", "push the version again"]);
    }
    // Pushed again with signatures, they are the same versions.
    keys.write("prices.csv", "/a,1\n");
    let signature = keys.sign("team", "prices.csv");
    let again: PushTableResponse =
        push(&edge, "/data/prices/versions", b"/a,1\n", Some(&signature)).read();
    assert_eq!((again.pushed.version, again.was_known), (1, true));
    keys.write("rules.wasm", rules);
    let request = PolicyModule {
        content: rules.to_vec(),
        signature: Some(keys.sign("team", "rules.wasm")),
        ..PolicyModule::default()
    };
    let again = edge.call::<PushVersion>(&["rules"], &request);
    assert_eq!((&again.version, again.was_known), (&module.version, true));
    let activate = edge.admin_post(
        "/policies/rules/activate",
        &format!("{{\"digest\": \"{}\"}}", module.version),
    );
    assert_eq!(activate.status, 200, "{activate:?}");
    assert_eq!(
        edge.call::<Rollback>(&["rules"], &()).version,
        CONFIGURATION
    );
    drop(edge);
    // Without keys nothing is checked.
    let edge = builder(&origin, state.path(), "").start();
    let table = edge.call::<Table>(&["prices"], &());
    assert_eq!(table.version.as_deref(), Some("1"));
}

#[test]
fn files_of_the_configuration_need_signatures_at_start_and_reload() {
    if !is_installed() {
        return;
    }
    let (keys, origin) = (Keys::new(), Origin::start());
    let module = keys.write("rules.wasm", builtin("json-rules").unwrap());
    let table = keys.write("prices.csv", "/a,1\n");
    let table = format!(
        "[[table]]\nname = \"prices\"\nfile = {}\n",
        toml_string(&table)
    );
    let rules = "settings = { rules = [{ match = [\"/*\"], ttl = 60 }] }";
    let builder = Edge::before(&origin)
        .policies(&keys.trusted("team"))
        .policy("rules", &module, rules)
        .section(&table);
    let refused = |words: &str| {
        let error = builder.try_start().err().unwrap();
        assert!(error.contains(words), "{words}: {error}");
    };
    keys.sign("team", "prices.csv");
    refused("policy `rules`: the module is refused: it is not signed");
    keys.sign("other", "rules.wasm");
    refused("none of the keys");
    keys.sign("team", "rules.wasm");
    std::fs::rename(keys.path("prices.csv.minisig"), keys.path("away")).unwrap();
    refused("prices.csv is refused: it is not signed");
    std::fs::rename(keys.path("away"), keys.path("prices.csv.minisig")).unwrap();
    let edge = builder.start();
    edge.reload(&builder).unwrap();
    keys.write("prices.csv", "/a,2\n");
    let error = edge.reload(&builder).unwrap_err();
    assert!(error.contains("was altered"), "{error}");
    keys.sign("team", "prices.csv");
    edge.reload(&builder).unwrap();
    let long = "x".repeat(5_000);
    keys.write("prices.csv.minisig", long);
    let error = edge.reload(&builder).unwrap_err();
    assert!(error.contains("is not one of minisign"), "{error}");
}

#[test]
fn keys_are_read_however_they_are_written_and_secret_ones_are_refused() {
    if !is_installed() {
        return;
    }
    let (keys, origin, state) = (Keys::new(), Origin::start(), folder());
    let public = std::fs::read_to_string(keys.path("team.pub")).unwrap();
    let key = public.lines().nth(1).unwrap();
    keys.write("windows.pub", public.replace('\n', "\r\n"));
    keys.write("bare.pub", format!("\u{feff}\r\n{key}"));
    keys.write("empty.pub", "");
    let inline = format!("trusted_keys = [\"{key}\"]");
    let both = format!(
        "trusted_keys = [\"{key}\", {}]",
        toml_string(&keys.path("other.pub").display().to_string())
    );
    keys.write("prices.csv", "/a,1\n");
    let signature = keys.sign("team", "prices.csv");
    for trusted in [keys.trusted("windows"), keys.trusted("bare"), inline, both] {
        let edge = builder(&origin, state.path(), &trusted).start();
        let answer = push(&edge, "/data/prices/versions", b"/a,1\n", Some(&signature));
        assert_eq!(answer.status, 201, "{trusted}: {answer:?}");
        let answer = push(&edge, "/data/prices/versions", b"/a,1\n", None);
        assert_eq!(answer.status, 422, "{trusted}: {answer:?}");
    }
    let secret = std::fs::read_to_string(keys.path("team.key")).unwrap();
    let secret_line = secret.lines().nth(1).unwrap();
    let named_secret = format!(
        "trusted_keys = [{}]",
        toml_string(&keys.path("team.key").display().to_string())
    );
    for (trusted, words) in [
        (named_secret, "holds a secret key"),
        (keys.trusted("empty"), "holds no public key"),
        (
            keys.trusted("nowhere"),
            "neither a public key of minisign nor a file",
        ),
        (
            format!("trusted_keys = [\"{}\"]", &key[1..]),
            "neither a public key",
        ),
        (
            format!("trusted_keys = [\"{key}\", \"{key}\"]"),
            "trusted_keys",
        ),
    ] {
        let error = builder(&origin, state.path(), &trusted)
            .try_start()
            .err()
            .unwrap();
        assert!(error.contains(words), "{words}: {error}");
        assert!(!error.contains(secret_line), "{error}");
    }
}

#[test]
fn commands_sign_and_verify_as_minisign_does() {
    if !is_installed() {
        return;
    }
    let keys = Keys::new();
    let at = |arguments: &[&str]| run_in(keys.folder.path(), arguments);
    let good = |arguments: &[&str]| {
        let output = at(arguments);
        assert_code(&output, 0);
        out(&output)
    };
    keys.write("prices.csv", "/a,1\n");
    keys.write("rules.wasm", builtin("json-rules").unwrap());
    // Ours is read by minisign, its by ours.
    assert_eq!(
        good(&["data", "sign", "team.key", "prices.csv"]),
        "prices.csv.minisig\n"
    );
    keys.minisign(&["-V", "-H", "-p", "team.pub", "-m", "prices.csv"]);
    good(&["policy", "sign", "team.key", "rules.wasm"]);
    keys.minisign(&["-V", "-H", "-p", "team.pub", "-m", "rules.wasm"]);
    good(&["policy", "verify", "rules.wasm", "--key", "team.pub"]);
    keys.sign("team", "prices.csv");
    good(&[
        "data",
        "verify",
        "prices.csv",
        "--key",
        "other.pub",
        "--key",
        "team.pub",
    ]);
    let other = at(&["data", "verify", "prices.csv", "--key", "other.pub"]);
    assert_code(&other, 1);
    assert!(err(&other).contains("none of the keys"), "{}", err(&other));
    keys.write("prices.csv", "/a,2\n");
    let altered = at(&["data", "verify", "prices.csv", "--key", "team.pub"]);
    assert_code(&altered, 1);
    assert!(err(&altered).contains("was altered"), "{}", err(&altered));
    let secret = std::fs::read_to_string(keys.path("team.key")).unwrap();
    keys.write("windows.key", secret.replace('\n', "\r\n"));
    good(&["data", "sign", "windows.key", "prices.csv"]);
    keys.minisign(&["-V", "-p", "team.pub", "-m", "prices.csv"]);
    // A package with settings is signed as a whole.
    let settings = "{\"rules\": [{\"name\": \"all\", \"match\": [\"/*\"], \"ttl\": 60}]}";
    good(&[
        "policy",
        "sign",
        "team.key",
        "rules.wasm",
        "--settings",
        settings,
        "--out",
        "none.wasm",
    ]);
    keys.minisign(&["-V", "-p", "team.pub", "-m", "none.wasm"]);
    for (arguments, words) in [
        (
            &["data", "sign", "team.pub", "prices.csv"][..],
            "no secret key",
        ),
        (
            &["data", "sign", "nowhere.key", "prices.csv"],
            "can't read nowhere.key",
        ),
        (
            &["data", "sign", "team.key", "nowhere.csv"],
            "can't read nowhere.csv",
        ),
        (
            &["data", "verify", "prices.csv", "--key", "team.key"],
            "secret key",
        ),
        (
            &[
                "policy",
                "push",
                "rules.wasm",
                "--name",
                "rules",
                "--settings",
                settings,
            ],
            "sign the whole",
        ),
    ] {
        let output = at(arguments);
        assert_code(&output, 2);
        let said = err(&output);
        assert!(said.contains(words), "{words}: {said}");
        assert!(!said.contains(secret.lines().nth(1).unwrap()), "{said}");
    }
}

#[test]
fn check_tells_what_the_state_directory_changes() {
    if !is_installed() {
        return;
    }
    let (keys, origin, state) = (Keys::new(), Origin::start(), folder());
    let edge = Edge::before(&origin).state_dir(state.path()).start();
    let rules = &*Package {
        module: builtin("json-rules").unwrap().into(),
        settings: Some(
            "{\"rules\": [{\"name\": \"all\", \"match\": [\"/*\"], \"ttl\": 60}]}".into(),
        ),
        cases: None,
    }
    .to_bytes();
    let answer = push(&edge, "/policies/seo/versions", rules, None);
    assert_eq!(answer.status, 404);
    let answer = edge.admin(&Request::new("POST", "/policies/seo/versions?site=site").body(rules));
    assert_eq!(answer.status, 201, "{answer:?}");
    push(&edge, "/data/prices/versions", b"/a,1\n", None);
    let dir = toml_string(&state.path().display().to_string());
    let text = configuration(&origin, "");
    let text = text.replace("[policies]", &format!("[policies]\nstate_dir = {dir}"));
    let path = keys.write("tero.toml", &text);
    // The edge still runs, and holds the lock.
    let check = || {
        let output = run(&["check", "--state", &path]);
        assert_code(&output, 0);
        out(&output)
    };
    let told = check();
    assert!(
        told.contains("policy seo: a push put it on the site site"),
        "{told}"
    );
    assert!(
        told.contains("table prices: version 1 decides; the configuration has no such table"),
        "{told}"
    );
    let keyed = text.replace(
        "[policies]",
        &format!("[policies]\n{}", keys.trusted("team")),
    );
    keys.write("tero.toml", &keyed);
    let told = check();
    assert!(
        told.contains("policy seo: it is left out: ") && told.contains("is not signed"),
        "{told}"
    );
    assert!(
        told.contains("table prices: there is no such table: "),
        "{told}"
    );
    let named = text.clone()
        + "[[policy]]\nname = \"seo\"\nmodule = \"builtin:json-rules\"\nsettings = { rules = [{ match = [\"/*\"], ttl = 60 }] }\n";
    keys.write(
        "tero.toml",
        named.replace("state_dir", "max_versions = 5\nstate_dir"),
    );
    assert!(check().contains("the configuration has a policy of this name"));
}

#[test]
fn check_tells_what_a_start_without_keys_accepts() {
    if !is_installed() {
        return;
    }
    let (keys, origin) = (Keys::new(), Origin::start());
    let table = keys.write("prices.csv", "/a,1\n");
    keys.sign("team", "prices.csv");
    let table = format!(
        "[[table]]\nname = \"prices\"\nfile = {}\n",
        toml_string(&table)
    );
    let text = configuration(&origin, &table);
    let path = keys.write("tero.toml", &text);
    let output = run(&["check", &path]);
    assert_code(&output, 0);
    assert!(
        err(&output).contains("no signature is checked") && err(&output).contains("trusted_keys"),
        "{}",
        err(&output)
    );
    let keyed = text.replace(
        "[policies]",
        &format!("[policies]\n{}", keys.trusted("other")),
    );
    keys.write("tero.toml", &keyed);
    let output = run(&["check", &path]);
    assert_code(&output, 1);
    assert!(
        err(&output).contains("none of the keys"),
        "{}",
        err(&output)
    );
    let keyed = keyed.replace("other.pub", "team.pub");
    keys.write("tero.toml", &keyed);
    let output = run(&["check", &path]);
    assert_code(&output, 0);
    let output = run(&[
        "data",
        "verify",
        &keys.path("prices.csv").display().to_string(),
        "--config",
        &path,
    ]);
    assert_code(&output, 0);
}
