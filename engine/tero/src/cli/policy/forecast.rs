//! The forecast of a version, from a report of `tero simulate --json`.

use std::path::Path;

use serde::Deserialize;

use tero_admin_api::VersionForecast;
use tero_config::read_text;

/// What is read of a report.
#[derive(Debug, Deserialize)]
struct ForecastFile {
    log: LogPart,
    scenarios: Vec<ScenarioPart>,
}

#[derive(Debug, Deserialize)]
struct LogPart {
    requests: u64,
    days: u64,
}

#[derive(Debug, Deserialize)]
struct ScenarioPart {
    name: String,
    total: FiguresPart,
    hours: Vec<FiguresPart>,
    sites: Vec<SitePart>,
    origin: OriginPart,
}

#[derive(Debug, Deserialize)]
struct SitePart {
    name: String,
}

#[derive(Debug, Deserialize)]
struct FiguresPart {
    hit_rate: Option<f64>,
    unwaited: Option<f64>,
}

#[derive(Debug, Deserialize)]
struct OriginPart {
    requests_a_day: f64,
}

/// The forecast of a policy in a file, as JSON. `sites` are those that ask the policy.
///
/// # Errors
/// Why the file has none, for people.
pub(super) fn read(path: &Path, policy: &str, sites: &[String]) -> Result<String, String> {
    let text =
        read_text(path).map_err(|mistake| format!("{}: {}", path.display(), mistake.problem))?;
    let forecast =
        parse(&text, policy, sites).map_err(|problem| format!("{}: {problem}", path.display()))?;
    serde_json::to_string(&forecast).map_err(|error| error.to_string())
}

/// The only scenario of a report, or the one with another module of the policy. Its figures are sums over
/// all sites of the log, and what comes true is counted of the policy's sites: others must not be in it.
fn parse(text: &str, policy: &str, sites: &[String]) -> Result<VersionForecast, String> {
    let report: ForecastFile = serde_json::from_str(text)
        .map_err(|error| format!("it is not a report of `tero simulate --json`: {error}"))?;
    let changed = format!("{policy}=");
    let mut of_policy = report
        .scenarios
        .iter()
        .filter(|scenario| scenario.name.starts_with(&changed));
    let scenario = match (of_policy.next(), of_policy.next(), &*report.scenarios) {
        (Some(one), None, _) | (None, _, [one]) => one,
        _ => {
            return Err(format!(
                "it must have one scenario, or one of `--policy {changed}MODULE`"
            ));
        }
    };
    let named = scenario.sites.iter().map(|site| &site.name);
    let others: Vec<&str> = named
        .filter(|name| !sites.contains(name))
        .map(String::as_str)
        .collect();
    if !others.is_empty() {
        return Err(format!(
            "it counts requests of sites that don't ask `{policy}`: {}; simulate a log without the requests for them",
            others.join(", ")
        ));
    }
    let forecast = VersionForecast {
        requests: report.log.requests,
        days: report.log.days,
        hit_rate: scenario.total.hit_rate,
        unwaited: scenario.total.unwaited,
        origin_requests_a_day: scenario.origin.requests_a_day,
        hours: scenario.hours.iter().map(|hour| hour.hit_rate).collect(),
    };
    match forecast.is_valid() {
        true => Ok(forecast),
        false => Err("a figure of it is out of range".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(names: &[&str]) -> String {
        let hour = r#"{"hit_rate":0.5,"unwaited":null}"#;
        let hours = [hour; 24].join(",");
        let scenarios: Vec<String> = names
            .iter()
            .zip(1..)
            .map(|(name, number)| {
                format!(
                    r#"{{"name":"{name}","total":{hour},"hours":[{hours}],"sites":[{{"name":"shop"}},{{"name":"blog"}}],"origin":{{"requests_a_day":{number}}}}}"#
                )
            })
            .collect();
        let scenarios = scenarios.join(",");
        format!(r#"{{"log":{{"requests":7,"days":2}},"scenarios":[{scenarios}]}}"#)
    }

    #[test]
    fn the_scenario_of_the_policy_is_taken() {
        let of = |names: &[&str]| {
            parse(&report(names), "hours", &sites()).map(|forecast| forecast.origin_requests_a_day)
        };
        assert_eq!(of(&["tero.toml"]), Ok(1.0));
        assert_eq!(of(&["tero.toml", "seo=a.wasm", "hours=a.wasm"]), Ok(3.0));
        for names in [
            &["tero.toml", "other.toml"][..],
            &["tero.toml", "hours=a.wasm", "hours=b.wasm"],
            &[],
        ] {
            assert!(of(names).unwrap_err().contains("--policy hours=MODULE"));
        }
        let cut = report(&["a"]).replacen("0.5", "1.5", 1);
        let refusal = |text: &str| parse(text, "hours", &sites()).unwrap_err();
        assert!(refusal(&cut).contains("out of range"));
        assert!(refusal("{}").contains("tero simulate"));
    }

    fn sites() -> Vec<String> {
        ["shop", "blog", "quiet"].map(str::to_owned).to_vec()
    }

    #[test]
    fn a_report_with_sites_of_other_policies_is_refused() {
        let report = report(&["tero.toml"]);
        assert!(parse(&report, "hours", &sites()).is_ok());
        let refusal = parse(&report, "hours", &["shop".to_owned()]).unwrap_err();
        assert!(
            refusal.contains("don't ask `hours`: blog; simulate"),
            "{refusal}"
        );
        assert!(
            parse(&report, "hours", &[])
                .unwrap_err()
                .contains("shop, blog")
        );
    }
}
