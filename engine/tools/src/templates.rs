//! Complete set-ups for `tero new`, by kind of business and country.
//!
//! A template is a configuration with gaps. The country fills in its zone, its holidays, its word
//! for an appointment, and usual opening hours.

use tero_config::{Mistake, forms};

/// The names of the templates.
pub const TEMPLATES: [&str; 3] = ["barber-shop", "medical-practice", "psychology-practice"];

const TEXTS: [&str; 3] = [
    include_str!("../data/templates/barber-shop.toml"),
    include_str!("../data/templates/medical-practice.toml"),
    include_str!("../data/templates/psychology-practice.toml"),
];

/// A country that set-ups are made for.
#[derive(Debug)]
pub struct Country {
    /// The code of ISO 3166-1, in lower case.
    pub code: &'static str,
    /// The name in English.
    pub name: &'static str,
    /// The IANA name of the zone of its capital.
    pub zone: &'static str,
    /// The name of its calendar, which comes with tero.
    pub calendar: &'static str,
    /// The word for appointments.
    appointments: &'static str,
    /// Opening hours for each of [`TEMPLATES`]: days, from, to.
    hours: [&'static [(&'static str, &'static str, &'static str)]; 3],
}

/// The countries that there are set-ups for.
pub const COUNTRIES: [Country; 4] = [
    Country {
        code: "ar",
        name: "Argentina",
        zone: "America/Argentina/Buenos_Aires",
        calendar: "argentina",
        appointments: "turnos",
        hours: [
            &[("mon-sat", "09:00", "18:00")],
            &[("mon-fri", "08:00", "12:00"), ("mon-fri", "16:00", "20:00")],
            &[("mon-fri", "09:00", "21:00"), ("sat", "09:00", "13:00")],
        ],
    },
    Country {
        code: "cl",
        name: "Chile",
        zone: "America/Santiago",
        calendar: "chile",
        appointments: "horas",
        hours: [
            &[("mon-sat", "10:00", "20:00")],
            &[("mon-fri", "08:30", "13:00"), ("mon-fri", "14:00", "19:00")],
            &[("mon-fri", "09:00", "20:00")],
        ],
    },
    Country {
        code: "mx",
        name: "Mexico",
        zone: "America/Mexico_City",
        calendar: "mexico",
        appointments: "citas",
        hours: [
            &[("mon-sat", "10:00", "20:00")],
            &[
                ("mon-fri", "09:00", "14:00"),
                ("mon-fri", "16:00", "20:00"),
                ("sat", "09:00", "13:00"),
            ],
            &[("mon-fri", "09:00", "20:00"), ("sat", "09:00", "14:00")],
        ],
    },
    Country {
        code: "es",
        name: "Spain",
        zone: "Europe/Madrid",
        calendar: "spain",
        appointments: "citas",
        hours: [
            &[
                ("mon-fri", "10:00", "14:00"),
                ("mon-fri", "16:30", "20:30"),
                ("sat", "10:00", "14:00"),
            ],
            &[("mon-fri", "09:00", "14:00"), ("mon-fri", "16:00", "20:00")],
            &[("mon-fri", "10:00", "14:00"), ("mon-fri", "16:00", "21:00")],
        ],
    },
];

/// A request for a set-up.
#[derive(Clone, Copy, Debug)]
pub struct SetUp<'a> {
    /// One of [`TEMPLATES`].
    pub template: &'a str,
    /// The code of one of [`COUNTRIES`].
    pub country: &'a str,
    /// The URL of the application: `http://HOST[:PORT]`.
    pub origin: &'a str,
    /// The hosts of the site, at least one.
    pub hosts: &'a [String],
}

/// A file of a set-up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFile {
    /// The name of the file.
    pub name: &'static str,
    /// The content.
    pub text: String,
}

impl SetUp<'_> {
    /// The files of the set-up: `tero.toml` and `holidays.toml`.
    ///
    /// # Errors
    /// An unknown template or country, or a malformed origin or host, with what to write instead.
    pub fn files(&self) -> Result<Vec<TemplateFile>, String> {
        let template = self.template()?;
        let country = self.country()?;
        let refused = |mistake: Mistake| format!("{}: {}", mistake.problem, mistake.cure);
        forms::origin(self.origin).map_err(refused)?;
        let hosts = self
            .hosts
            .iter()
            .map(|host| forms::host(host))
            .collect::<Result<Vec<_>, _>>()
            .map_err(refused)?;
        let hosts: Vec<String> = hosts.iter().map(|host| format!("\"{host}\"")).collect();
        let filled = TEXTS[template]
            .replace("@COUNTRY@", country.name)
            .replace("@ZONE@", country.zone)
            .replace("@APPOINTMENTS@", country.appointments)
            .replace("@WINDOWS@", &windows(country.hours[template]))
            .replace("@OPENING@", &opening(country.hours[template]))
            .replace("@HOSTS@", &hosts.join(", "))
            .replace("@ORIGIN@", self.origin);
        Ok(vec![
            TemplateFile {
                name: "tero.toml",
                text: filled,
            },
            TemplateFile {
                name: "holidays.toml",
                text: holidays(country),
            },
        ])
    }

    /// The index of the template in [`TEMPLATES`].
    fn template(&self) -> Result<usize, String> {
        let template = TEMPLATES.iter().position(|name| *name == self.template);
        template.ok_or_else(|| {
            format!(
                "there is no template {:?}: write {}",
                self.template,
                TEMPLATES.join(", ")
            )
        })
    }

    fn country(&self) -> Result<&'static Country, String> {
        let is_named = |country: &&Country| country.code.eq_ignore_ascii_case(self.country);
        COUNTRIES.iter().find(is_named).ok_or_else(|| {
            let known = COUNTRIES.map(|country| format!("{} ({})", country.code, country.name));
            format!(
                "there is no country {:?}: write {}",
                self.country,
                known.join(", ")
            )
        })
    }
}

