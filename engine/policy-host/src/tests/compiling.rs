//! Compilers in a process of their own that misbehave. Real ones are tested through sockets.

use super::*;

/// Loads a good policy with a shell's script as the compiler.
fn with_compiler(script: &str, timeout_secs: u64) -> String {
    let folder = tempfile::tempdir().unwrap();
    let compiler = Compiler::Process(CompilerCommand {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), script.into()],
        environment: Vec::new(),
    });
    let config = config::PolicyHost {
        compile_timeout: std::time::Duration::from_secs(timeout_secs),
        compile_memory: 1 << 20,
        ..host_config(None)
    };
    let host = Host::with_compiler(&config, &compiler).unwrap();
    let guest = ByHand::on_request(MOBILE).config(folder.path());
    host.load(&guest).unwrap_err().to_string()
}

#[test]
fn a_compiler_that_never_ends_is_killed() {
    for script in [
        "exec /bin/sleep 600",
        "exec 0<&- 1>&- 2>&-; exec /bin/sleep 600",
    ] {
        let error = with_compiler(script, 1);
        assert!(error.contains("`by-hand`"), "{error}");
    }
    let error = with_compiler("exec /bin/sleep 600", 1);
    assert!(
        error.ends_with("it took longer than 1s (`policies.compile_timeout`)"),
        "{error}"
    );
}

#[test]
fn a_compiler_that_dies_is_told_by_how_it_died() {
    for (script, words) in [
        (
            "kill -KILL $$",
            "more memory than 1MiB (`policies.compile_memory`)",
        ),
        (
            "echo memory allocation of 9 bytes failed >&2; kill -ABRT $$",
            "more memory than 1MiB",
        ),
        ("kill -XCPU $$", "more processor time"),
        (
            "echo one >&2; printf 'two\\033' >&2; kill -SEGV $$",
            "signal: 11 (SIGSEGV): two\\u{1b}",
        ),
        ("echo oops >&2; exit 3", "exit status: 3: oops"),
        ("exit 0", "exit status: 0: "),
    ] {
        let error = with_compiler(script, 20);
        assert!(
            error.contains("`by-hand`") && error.contains(words),
            "{script}: {error}"
        );
    }
}

#[test]
fn what_a_compiler_says_is_bounded_and_checked() {
    for (script, words) in [
        (
            "exec /bin/cat /dev/zero",
            "larger than 512KiB (half of `policies.compile_memory`)",
        ),
        ("printf '\\000no code'", "not that of this program"),
        ("printf '\\001no refusal'", "speaks badly"),
        (
            "printf '\\001{\"NotOffered\":\"env#f\"}'",
            "imports `env#f`",
        ),
        (
            "printf '\\001{\"NotAModule\":\"Cannot allocate memory (os error 12)\"}'",
            "more memory",
        ),
        ("printf '\\002'", "exit status: 0"),
        ("printf '\\000'; exit 1", "exit status: 1"),
    ] {
        let error = with_compiler(script, 20);
        assert!(error.contains(words), "{script}: {error}");
    }
}

#[test]
fn a_compiler_that_cannot_be_started_is_an_error() {
    let compiler = Compiler::Process(CompilerCommand {
        program: "/nowhere/compiler".into(),
        arguments: Vec::new(),
        environment: Vec::new(),
    });
    let host = Host::with_compiler(&host_config(None), &compiler).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let guest = ByHand::on_request(MOBILE).config(folder.path());
    let error = host.load(&guest).unwrap_err().to_string();
    assert!(
        error.contains("/nowhere/compiler can't be started"),
        "{error}"
    );
}
