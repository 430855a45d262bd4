//! What a release is made of: the unit, the configuration and the files of the package, the image, the
//! containers of the example and the chart. Each is tried by the tool that reads it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tero_tests::folder;

use crate::program::{assert_code, err, out, run};
use crate::yaml;

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("it lies in the root").to_owned()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const PACKAGING: &str = "engine/tero/packaging";
const COMPOSE: &str = "examples/deploy/compose";

/// A tool that may be missing: then the test says so and ends, unless the variable demands it.
fn tool(program: &str, arguments: &[&str], demanded_by: &str) -> Option<Output> {
    match Command::new(program).args(arguments).output() {
        Ok(output) => Some(output),
        Err(error) => {
            assert!(
                std::env::var_os(demanded_by).is_none(),
                "{program} is missing: {error}"
            );
            eprintln!("SKIPPED: {program} is missing ({demanded_by} demands it)");
            None
        }
    }
}

/// The words after each `COPY` of a Dockerfile that copies from the repository, without the last.
fn copied(dockerfile: &str) -> Vec<String> {
    let lines = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("COPY "));
    let own = lines.filter(|line| !line.contains("--from="));
    own.flat_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (_, sources) = words.split_last().expect("COPY has words");
        sources.iter().map(ToString::to_string).collect::<Vec<_>>()
    })
    .collect()
}

#[test]
fn the_image_copies_what_is_there_and_all_that_the_workspace_needs() {
    let dockerfile = read(&format!("{PACKAGING}/Dockerfile"));
    let copied = copied(&dockerfile);
    for name in &copied {
        assert!(root().join(name).exists(), "COPY {name}");
    }
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = workspace["workspace"]["members"].as_array().unwrap();
    for member in members {
        let top = member.as_str().unwrap().split('/').next().unwrap();
        assert!(copied.iter().any(|name| name == top), "{top} is not copied");
    }
    let toolchain: toml::Table = read("rust-toolchain.toml").parse().unwrap();
    let version = toolchain["toolchain"]["channel"].as_str().unwrap();
    let image = format!("FROM docker.io/library/rust:{version}-");
    assert!(dockerfile.contains(&image), "{image}");
    // Not root, and no shell that would be needed.
    assert!(dockerfile.contains("\nUSER 65532:65532\n"));
    let (_, last) = dockerfile.rsplit_once("\nFROM ").unwrap();
    assert!(last.contains("distroless") && !last.contains("\nRUN "));
}

#[test]
fn the_containers_of_the_example_find_their_files() {
    let compose = yaml::read(&read(&format!("{COMPOSE}/compose.yaml")));
    let services = compose["services"].as_object().unwrap();
    let named: BTreeSet<&str> = services.keys().map(String::as_str).collect();
    assert_eq!(
        named,
        BTreeSet::from(["app", "grafana", "prometheus", "tero"])
    );
    let volumes = compose["volumes"].as_object().unwrap();
    for (name, service) in services {
        let mounts = service["volumes"].as_array().unwrap();
        for mount in mounts {
            let source = mount.as_str().unwrap().split(':').next().unwrap();
            let is_there = match source.starts_with('.') {
                true => root().join(COMPOSE).join(source).exists(),
                false => volumes.contains_key(source),
            };
            assert!(is_there, "{name}: {source}");
        }
    }
    let tero = &services["tero"];
    assert_eq!(tero["read_only"], true);
    assert_eq!(tero["cap_drop"][0], "ALL");
    let config = read(&format!("{COMPOSE}/tero.toml"));
    assert_good(&config, &[("/run/secrets/admin_token", "token")]);
    // Prometheus asks where tero answers.
    let prometheus = yaml::read(&read(&format!("{COMPOSE}/prometheus.yml")));
    let target = &prometheus["scrape_configs"][0]["static_configs"][0]["targets"][0];
    assert_eq!(target, "tero:9090");
    assert!(config.contains("listen = \"0.0.0.0:9090\""));
    // Its rules look 30 days back.
    let command = services["prometheus"]["command"].as_array().unwrap();
    assert!(command.contains(&"--storage.tsdb.retention.time=35d".into()));
}

