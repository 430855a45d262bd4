//! Every template in every country passes the check, and an edge with it answers correctly on both
//! sides of every boundary.

use std::collections::BTreeSet;
use std::path::Path;

use chrono::{Datelike, NaiveDate};
use tero_config::Config;
use tero_semantics::timestamp::Timestamp;
use tero_tests::{Answer, Edge, Origin, Reply, compiled_cache, get, toml_string};
use tero_time::moment;
use tero_tools::templates::{COUNTRIES, SetUp, TEMPLATES, TemplateFile};

use crate::program::{assert_code, err, out, run, run_in};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// A window of the settings: days from Monday (0), and minutes from midnight.
#[derive(Debug)]
struct Window {
    days: Vec<usize>,
    from: i64,
    to: i64,
}

fn windows(text: &str, folder: &Path) -> Vec<Window> {
    let config = Config::parse(text, "tero.toml", folder).unwrap();
    let policy = config
        .policies
        .iter()
        .find(|policy| &*policy.name == "hours")
        .unwrap();
    let settings: serde_json::Value = serde_json::from_str(&policy.settings).unwrap();
    let minutes = |value: &serde_json::Value| {
        let (hour, minute) = value.as_str().unwrap().split_once(':').unwrap();
        hour.parse::<i64>().unwrap() * 60 + minute.parse::<i64>().unwrap()
    };
    let days = |value: &serde_json::Value| {
        let day = |name: &str| DAYS.iter().position(|day| *day == name).unwrap();
        match value[0].as_str().unwrap().split_once('-') {
            Some((first, last)) => (day(first)..=day(last)).collect(),
            None => vec![day(value[0].as_str().unwrap())],
        }
    };
    let windows = settings["windows"].as_array().unwrap().iter();
    windows
        .map(|window| Window {
            days: days(&window["days"]),
            from: minutes(&window["from"]),
            to: minutes(&window["to"]),
        })
        .collect()
}

struct Place {
    edge: Edge,
    windows: Vec<Window>,
    /// A path; pages below it follow the opening hours.
    pages: &'static str,
    pass: &'static str,
    zone: String,
    _folder: tempfile::TempDir,
    _origin: Origin,
}

fn place(template: &str, country: &str) -> Place {
    let origin = Origin::start();
    origin.otherwise(|_| Reply::fresh(7, "page"));
    let hosts = ["www.example".to_owned()];
    let files = SetUp {
        template,
        country,
        origin: &origin.url(),
        hosts: &hosts,
    }
    .files()
    .unwrap();
    let folder = tero_tests::folder();
    let [
        TemplateFile { text, .. },
        TemplateFile { text: holidays, .. },
    ] = files.as_slice()
    else {
        panic!("{files:?}")
    };
    std::fs::write(folder.path().join("holidays.toml"), holidays).unwrap();
    let zone = COUNTRIES
        .iter()
        .find(|it| it.code == country)
        .unwrap()
        .zone
        .to_owned();
    let windows = windows(text, folder.path());
    let text = text
        .replace("0.0.0.0:8080", "127.0.0.1:0")
        .replace("127.0.0.1:9090", "127.0.0.1:0")
        .replace(
            "\"holidays.toml\"",
            &toml_string(&folder.path().join("holidays.toml").display().to_string()),
        )
        .replace("module = ", "limits = { deadline = \"10s\" }\nmodule = ");
    let text = format!(
        "{text}\n[policies]\ncompiled_cache = {}\n",
        toml_string(&compiled_cache().display().to_string())
    );
    let edge = Edge::from_toml(&text, "2026-06-01T00:00:00", &zone);
    let (pages, pass) = match template {
        "barber-shop" => ("/servicios", "/reservar/1"),
        "medical-practice" => ("/especialidades", "/resultados/1"),
        _ => ("/terapias", "/videollamada/1"),
    };
    Place {
        edge,
        windows,
        pages,
        pass,
        zone,
        _folder: folder,
        _origin: origin,
    }
}

