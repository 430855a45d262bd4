//! What a cron expression may say: five fields or a nickname, checked field by field.
//!
//! ```text
//! minute        0-59
//! hour          0-23
//! day of month  1-31   also: L, LW, 15W, ?
//! month         1-12, JAN-DEC
//! day of week   0-7 (0 and 7 are Sunday), SUN-SAT   also: FRI#2, FRIL, ?
//! ```
//!
//! A field is a list of parts, joined by commas. A part is `*`, a value, a range `9-17`, or one of
//! them with a step: `*/15`, `9-17/2`. The result holds numbers only, so that the calculation that
//! follows has nothing left to interpret.

use super::ScheduleError;

/// A field, and what it may hold.
struct Field {
    name: &'static str,
    first: u8,
    last: u8,
    /// The names of its values, from `first` on.
    names: &'static [&'static str],
}

const FIELDS: [Field; 5] = [
    Field {
        name: "minute",
        first: 0,
        last: 59,
        names: &[],
    },
    Field {
        name: "hour",
        first: 0,
        last: 23,
        names: &[],
    },
    Field {
        name: DAY_OF_MONTH,
        first: 1,
        last: 31,
        names: &[],
    },
    Field {
        name: "month",
        first: 1,
        last: 12,
        names: &[
            "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
        ],
    },
    Field {
        name: DAY_OF_WEEK,
        first: 0,
        last: 7,
        names: &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
    },
];

const DAY_OF_MONTH: &str = "day of month";
const DAY_OF_WEEK: &str = "day of week";

/// The nicknames, with what they stand for.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// An expression in numbers.
pub(super) struct PlainExpression {
    /// Five fields.
    pub(super) text: String,
    /// Whether minute or hour begins with `*`: the schedule is an interval, and no time of day.
    pub(super) is_interval: bool,
}

/// Reads an expression.
pub(super) fn read(expression: &str) -> Result<PlainExpression, ScheduleError> {
    let expression = expression.trim();
    if expression.starts_with('@') {
        return nickname(expression);
    }
    let fields: Vec<&str> = expression.split_ascii_whitespace().collect();
    if fields.len() != FIELDS.len() {
        return Err(ScheduleError::Fields {
            found: fields.len(),
        });
    }
    let plain: Result<Vec<String>, _> = FIELDS
        .iter()
        .zip(&fields)
        .map(|(field, text)| field.read(text))
        .collect();
    Ok(PlainExpression {
        text: plain?.join(" "),
        is_interval: fields[..2].iter().any(|field| field.starts_with('*')),
    })
}

fn nickname(text: &str) -> Result<PlainExpression, ScheduleError> {
    let known = NICKNAMES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    if let Some((_, fields)) = known {
        return read(fields);
    }
    let cure = if text.eq_ignore_ascii_case("@reboot") {
        "name the plan in `[admin] ready_after`: it runs when the edge starts".to_owned()
    } else if text.to_ascii_lowercase().starts_with("@every") {
        "write an interval as fields: \"*/15 * * * *\"".to_owned()
    } else {
        let names = NICKNAMES.map(|(name, _)| name);
        format!("write one of {}, or five fields", names.join(", "))
    };
    Err(ScheduleError::Nickname {
        text: text.to_owned(),
        cure,
    })
}

impl Field {
    /// The field in numbers.
    fn read(&self, text: &str) -> Result<String, ScheduleError> {
        if let Some(rest) = text.strip_prefix('+') {
            return self.refuse(
                text,
                "begins with a +",
                format!("write `{rest}`; where day of month and day of week are both restricted, a day of either counts"),
            );
        }
        if text == "?" && (self.name == DAY_OF_MONTH || self.name == DAY_OF_WEEK) {
            return Ok("*".to_owned());
        }
        let parts: Result<Vec<String>, _> = text.split(',').map(|part| self.part(part)).collect();
        Ok(parts?.join(","))
    }