#[test]
fn the_fleet_of_the_example_finds_its_files_and_its_nodes_each_other() {
    let compose = yaml::read(&read(&format!("{COMPOSE}/fleet.yaml")));
    let services = compose["services"].as_object().unwrap();
    let nodes = ["tero-1", "tero-2", "tero-3"];
    for name in nodes.iter().chain(&["app", "init", "nats", "prometheus"]) {
        assert!(services.contains_key(*name), "{name}");
    }
    let volumes = compose["volumes"].as_object().unwrap();
    for (name, service) in services {
        for mount in service["volumes"].as_array().into_iter().flatten() {
            let source = mount.as_str().unwrap().split(':').next().unwrap();
            let is_there = match source.starts_with('.') {
                true => root().join(COMPOSE).join(source).exists(),
                false => volumes.contains_key(source),
            };
            assert!(is_there, "{name}: {source}");
        }
    }
    let config = read(&format!("{COMPOSE}/fleet.toml"));
    assert_good(&config, &[("/run/secrets/admin_token", "token")]);
    let table: toml::Table = config.parse().unwrap();
    // Each node finds itself among the shields by its host name.
    let shields = table["site"][0]["shield"]["nodes"].as_array().unwrap();
    let urls: Vec<_> = shields.iter().filter_map(|url| url.as_str()).collect();
    assert_eq!(urls, nodes.map(|node| format!("http://{node}:8080")));
    for node in nodes {
        assert_eq!(services[node]["hostname"], node);
    }
    // The nodes trust the network that they are in, and use the NATS that is there.
    let subnet = &compose["networks"]["fleet"]["ipam"]["config"][0]["subnet"];
    assert_eq!(
        table["server"]["trusted_edges"][0].as_str(),
        subnet.as_str()
    );
    assert_eq!(
        table["cluster"]["nats"][0].as_str(),
        Some("nats://nats:4222")
    );
    let prometheus = yaml::read(&read(&format!("{COMPOSE}/prometheus-fleet.yml")));
    let targets = &prometheus["scrape_configs"][0]["static_configs"][0]["targets"];
    let targets = targets.as_array().unwrap().iter();
    let targets: Vec<_> = targets.filter_map(|target| target.as_str()).collect();
    assert_eq!(targets, nodes.map(|node| format!("{node}:9090")));
}

/// `tero check` accepts a configuration. Paths are replaced by those of a folder with a token.
#[track_caller]
fn assert_good(config: &str, paths: &[(&str, &str)]) {
    let folder = folder();
    let token = folder.path().join("token");
    fs::write(&token, "a-token-of-some-length\n").unwrap();
    let mut config = config.to_owned();
    for (path, name) in paths {
        assert!(config.contains(path), "{path}");
        let here = folder.path().join(name).display().to_string();
        config = config.replace(path, &here);
    }
    for path in ["/var/lib/tero", "/var/cache/tero", "/var/log/tero"] {
        let here = folder.path().display().to_string();
        config = config.replace(path, &here);
    }
    let file = folder.path().join("tero.toml");
    fs::write(&file, config).unwrap();
    assert_code(&run(&["check", file.to_str().unwrap()]), 0);
}

#[test]
fn the_configuration_of_the_package_is_good() {
    assert_good(&read(&format!("{PACKAGING}/debian/tero.toml")), &[]);
}

#[test]
fn the_package_names_files_that_are_there() {
    let manifest: toml::Table = read("engine/tero/Cargo.toml").parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let crate_folder = root().join("engine/tero");
    let assets = package["assets"].as_array().unwrap();
    let mut targets = BTreeSet::new();
    for asset in assets {
        let [source, target] = [0, 1].map(|place| asset[place].as_str().unwrap());
        targets.insert(target);
        let made = source.starts_with("target/") || source.contains('*');
        assert!(made || crate_folder.join(source).exists(), "{source}");
    }
    let conf_files = package["conf-files"].as_array().unwrap();
    for file in conf_files {
        let file = file.as_str().unwrap().trim_start_matches('/');
        assert!(targets.contains(file), "{file}");
    }
    // What dpkg runs and systemd reads stands where cargo-deb looks for it.
    for name in ["postinst", "prerm", "postrm", "tero.service"] {
        let path = format!("{PACKAGING}/debian/{name}");
        assert!(root().join(&path).exists(), "{path}");
    }
    for script in ["postinst", "prerm", "postrm"] {
        let text = read(&format!("{PACKAGING}/debian/{script}"));
        assert!(text.starts_with("#!/bin/sh\nset -e\n") && text.contains("#DEBHELPER#"));
    }
    let version = package_version();
    let changelog = read(&format!("{PACKAGING}/debian/changelog"));
    assert!(changelog.starts_with(&format!("tero ({version}-1) ")));
    let chart = yaml::read(&read("examples/deploy/helm/tero/Chart.yaml"));
    assert_eq!(chart["appVersion"], version.as_str());
}

fn package_version() -> String {
    let workspace: toml::Table = read("Cargo.toml").parse().unwrap();
    let version = &workspace["workspace"]["package"]["version"];
    version.as_str().unwrap().to_owned()
}

