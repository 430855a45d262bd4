//! The files in `examples/deploy`: each is valid for its reader, and its command works.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tero_tests::{ART, Origin, Reply, folder, get};
use tero_time::cron::Schedule;

use crate::program::{Serving, assert_code, configuration, run};
use crate::yaml;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/deploy")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(deploy().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Checks that the schedule means 08:30 from Monday to Saturday in Buenos Aires.
fn assert_opening(cron: &str, zone: &str) {
    let schedule = Schedule::parse(cron, zone.parse().unwrap()).unwrap();
    let expected = Schedule::parse("30 8 * * MON-SAT", ART.parse().unwrap()).unwrap();
    let mut now = tero_tests::instant("2026-11-24T08:00:00", ART.parse().unwrap());
    for _ in 0..10 {
        assert_eq!(
            schedule.next_after(now),
            expected.next_after(now),
            "{cron} in {zone}"
        );
        now = expected.next_after(now).unwrap();
    }
}

/// Runs a `tero` command line of an example with more arguments against an edge with the plan
/// `apertura`. It must succeed with up to 5 % of pages failing, and fail with more.
fn assert_warms(arguments: &[&str], more: impl Fn(&Serving) -> Vec<String>) {
    for (gone, code) in [(0, 0), (1, 0), (2, 1)] {
        let origin = Origin::start();
        origin.otherwise(|asked| {
            if asked.target.starts_with("/gone") {
                Reply::status(404)
            } else {
                Reply::fresh(600, "a")
            }
        });
        let urls: Vec<_> = (0..20 - gone)
            .map(|page| format!("/{page}"))
            .chain((0..gone).map(|page| format!("/gone{page}")))
            .collect();
        let plan = format!("\n[[warm]]\nname = \"apertura\"\nsite = \"site\"\nurls = {urls:?}\n");
        let serving = Serving::start(&configuration(&origin, &plan));
        let more = more(&serving);
        let arguments: Vec<&str> = arguments
            .iter()
            .copied()
            .chain(more.iter().map(String::as_str))
            .collect();
        assert_code(&run(&arguments), code);
        serving.client().send(&get("/0")).assert_hit("a");
    }
}

fn admin(serving: &Serving) -> Vec<String> {
    vec![
        "--admin".to_owned(),
        format!("http://{}", serving.admin_address()),
    ]
}

/// The settings of a crontab, and the one job: schedule, user and command.
fn crontab() -> (Vec<String>, [String; 3]) {
    let text = read("crontab");
    let lines = text
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty());
    // As cron tells them apart: a setting begins with a name and an equals sign.
    let is_setting = |line: &&str| {
        line.split_once('=').is_some_and(|(name, _)| {
            name.bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_')
        })
    };
    let (settings, jobs): (Vec<&str>, Vec<&str>) = lines.partition(is_setting);
    let [job] = jobs[..] else { panic!("{jobs:?}") };
    // cron ends a line at a percent sign without a backslash.
    assert!(!job.replace("\\%", "").contains('%'), "{job}");
    let (schedule, rest) = job.split_at(job.match_indices(' ').nth(4).unwrap().0);
    let (user, command) = rest.trim_start().split_once(' ').unwrap();
    let job = [schedule, user, &command.replace("\\%", "%")].map(str::to_owned);
    (settings.into_iter().map(str::to_owned).collect(), job)
}

#[test]
fn the_crontab_works_with_the_cron_of_debian() {
    let (settings, [schedule, user, command]) = crontab();
    assert_eq!(user, "tero");
    // What Debian's crontab(5) knows; CRON_TZ is not among them.
    for setting in &settings {
        let name = setting.split('=').next().unwrap();
        assert!(["SHELL", "PATH", "MAILTO"].contains(&name), "{setting}");
    }
    // The machine's zone decides when the line comes due, and the line decides in the shops' zone.
    let folder = folder();
    let tool = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        let run = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, run).unwrap();
    };
    tool("date", "exec /bin/date -d \"@$AT\" \"$@\"");
    tool("tero", "echo warmed; exit 7");
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let opening = Schedule::parse("30 8 * * MON-SAT", ART.parse().unwrap()).unwrap();
    for machine in ["UTC", "Europe/Madrid", "America/New_York"] {
        let due = Schedule::parse(&schedule, machine.parse().unwrap()).unwrap();
        let mut now = tero_tests::instant("2026-11-20T00:00:00", ART.parse().unwrap());
        let mut expected = opening.next_after(now).unwrap();
        for _ in 0..4 * 24 {
            now = due.next_after(now).unwrap();
            let ran = Command::new("/bin/sh")
                .args(["-c", &command])
                .env("PATH", &path)
                .env("TZ", machine)
                .env("AT", now.unix_secs().to_string())
                .output()
                .unwrap();
            if now == expected {
                assert_code(&ran, 7);
                expected = opening.next_after(now).unwrap();
            } else {
                assert_code(&ran, 0);
            }
            assert!(now < expected, "{machine}: a day was left out");
        }
    }
}

#[test]
fn the_crontab_line_warms_before_opening() {
    let (_, [.., command]) = crontab();
    let (_, command) = command.split_once(") tero ").unwrap();
    let arguments: Vec<&str> = command
        .split_whitespace()
        .take_while(|word| !word.starts_with('>'))
        .collect();
    assert_warms(&arguments, admin);
}

