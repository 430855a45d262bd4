//! Measures what policies cost a hit: sites of one server that differ in their policies only, in
//! turns with a site that has none.
//!
//! Two servers would differ in more than policies: in the place of their memory, and in other load
//! while they run. Sites of one server share all that, and the site without policies is measured
//! before and after each of the others.

use std::path::{Path, PathBuf};

use crate::cases::CASES;
use crate::load::{self, Load, Over};
use crate::origin::Origin;
use crate::report::{median, percentile, sorted};
use crate::servers::{self, Running, Server, Start};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The lengths of chains of policies that decide by the time of day.
    #[arg(long, value_delimiter = ',', default_value = "1,2,5,10")]
    counts: Vec<u32>,
    /// The component of a project made by `tero policy new NAME --language javascript`.
    #[arg(long)]
    javascript: Option<PathBuf>,
    /// The component of a project with `--language python`.
    #[arg(long)]
    python: Option<PathBuf>,
    /// How often each site is measured; medians are reported.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(2..=1000))]
    turns: u32,
    /// How long each site is measured, in seconds.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// The core that the server is pinned to.
    #[arg(long, default_value_t = 0)]
    server_core: u32,
    /// The core that the load is pinned to.
    #[arg(long, default_value_t = 1)]
    load_core: u32,
    /// The tero binary [default: built with `cargo build --profile dist`].
    #[arg(long)]
    tero: Option<PathBuf>,
}

/// A site beside the one without policies.
struct Site {
    about: String,
    host: String,
    /// The names of the policies.
    policies: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), String> {
    load::installed()?;
    let origin = Origin::start().map_err(|error| format!("the origin did not start: {error}"))?;
    let tero = servers::tero_binary(arguments.tero.as_deref(), true, servers::PRODUCTION)?;
    let sites = sites(arguments);
    let config = config(&sites, arguments);
    let start = Start {
        config: Some(&config),
        core: arguments.server_core,
        ..Start::new(&tero, origin.port())
    };
    let running = servers::start(Server::Tero, &start)?;
    let cpu = |host: Option<&str>| cpu_of_hit(&running, host, arguments);
    cpu(None)?;
    for site in &sites {
        cpu(Some(&site.host))?;
    }
    let asked = origin.requests();
    let mut figures: Vec<Vec<[f64; 2]>> = sites.iter().map(|_| Vec::new()).collect();
    for turn in 0..arguments.turns as usize {
        let mut before = cpu(None)?;
        for place in 0..sites.len() {
            let place = (place + turn) % sites.len();
            let with = cpu(Some(&sites[place].host))?;
            let after = cpu(None)?;
            figures[place].push([with, with / ((before + after) / 2.0)]);
            before = after;
        }
        eprintln!("turn {} of {}", turn + 1, arguments.turns);
    }
    if origin.requests() > asked {
        return Err(format!(
            "the origin was asked {} times: these are not hits",
            origin.requests() - asked
        ));
    }
    running.stop();
    println!(
        "| policies of the site | CPU µs a hit | over none | half of the turns between |\n|---|--:|--:|--:|"
    );
    for (site, figures) in sites.iter().zip(figures) {
        let [cpu, over] = [0, 1]
            .map(|figure| sorted(&figures.iter().map(|both| both[figure]).collect::<Vec<_>>()));
        let [low, high] = [0.25, 0.75].map(|share| percentile(&over, share));
        println!(
            "| {} | {:.2} | {:.3} | {low:.2} and {high:.2} |",
            site.about,
            median(&cpu),
            median(&over)
        );
    }
    Ok(())
}

fn cpu_of_hit(running: &Running, host: Option<&str>, arguments: &Arguments) -> Result<f64, String> {
    let load = Load {
        port: running.port,
        case: &CASES[0],
        core: arguments.load_core,
        seed: "",
        host,
        over: Over::Plain,
    };
    running.cpu_of_request(|| load.run(arguments.seconds))
}

fn sites(arguments: &Arguments) -> Vec<Site> {
    let site = |about: &str, policies: &[&str]| {
        let host = format!("{}.example", about.to_lowercase().replace(' ', "-"));
        Site {
            about: about.to_owned(),
            host,
            policies: policies.iter().map(|&name| name.to_owned()).collect(),
        }
    };
    // A second site without policies shows the noise of the measurement.
    let mut sites = vec![
        site("none", &[]),
        site("of the demo", &["rules", "popular"]),
        site("four kinds", &["hours", "devices", "rules", "popular"]),
    ];
    sites.extend(
        arguments
            .javascript
            .as_ref()
            .map(|_| site("in JavaScript", &["javascript"])),
    );
    sites.extend(
        arguments
            .python
            .as_ref()
            .map(|_| site("in Python", &["python"])),
    );
    sites.extend(arguments.counts.iter().map(|&count| Site {
        about: format!("{count} by time of day"),
        host: format!("chain-{count}.example"),
        policies: (0..count).map(|number| format!("p{number}")).collect(),
    }));
    sites
}

/// The configuration of the sites and their policies, after that of a site without policies.
fn config(sites: &[Site], arguments: &Arguments) -> String {
    let mut config = String::new();
    for Site { host, policies, .. } in sites {
        let name = host.trim_end_matches(".example");
        config += &format!(
            "\n[[site]]\nname = \"{name}\"\nhosts = [\"{host}\"]\norigins = [\"http://127.0.0.1:@ORIGIN@\"]\npolicies = {policies:?}\n"
        );
    }
    config += policies_of(include_str!("../peers/tero-four.toml"));
    let component = |name: &str, path: &Path| {
        let policy = policies_of(include_str!("../peers/tero-component.toml"));
        policy
            .replace("@COMPONENT@", &path.display().to_string())
            .replace("\"guest\"", &format!("{name:?}"))
    };
    config.extend(
        arguments
            .javascript
            .as_ref()
            .map(|path| component("javascript", path)),
    );
    config.extend(
        arguments
            .python
            .as_ref()
            .map(|path| component("python", path)),
    );
    for number in 0..arguments.counts.iter().copied().max().unwrap_or_default() {
        config += &format!(
            "\n[[policy]]\nname = \"p{number}\"\nmodule = \"builtin:business-hours\"\n\
             settings = {{ zone = \"America/Argentina/Buenos_Aires\", open = \"09:00\", close = \"18:00\" }}\n"
        );
    }
    config
}

/// The tables of policies in a file that begins with lines of a site.
fn policies_of(file: &str) -> &str {
    file.find("\n[[policy]]").map_or("", |place| &file[place..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_site_has_its_policies() {
        let arguments = Arguments {
            counts: vec![1, 3],
            javascript: Some("a.wasm".into()),
            python: None,
            turns: 2,
            seconds: 1,
            server_core: 0,
            load_core: 1,
            tero: None,
        };
        let config = config(&sites(&arguments), &arguments);
        assert_eq!(config.matches("[[site]]").count(), 6);
        assert!(
            config.contains("name = \"chain-3\"\nhosts = [\"chain-3.example\"]"),
            "{config}"
        );
        assert!(
            config.contains("policies = [\"p0\", \"p1\", \"p2\"]"),
            "{config}"
        );
        assert_eq!(config.matches("[[policy]]").count(), 4 + 1 + 3);
        assert!(
            config.contains("name = \"javascript\"\nmodule = \"a.wasm\""),
            "{config}"
        );
    }
}