#[test]
fn the_unit_is_valid_and_hardened() {
    let folder = folder();
    let unit = folder.path().join("tero.service");
    let text = read(&format!("{PACKAGING}/debian/tero.service"));
    let text = text.replace("/usr/bin/tero", env!("CARGO_BIN_EXE_tero-under-test"));
    fs::write(&unit, &text).unwrap();
    let unit = unit.to_str().unwrap();
    let demanded = "TERO_DEMAND_SYSTEMD";
    let verify = |unit: &str| tool("systemd-analyze", &["verify", "--man=no", unit], demanded);
    let Some(verified) = verify(unit) else { return };
    // It exits with 0 for keys that it doesn't know, and says something.
    let silent = |output: &Output| {
        let text = format!("{}{}", out(output), err(output));
        // Machines without systemd as first process lack these.
        let lines = text.lines().filter(|line| !line.contains("Failed to"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(silent(&verified), Vec::<String>::new());
    let wrong = folder.path().join("wrong.service");
    fs::write(&wrong, text.replace("ProtectHome=", "ProtectHomes=")).unwrap();
    let wrong = verify(wrong.to_str().unwrap()).unwrap();
    assert_ne!(silent(&wrong), Vec::<String>::new(), "it notices a mistake");
    let security = ["security", "--offline=true", "--threshold=20", unit];
    let security = tool("systemd-analyze", &security, demanded).unwrap();
    assert!(security.status.success(), "{}", out(&security));
    // The unit gives a drain the time that it takes by default, and systemd is told of each stage.
    for line in ["Type=notify", "TimeoutStopSec=45s", "KillMode=mixed"] {
        assert!(text.lines().any(|found| found == line), "{line}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_command_and_completion_for_every_shell() {
    let folder = folder();
    let path = folder.path().to_str().unwrap();
    assert_code(&run(&["man", "--folder", path]), 0);
    let pages: BTreeSet<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let help = out(&run(&["--help"]));
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands = commands.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut count = 0;
    for command in commands.filter(|command| !["", "help"].contains(command)) {
        let page = format!("tero-{command}.1");
        assert!(pages.contains(&page), "{page}");
        count += 1;
    }
    assert!(count > 15 && pages.contains("tero.1") && pages.contains("tero-policy-push.1"));
    assert!(!pages.iter().any(|page| page.contains("help")));
    let page = fs::read_to_string(folder.path().join("tero-upgrade.1")).unwrap();
    assert!(
        page.contains("TERO\\-UPGRADE") || page.contains("TERO-UPGRADE"),
        "{page}"
    );
    assert!(page.contains("tero upgrade") && page.contains("token\\-file"));
    let alone = run(&["man"]);
    assert_code(&alone, 0);
    assert_eq!(
        out(&alone),
        fs::read_to_string(folder.path().join("tero.1")).unwrap()
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert_code(&script, 0);
        assert!(out(&script).contains("upgrade"), "{shell}");
    }
    assert_code(&run(&["completions", "sh"]), 2);
}

#[test]
fn shipped_modules_name_no_folder_of_the_machine_that_made_them() {
    let home = std::env::home_dir().unwrap_or_default();
    let folders = [root(), home.join(".cargo"), home.join(".rustup")];
    for name in tero_policy_host::builtin_names() {
        let module = tero_policy_host::builtin(name).expect("it is built in");
        let text = String::from_utf8_lossy(module);
        for folder in &folders {
            let folder = folder.display().to_string();
            assert!(!text.contains(&folder), "{name} names {folder}");
        }
        assert!(
            text.contains("/rust/") || text.contains("/tero/"),
            "{name} has other names"
        );
    }
}

/// `helm` and `kubernetes-validate`, or those that `TERO_HELM` and `TERO_KUBERNETES_VALIDATE` name.
fn kubernetes(tool_name: &str, variable: &str, arguments: &[&str]) -> Option<Output> {
    let program = std::env::var(variable).unwrap_or_else(|_| tool_name.to_owned());
    tool(&program, arguments, "TERO_DEMAND_HELM")
}

const EVERYTHING: [&str; 10] = [
    "--set",
    "autoscaling.enabled=true",
    "--set",
    "serviceMonitor.enabled=true",
    "--set",
    "persistence.enabled=true",
    "--set",
    "readyAfter={apertura}",
    "--set",
    "admin.existingSecret=own",
];

#[test]
fn the_chart_is_linted_and_its_objects_are_what_the_api_takes() {
    let chart = root().join("examples/deploy/helm/tero");
    let chart = chart.to_str().unwrap();
    let helm = |arguments: &[&str]| kubernetes("helm", "TERO_HELM", arguments);
    let Some(linted) = helm(&["lint", "--strict", chart]) else {
        return;
    };
    assert_code(&linted, 0);
    for (more, kinds) in [
        (
            &[][..],
            &[
                "StatefulSet",
                "Service",
                "ConfigMap",
                "Secret",
                "PodDisruptionBudget",
            ][..],
        ),
        (
            &EVERYTHING,
            &[
                "StatefulSet",
                "HorizontalPodAutoscaler",
                "ServiceMonitor",
                "PodDisruptionBudget",
            ],
        ),
    ] {
        let arguments = [&["template", "shop", chart], more].concat();
        let rendered = helm(&arguments).unwrap();
        assert_code(&rendered, 0);
        let text = out(&rendered);
        for kind in kinds {
            assert!(text.contains(&format!("\nkind: {kind}\n")), "{kind}");
        }
        let folder = folder();
        let file = folder.path().join("objects.yaml");
        fs::write(&file, &text).unwrap();
        let file = file.to_str().unwrap();
        let validate = ["--strict", "--quiet", file];
        let validated = kubernetes("kubernetes-validate", "TERO_KUBERNETES_VALIDATE", &validate);
        if let Some(validated) = validated {
            assert_code(&validated, 0);
        }
        // Probes, the warm gate among them, and a user that is not root.
        for line in [
            "path: /ready",
            "path: /health",
            "runAsNonRoot: true",
            "sleep:",
        ] {
            assert!(text.contains(line), "{line}");
        }
        // The rules for Prometheus look for this job: without `jobLabel`, it has the name of the Service.
        if let Some((_, monitor)) = text.split_once("\nkind: ServiceMonitor\n") {
            assert!(monitor.contains("\n  jobLabel: app.kubernetes.io/name\n"));
            assert!(text.contains("app.kubernetes.io/name: tero\n"));
            assert!(read("examples/deploy/prometheus/alerts.yaml").contains("up{job=\"tero\"}"));
        }
        let config = config_of(&text);
        let gate = more.iter().any(|word| word.starts_with("readyAfter"));
        assert_eq!(config.contains("ready_after = [\"apertura\"]"), gate);
        let config = match gate {
            true => {
                // A plan asks for pages of a host.
                let config = config.replace("hosts = [\"*\"]", "hosts = [\"app.example\"]");
                format!("{config}[[warm]]\nname = \"apertura\"\nsite = \"app\"\nurls = [\"/\"]\n")
            }
            false => config,
        };
        assert_good(&config, &[("/run/secrets/tero/token", "token")]);
    }
    let of_fleet = root().join("examples/deploy/helm/fleet.yaml");
    let of_fleet = ["-f", of_fleet.to_str().unwrap()];
    let deployment = ["--set", "kind=Deployment"];
    for (more, kinds) in [
        (&of_fleet, &["DaemonSet", "StatefulSet", "ConfigMap"][..]),
        (&deployment, &["Deployment", "ConfigMap"]),
    ] {
        let rendered = helm(&[&["template", "shop", chart], &more[..]].concat()).unwrap();
        assert_code(&rendered, 0);
        let text = out(&rendered);
        for kind in kinds {
            assert!(text.contains(&format!("\nkind: {kind}\n")), "{kind}");
        }
        let folder = folder();
        let file = folder.path().join("objects.yaml");
        fs::write(&file, &text).unwrap();
        let validate = ["--strict", "--quiet", file.to_str().unwrap()];
        let validated = kubernetes("kubernetes-validate", "TERO_KUBERNETES_VALIDATE", &validate);
        if let Some(validated) = validated {
            assert_code(&validated, 0);
        }
        let config = config_of(&text);
        let is_fleet = config.contains("[cluster]");
        assert_eq!(is_fleet, more == &of_fleet);
        let mut paths = vec![("/run/secrets/tero/token", "token")];
        if is_fleet {
            paths.push(("/run/secrets/nats/password", "token"));
            // The chart has put the shields' names in, and the Service gives each of them one.
            let nodes = (0..3)
                .map(|place| format!("\"http://shop-tero-shield-{place}.shop-tero-shield:8080\""));
            let nodes = nodes.collect::<Vec<_>>().join(",");
            assert!(config.contains(&format!("nodes = [{nodes}]")), "{config}");
            assert!(text.contains("serviceName: shop-tero-shield"));
        }
        assert_good(&config, &paths);
    }
    let wrong = ["template", "shop", chart, "--set", "replica=3"];
    assert!(
        !helm(&wrong).unwrap().status.success(),
        "unknown values are refused"
    );
}

/// The configuration in the ConfigMap.
fn config_of(objects: &str) -> String {
    let (_, config) = objects
        .split_once("\n  tero.toml: |\n")
        .expect("it is there");
    let lines = config
        .lines()
        .take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| format!("{}\n", line.trim())).collect()
}
