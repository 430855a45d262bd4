//! Compiling is bounded in time and memory, and nothing waits for it that need not.

use std::time::{Duration, Instant};

use tero_admin_api::endpoints::{Activate, Rollback};
use tero_admin_api::{ActivateRequest, Problem, PushResponse};
use tero_policy_host::{Package, builtin};
use tero_tests::{
    Answer, Edge, EdgeBuilder, Origin, Reply, Request, eventually, folder, guests, toml_string,
};

use crate::program::{assert_code, configuration, err, run_in, tero};

/// Loops that take minutes to compile.
const MANY_LOOPS: usize = 40_000;
/// Tables that take gigabytes to compile.
const MANY_TABLES: usize = 6_000;

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(30, format!("page {}", asked.target)));
    origin
}

/// An edge with these limits. Its own policy has been compiled before, within the usual ones.
fn edge(origin: &Origin, limits: &str) -> EdgeBuilder {
    let edge = Edge::before(origin).policy(
        "rules",
        "builtin:json-rules",
        "settings = { rules = [{ match = [\"/*\"], ttl = 60 }] }",
    );
    drop(edge.start());
    edge.policies(limits)
}

fn push(edge: &Edge, content: &[u8]) -> Answer {
    edge.admin(&Request::new("POST", "/policies/rules/versions").body(content))
}

#[track_caller]
fn check_refused(answer: &Answer, words: &str) {
    assert_eq!(answer.status, 422, "{answer:?}");
    let Problem { error, cure, .. } = answer.read();
    assert!(
        error.contains(words) && cure.contains("compile_"),
        "{error}; {cure}"
    );
}

#[test]
#[allow(clippy::disallowed_methods)] // How long answers take is the point.
fn a_module_that_compiles_for_ever_is_refused_and_nothing_waits_for_it() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, "compile_timeout = \"6s\"")
        .state_dir(state.path())
        .start();
    let good = push(&edge, builtin("json-rules").unwrap())
        .read::<PushResponse>()
        .version;
    let activate = || {
        edge.call::<Activate>(
            &["rules"],
            &ActivateRequest {
                digest: good.clone(),
            },
        )
    };
    let slow = guests::nested_loops(MANY_LOOPS);
    let mut longest = Duration::ZERO;
    let mut rounds = 0;
    std::thread::scope(|scope| {
        // If answers waited for the compiler, they would take as long as it may.
        let pushing = scope.spawn(|| push(&edge, &slow));
        while !pushing.is_finished() {
            let started = Instant::now();
            activate();
            edge.call::<Rollback>(&["rules"], &());
            edge.get("/x");
            longest = longest.max(started.elapsed());
            rounds += 1;
        }
        check_refused(
            &pushing.join().unwrap(),
            "longer than 6s (`policies.compile_timeout`)",
        );
    });
    assert!(
        longest < Duration::from_secs(3) && rounds > 1,
        "{longest:?} {rounds}"
    );
    // The next one is compiled.
    let next = Package {
        module: guests::misbehaving().into(),
        settings: Some("{}".into()),
        cases: None,
    };
    assert_eq!(push(&edge, &next.to_bytes()).status, 201);
}

#[test]
fn a_module_that_takes_too_much_memory_is_refused() {
    let (origin, state) = (origin(), folder());
    let edge = edge(&origin, "compile_memory = \"256MiB\"")
        .state_dir(state.path())
        .start();
    let answer = push(&edge, &guests::branch_tables(MANY_TABLES));
    check_refused(
        &answer,
        "more memory than 256MiB (`policies.compile_memory`)",
    );
    edge.get("/x").assert_detail("ttl");
}

#[test]
fn a_start_and_a_reload_compile_within_the_same_limits() {
    let (origin, modules) = (origin(), folder());
    let path = modules.path().join("slow.wasm");
    std::fs::write(&path, guests::nested_loops(MANY_LOOPS)).unwrap();
    let good = edge(&origin, "compile_timeout = \"1s\"");
    let slow = good.clone().policy("slow", &path.display().to_string(), "");
    let Err(error) = slow.try_start() else {
        panic!("it was compiled in a second")
    };
    assert!(
        error.contains("`slow`") && error.contains("compile_timeout"),
        "{error}"
    );
    let edge = good.start();
    let error = edge.reload(&slow).unwrap_err();
    assert!(
        error.contains("`slow`") && error.contains("compile_timeout"),
        "{error}"
    );
    edge.get("/x").assert_detail("ttl");
}

#[test]
fn policies_are_compiled_within_the_limits_when_none_are_kept() {
    let origin = origin();
    let text = edge(&origin, "compile_memory = \"512MiB\"").to_toml();
    let kept = toml_string(&tero_tests::compiled_cache().display().to_string());
    let text = text.replace(&format!("compiled_cache = {kept}"), "compiled_cache = \"\"");
    assert!(text.contains("compiled_cache = \"\""), "{text}");
    let edge = Edge::from_toml(&text, tero_tests::A_TUESDAY_MORNING, tero_tests::ART);
    edge.get("/x").assert_detail("ttl");
}

#[test]
fn the_program_is_its_own_compiler() {
    let (origin, folder) = (origin(), folder());
    std::fs::write(
        folder.path().join("slow.wasm"),
        guests::nested_loops(MANY_LOOPS),
    )
    .unwrap();
    let more = "policies = [\"slow\"]\n[[policy]]\nname = \"slow\"\nmodule = \"slow.wasm\"\n";
    let text = configuration(&origin, more)
        .replace("[policies]\n", "[policies]\ncompile_timeout = \"1s\"\n");
    std::fs::write(folder.path().join("tero.toml"), text).unwrap();
    for command in ["check", "serve"] {
        let output = run_in(folder.path(), &[command]);
        assert_code(&output, 1);
        let told = err(&output);
        assert!(
            told.contains("longer than 1s (`policies.compile_timeout`)"),
            "{told}"
        );
    }
}

/// Whether a process has children.
fn has_children(id: u32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{id}/task"));
    let mut threads = threads.into_iter().flatten().flatten();
    threads.any(|thread| {
        let children = std::fs::read_to_string(thread.path().join("children"));
        children.is_ok_and(|children| !children.trim().is_empty())
    })
}

#[test]
fn commands_at_the_desk_compile_in_a_process_of_their_own() {
    let folder = folder();
    let settings = "settings = { rules = [{ match = [\"/*\"], ttl = 60 }] }";
    let policy = format!("module = \"builtin:json-rules\"\n{settings}\n");
    let file = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    file(
        "settings.json",
        r#"{ "rules": [{ "match": ["/*"], "ttl": 60 }] }"#,
    );
    let of_site = format!(
        "[[policy]]\nname = \"rules\"\n{policy}[[site]]\nname = \"a\"\nhosts = [\"*\"]\norigins = [\"http://127.0.0.1:1\"]\npolicies = [\"rules\"]\n"
    );
    file("tero.toml", &of_site);
    for (number, arguments) in [
        &[
            "policy",
            "inspect",
            "builtin:json-rules",
            "--settings",
            "settings.json",
        ][..],
        &["schedule", "--next", "1min"],
    ]
    .into_iter()
    .enumerate()
    {
        // Nothing is kept there yet.
        let mut child = tero(arguments)
            .current_dir(folder.path())
            .env(
                "XDG_CACHE_HOME",
                folder.path().join(format!("cache-{number}")),
            )
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let id = child.id();
        eventually(&format!("a compiler of {arguments:?}"), || has_children(id));
        assert!(child.wait().unwrap().success(), "{arguments:?}");
    }
}