impl Place {
    fn at(&self, date: NaiveDate, secs: i64) -> Answer {
        let zone: chrono_tz::Tz = self.zone.parse().unwrap();
        let midnight = moment::instant_of(date.and_time(Default::default()), zone).unix_secs();
        self.edge
            .clock()
            .turn_to(Timestamp::from_unix_secs(midnight + secs));
        self.edge
            .send(&get(format!("{}/{date}-{secs}", self.pages)).host("www.example"))
    }

    fn is_open(&self, date: NaiveDate, mins: i64, is_holiday: bool) -> bool {
        let day = date.weekday().num_days_from_monday() as usize;
        let inside =
            |window: &Window| window.days.contains(&day) && window.from <= mins && mins < window.to;
        !is_holiday && self.windows.iter().any(inside)
    }

    fn check(&self, date: NaiveDate, is_holiday: bool) {
        let boundaries: BTreeSet<i64> = self
            .windows
            .iter()
            .flat_map(|window| [window.from, window.to])
            .collect();
        for (mins, secs) in boundaries
            .into_iter()
            .flat_map(|mins| [(mins - 1, mins * 60 - 1), (mins, mins * 60)])
        {
            let (answer, open) = (self.at(date, secs), self.is_open(date, mins, is_holiday));
            let status = answer.cache_status();
            let words = if open { "pages: open" } else { "pages: closed" };
            let detail = status.detail.as_deref().unwrap_or_default();
            assert!(
                detail.contains(words),
                "{} {date} at second {secs}: {detail:?}, not {words:?}",
                self.zone
            );
            assert_eq!(
                detail.contains("holiday"),
                is_holiday,
                "{} {date}: {detail:?}",
                self.zone
            );
            let ends_now = secs % 60 == 59 && open != self.is_open(date, mins + 1, is_holiday);
            assert_eq!(
                status.ttl == Some(1),
                ends_now,
                "{} {date} at second {secs}: {status:?}",
                self.zone
            );
        }
    }
}

/// Checks a week without holidays in any country, and a holiday that all four countries share: the
/// first of May, a Friday.
fn check_all(country: &str) {
    for template in TEMPLATES {
        let place = place(template, country);
        let monday = NaiveDate::from_ymd_opt(2026, 6, 1).unwrap();
        monday
            .iter_days()
            .take(7)
            .for_each(|date| place.check(date, false));
        place.check(NaiveDate::from_ymd_opt(2026, 5, 1).unwrap(), true);
        let passed = place
            .edge
            .send(&get(place.pass).host("www.example"))
            .cache_status();
        assert_eq!(
            (passed.stored, passed.fwd.as_deref()),
            (false, Some("bypass")),
            "{template} {country}: {passed:?}"
        );
    }
}

#[test]
fn every_template_answers_at_its_boundary_seconds_in_argentina() {
    check_all("ar");
}

#[test]
fn every_template_answers_at_its_boundary_seconds_in_chile() {
    check_all("cl");
}

#[test]
fn every_template_answers_at_its_boundary_seconds_in_mexico() {
    check_all("mx");
}

#[test]
fn every_template_answers_at_its_boundary_seconds_in_spain() {
    check_all("es");
}

#[test]
fn every_set_up_passes_the_check() {
    let folder = tero_tests::folder();
    for (template, country) in TEMPLATES.iter().flat_map(|template| {
        COUNTRIES
            .iter()
            .map(move |country| (template, country.code))
    }) {
        let dir = folder.path().join(format!("{template}-{country}"));
        let dir = dir.to_str().unwrap();
        assert_code(
            &run(&["new", "--template", template, "--country", country, dir]),
            0,
        );
        let checked = run_in(Path::new(dir), &["check"]);
        assert_code(&checked, 0);
        assert!(
            out(&checked).contains("good: 1 site"),
            "{template} {country}: {}",
            out(&checked)
        );
        let again = run(&["new", "--template", template, "--country", country, dir]);
        assert_code(&again, 1);
        assert!(err(&again).contains("is there already"), "{}", err(&again));
    }
    assert_code(
        &run(&["new", "--template", "bar", folder.path().to_str().unwrap()]),
        2,
    );
    assert_code(&run(&["new"]), 2);
    assert!(out(&run(&["new", "--list"])).contains("psychology-practice"));
}