    fn part(&self, part: &str) -> Result<String, ScheduleError> {
        if let Some(special) = self.special(part) {
            return special;
        }
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => (range, Some(self.step(part, step)?)),
            None => (part, None),
        };
        let (first, last) = match range.split_once('-') {
            _ if range == "*" => (self.first, self.last_of_all()),
            Some((first, last)) => self.range(part, first, last)?,
            None if step.is_some() => {
                let cure = format!(
                    "write `{range}-{}/…`, or `*/…` from the beginning",
                    self.last
                );
                return self.refuse(part, "has a step for a single value", cure);
            }
            None => {
                let value = self.value(part, range)?;
                return Ok(value.to_string());
            }
        };
        let Some(step) = step else {
            return Ok(if range == "*" {
                "*".to_owned()
            } else {
                format!("{first}-{last}")
            });
        };
        if step > u32::from(last - first) {
            let cure = format!("write `{first}`, or a step of at most {}", last - first);
            return self.refuse(part, format!("steps over all values but {first}"), cure);
        }
        Ok(if range == "*" && step == 1 {
            "*".to_owned()
        } else if range == "*" {
            format!("*/{step}")
        } else {
            format!("{first}-{last}/{step}")
        })
    }

    /// What only days have; `None` if the part is nothing like it.
    fn special(&self, part: &str) -> Option<Result<String, ScheduleError>> {
        let upper = part.to_ascii_uppercase();
        if self.name == DAY_OF_MONTH {
            if matches!(&*upper, "L" | "LW") {
                return Some(Ok(upper));
            }
            let day = upper.strip_suffix('W')?;
            return Some(self.value(part, day).map(|day| format!("{day}W")));
        }
        if self.name != DAY_OF_WEEK {
            return None;
        }
        if let Some((day, number)) = upper.split_once('#') {
            let value = self.value(part, day);
            return Some(match number {
                "1" | "2" | "3" | "4" | "5" => value.map(|day| format!("{day}#{number}")),
                _ => self.refuse(
                    part,
                    "has a number after # that is not 1 to 5",
                    "write the second Friday of a month as `FRI#2`",
                ),
            });
        }
        let day = upper.strip_suffix('L')?;
        if day.is_empty() {
            let cure = "write the last Friday of a month as `FRIL`";
            return Some(self.refuse(part, "has no day before L", cure));
        }
        Some(self.value(part, day).map(|day| format!("{day}L")))
    }

    fn step(&self, part: &str, step: &str) -> Result<u32, ScheduleError> {
        let number = number(step).filter(|step| *step > 0);
        number.map_or_else(
            || {
                self.refuse(
                    part,
                    "has a step that is not a number above 0",
                    "write `*/15`",
                )
            },
            Ok,
        )
    }

    fn range(&self, part: &str, first: &str, last: &str) -> Result<(u8, u8), ScheduleError> {
        let (first, mut last) = (self.value(part, first)?, self.value(part, last)?);
        // SAT-SUN ends with Sunday.
        if self.name == DAY_OF_WEEK && last == 0 && first > 0 {
            last = 7;
        }
        if first > last {
            let cure = format!(
                "write two ranges: `{first}-{},{}-{last}`",
                self.last_of_all(),
                self.first
            );
            return self.refuse(part, "is a range that runs backwards", cure);
        }
        Ok((first, last))
    }

    /// The last value that isn't another name for the first one.
    fn last_of_all(&self) -> u8 {
        if self.name == DAY_OF_WEEK {
            6
        } else {
            self.last
        }
    }

    fn value(&self, part: &str, text: &str) -> Result<u8, ScheduleError> {
        let named = self
            .names
            .iter()
            .zip(self.first..)
            .find(|(name, _)| name.eq_ignore_ascii_case(text));
        let numbered = number(text)
            .and_then(|number| u8::try_from(number).ok())
            .filter(|number| (self.first..=self.last).contains(number));
        let found = named.map(|(_, value)| value).or(numbered);
        found.map_or_else(
            || {
                let names = match self.names {
                    [] => String::new(),
                    names => format!(", or {} to {}", names[0], names[names.len() - 1]),
                };
                let problem = if text.is_empty() {
                    "has an empty part".to_owned()
                } else {
                    format!("has `{text}`, which is out of range or no value")
                };
                let cure = format!("write {} to {}{names}", self.first, self.last);
                self.refuse(part, problem, cure)
            },
            Ok,
        )
    }

    fn refuse<T>(
        &self,
        text: &str,
        problem: impl Into<String>,
        cure: impl Into<String>,
    ) -> Result<T, ScheduleError> {
        Err(ScheduleError::Field {
            field: self.name,
            text: text.to_owned(),
            problem: problem.into(),
            cure: cure.into(),
        })
    }
}

/// A number of up to four digits.
fn number(text: &str) -> Option<u32> {
    let good = (1..=4).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    good.then(|| text.parse().ok())?
}