fn windows(hours: &[(&str, &str, &str)]) -> String {
    hours
        .iter()
        .map(|(days, from, to)| {
            format!("    {{ days = [\"{days}\"], from = \"{from}\", to = \"{to}\" }},\n")
        })
        .collect()
}

/// A cron expression for half an hour before the earliest opening, on all opening days.
fn opening(hours: &[(&str, &str, &str)]) -> String {
    let (_, first, _) = hours
        .iter()
        .min_by_key(|(_, from, _)| *from)
        .expect("every country has hours for every template");
    let number = |at: usize| {
        first[at..at + 2]
            .parse::<u32>()
            .expect("the hours above are HH:MM")
    };
    let mins = number(0) * 60 + number(3) - 30;
    let days = if hours.iter().any(|(days, ..)| days.contains("sat")) {
        "MON-SAT"
    } else {
        "MON-FRI"
    };
    format!("{} {} * * {days}", mins % 60, mins / 60)
}

fn holidays(country: &Country) -> String {
    let Country { name, calendar, .. } = country;
    format!(
        "# The holidays of {name} that come with tero, and your own days. After a change, send SIGHUP to the running edge.\n\
         # Regions have days of their own: `tero calendar list`.\n\
         extends = \"builtin:{calendar}\"\n\
         \n\
         # years = [2027]        # a year whose decrees tero does not know, once their days are in this file\n\
         \n\
         # [[day]]               # a day off\n\
         # date = \"2026-12-28\"\n\
         # name = \"Inventario\"\n\
         # kind = \"closed\"\n\
         \n\
         # [[day]]               # a half-day\n\
         # date = \"2026-12-24\"\n\
         # name = \"Nochebuena\"\n\
         # kind = \"half-day\"\n\
         # from = \"09:00\"\n\
         # until = \"13:00\"\n\
         \n\
         # [[day]]               # a national holiday on which you work\n\
         # date = \"2026-12-08\"\n\
         # name = \"Abierto\"\n\
         # kind = \"working\"\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_are_refused_with_the_known_ones() {
        let hosts = ["a.example".to_owned()];
        let good = SetUp {
            template: "barber-shop",
            country: "ar",
            origin: "http://127.0.0.1:3000",
            hosts: &hosts,
        };
        assert!(good.files().is_ok());
        let refusal = |set_up: SetUp<'_>| set_up.files().unwrap_err();
        assert!(
            refusal(SetUp {
                template: "bar",
                ..good
            })
            .contains("write barber-shop, medical-practice, psychology-practice")
        );
        assert!(
            refusal(SetUp {
                country: "uy",
                ..good
            })
            .contains("ar (Argentina), cl (Chile), mx (Mexico), es (Spain)")
        );
        assert!(
            refusal(SetUp {
                origin: "ftp://x",
                ..good
            })
            .contains("http://")
        );
        assert!(
            refusal(SetUp {
                hosts: &["a b\"]".to_owned()],
                ..good
            })
            .contains("host")
        );
    }

    #[test]
    fn every_gap_is_filled_and_plans_run_before_the_opening() {
        let hosts = ["a.example".to_owned()];
        for (template, country) in TEMPLATES
            .iter()
            .flat_map(|template| COUNTRIES.iter().map(move |country| (template, country)))
        {
            let set_up = SetUp {
                template,
                country: country.code,
                origin: "http://127.0.0.1:3000",
                hosts: &hosts,
            };
            for file in set_up.files().unwrap() {
                assert!(
                    !file.text.contains('@'),
                    "{template} {}: {}",
                    country.code,
                    file.text
                );
            }
        }
        assert_eq!(opening(COUNTRIES[0].hours[0]), "30 8 * * MON-SAT");
        assert_eq!(opening(COUNTRIES[1].hours[1]), "0 8 * * MON-FRI");
    }
}
