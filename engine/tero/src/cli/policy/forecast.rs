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
    origin: OriginPart,
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

/// The forecast of a policy in a file, as JSON.
///
/// # Errors
/// Why the file has none, for people.
pub(super) fn read(path: &Path, policy: &str) -> Result<String, String> {
    let text =
        read_text(path).map_err(|mistake| format!("{}: {}", path.display(), mistake.problem))?;
    let forecast =
        parse(&text, policy).map_err(|problem| format!("{}: {problem}", path.display()))?;
    serde_json::to_string(&forecast).map_err(|error| error.to_string())
}

/// The only scenario of a report, or the one with another module of the policy.
fn parse(text: &str, policy: &str) -> Result<VersionForecast, String> {
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
                    r#"{{"name":"{name}","total":{hour},"hours":[{hours}],"origin":{{"requests_a_day":{number}}}}}"#
                )
            })
            .collect();
        let scenarios = scenarios.join(",");
        format!(r#"{{"log":{{"requests":7,"days":2}},"scenarios":[{scenarios}]}}"#)
    }

    #[test]
    fn the_scenario_of_the_policy_is_taken() {
        let of = |names: &[&str]| {
            parse(&report(names), "hours").map(|forecast| forecast.origin_requests_a_day)
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
        assert!(parse(&cut, "hours").unwrap_err().contains("out of range"));
        assert!(parse("{}", "hours").unwrap_err().contains("tero simulate"));
    }
}