#[test]
fn the_systemd_service_warms_the_plan_of_its_name() {
    let text = read("tero-warm@.service");
    let start = text
        .lines()
        .find_map(|line| line.strip_prefix("ExecStart=/usr/bin/tero "))
        .expect("there is a command");
    let command = start.replace("%i", "apertura").replace("%%", "%");
    assert_warms(&command.split_whitespace().collect::<Vec<_>>(), admin);
    let timer = read("tero-warm-apertura.timer");
    let calendar = timer
        .lines()
        .find_map(|line| line.strip_prefix("OnCalendar="))
        .expect("there is a time");
    let (when, zone) = calendar.rsplit_once(' ').unwrap();
    assert_eq!(when, "Mon..Sat *-*-* 08:30:00");
    assert_opening("30 8 * * MON-SAT", zone);
    assert!(
        timer
            .lines()
            .any(|line| line == "Unit=tero-warm@apertura.service")
    );
}

/// Where systemd must be installed, `.ci/run` sets `TERO_DEMAND_SYSTEMD`: then its absence is a
/// failure, and otherwise the test is skipped.
#[test]
fn systemd_accepts_the_units() {
    if Command::new("systemd-analyze")
        .arg("--version")
        .output()
        .is_err()
    {
        assert!(
            std::env::var_os("TERO_DEMAND_SYSTEMD").is_none(),
            "systemd-analyze is missing: install systemd"
        );
        return;
    }
    let folder = folder();
    // systemd-analyze checks that the programs exist.
    let program = env!("CARGO_BIN_EXE_tero-under-test");
    let units = ["tero-warm@.service", "tero-warm-apertura.timer"];
    for unit in units {
        let text = read(unit).replace("/usr/bin/tero", program);
        std::fs::write(folder.path().join(unit), text).unwrap();
    }
    std::fs::write(
        folder.path().join("tero.service"),
        format!("[Service]\nExecStart={program} serve\n"),
    )
    .unwrap();
    let verify = |files: [&str; 2]| {
        let mut command = Command::new("systemd-analyze");
        command
            .args(["verify", "--man=no"])
            .current_dir(folder.path())
            .args(files.map(|file| format!("./{file}")));
        let output = command.output().unwrap();
        (
            output.status.success(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let named = ["tero-warm-apertura.timer", "tero-warm@apertura.service"];
    let (good, said) = verify(named);
    assert!(
        good && !units
            .iter()
            .any(|unit| said.contains(unit.trim_end_matches("@.service"))),
        "{said}"
    );
    // It notices a wrong unit.
    let broken = read("tero-warm-apertura.timer").replace("08:30:00", "08:61:00");
    std::fs::write(folder.path().join("tero-warm-apertura.timer"), broken).unwrap();
    let (good, said) = verify(named);
    assert!(!good || said.contains("OnCalendar"), "{said}");
}

#[test]
fn the_kubernetes_job_warms_before_opening_and_never_twice_at_once() {
    let job = yaml::read(&read("kubernetes-cronjob.yaml"));
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    assert_eq!(
        (&job["apiVersion"], &job["kind"]),
        (&"batch/v1".into(), &"CronJob".into())
    );
    let spec = &job["spec"];
    assert_opening(&word(&spec["schedule"]), &word(&spec["timeZone"]));
    assert_eq!(word(&spec["concurrencyPolicy"]), "Forbid");
    assert!(
        spec["startingDeadlineSeconds"]
            .as_i64()
            .is_some_and(|secs| secs > 10)
    );
    let job = &spec["jobTemplate"]["spec"];
    assert_eq!(job["backoffLimit"].as_i64(), Some(0));
    let pod = &job["template"]["spec"];
    assert_eq!(word(&pod["restartPolicy"]), "Never");
    let names = |list: &Value| -> Vec<String> {
        list.as_array()
            .unwrap()
            .iter()
            .map(|entry| word(&entry["name"]))
            .collect()
    };
    let container = &pod["containers"][0];
    assert!(
        names(&container["volumeMounts"])
            .iter()
            .all(|mount| names(&pod["volumes"]).contains(mount))
    );
    assert_eq!(word(&container["command"][0]), "tero");
    let arguments: Vec<String> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(word)
        .collect();
    let at = |name: &str| {
        arguments
            .iter()
            .position(|argument| argument == name)
            .unwrap_or_else(|| panic!("{name} is missing"))
    };
    let token_file = Path::new(&arguments[at("--token-file") + 1]);
    assert!(
        token_file.starts_with(word(&container["volumeMounts"][0]["mountPath"])),
        "{token_file:?}"
    );
    assert!(arguments[at("--admin") + 1].starts_with("http://"));
    let rest: Vec<&str> = arguments[..at("--admin")]
        .iter()
        .map(String::as_str)
        .collect();
    assert_eq!(at("--token-file"), rest.len() + 2, "nothing else is said");
    let folder = folder();
    let token = folder.path().join("token");
    std::fs::write(&token, "a-token-of-some-length\n").unwrap();
    assert_warms(&rest, |serving| {
        let mut more = admin(serving);
        more.extend(["--token-file".to_owned(), token.display().to_string()]);
        more
    });
}
