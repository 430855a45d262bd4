//! Reads the values of one table by the key table: types, units, ranges, defaults, unknown keys.
//!
//! A mistake is recorded and the reading goes on with the default, so that one pass finds them all.

use std::ops::Range;
use std::time::Duration;

use super::keys::{ConfigKey, Fallback, Form, Section};
use super::mistakes::{FilePosition, Mistake, Mistakes, did_you_mean};
use super::raw::{self, RawEntry, RawKind, RawValue};
use super::units;

/// A table that is being read.
#[derive(Clone, Copy)]
pub struct TableReader<'a> {
    section: &'static Section,
    /// Where the table stands, for what is missing from it.
    at: &'a Range<usize>,
    entries: &'a [RawEntry],
    mistakes: &'a Mistakes<'a>,
    /// Whether it is a table at all; what is none has been refused, and misses nothing.
    is_table: bool,
    /// A key that is not looked at.
    ignored: Option<&'static str>,
}

impl<'a> TableReader<'a> {
    /// Reads `value` as `section`. Unknown keys are mistakes at once; so is a value that is no
    /// table.
    pub fn of(
        section: &'static Section,
        value: &'a RawValue,
        mistakes: &'a Mistakes<'a>,
    ) -> TableReader<'a> {
        let RawKind::Table(entries) = &value.kind else {
            let cure = format!("write {} as a table", section.header);
            mistakes.add(
                &value.at,
                section.name,
                Mistake::new(
                    format!("a table was expected, this is {}", value.describe()),
                    cure,
                ),
            );
            return TableReader {
                section,
                at: &value.at,
                entries: &[],
                mistakes,
                is_table: false,
                ignored: None,
            };
        };
        let reader = TableReader {
            section,
            at: &value.at,
            entries,
            mistakes,
            is_table: true,
            ignored: None,
        };
        reader.refuse_unknown_keys();
        reader
    }

    /// A section that is not in the file: all defaults.
    pub fn absent(section: &'static Section, mistakes: &'a Mistakes<'a>) -> TableReader<'a> {
        TableReader {
            section,
            at: &(0..0),
            entries: &[],
            mistakes,
            is_table: true,
            ignored: None,
        }
    }

    /// The same table, where `key` is neither read nor missing.
    pub(crate) fn ignoring(self, key: &'static str) -> TableReader<'a> {
        TableReader {
            ignored: Some(key),
            ..self
        }
    }

    fn refuse_unknown_keys(&self) {
        for entry in self.entries {
            if self.section.keys.iter().any(|key| key.name == entry.key) {
                continue;
            }
            let names = self.section.keys.iter().map(|key| key.name);
            let cure = match did_you_mean(&entry.key, names.clone()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "the keys of {} are {}",
                    self.section.header,
                    names.collect::<Vec<_>>().join(", ")
                ),
            };
            let key = self.path(&entry.key);
            self.mistakes.add(
                &entry.key_at,
                &key,
                Mistake::new(format!("unknown key `{}`", entry.key), cure),
            );
        }
    }

    fn path(&self, name: &str) -> String {
        let separator = if self.section.name.is_empty() {
            ""
        } else {
            "."
        };
        format!("{}{separator}{name}", self.section.name)
    }

    /// Where the table stands.
    pub(crate) fn position(&self) -> FilePosition {
        self.mistakes.position(self.at.start)
    }

    /// The bytes of the file that the table takes.
    pub fn at(&self) -> &'a Range<usize> {
        self.at
    }

    /// Records a mistake of the key `name`, at its value if it is written, else at the table.
    pub fn refuse(&self, name: &str, mistake: Mistake) {
        let at = self.written(name).map_or(self.at, |value| &value.at);
        self.refuse_at(at, name, mistake);
    }

    /// Records a mistake of the key `name` at `at`.
    pub fn refuse_at(&self, at: &Range<usize>, name: &str, mistake: Mistake) {
        self.mistakes.add(at, &self.path(name), mistake);
    }

    /// The value that the file writes for `name`.
    pub fn written(&self, name: &str) -> Option<&'a RawValue> {
        self.entries
            .iter()
            .find(|entry| entry.key == name)
            .map(|entry| &entry.value)
    }

    /// A text that `parse` understands; none where it is not written, or not understood.
    pub fn text_as<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, Mistake>) -> Option<T> {
        self.read(name, |value, _| match &value.kind {
            RawKind::Text(text) => parse(text),
            _ => Err(mistyped("a text in quotes", value)),
        })
    }

    /// A value in a table of its own, that `parse` understands.
    pub fn table_as<T>(
        &self,
        name: &str,
        parse: impl Fn(&RawValue) -> Result<T, Mistake>,
    ) -> Option<T> {
        self.read(name, |value, _| parse(value))
    }

    /// The table below this one, if it is written or has a default.
    pub(crate) fn nested(&self, name: &str) -> Option<TableReader<'a>> {
        let key = self.section.key(name);
        let Form::Nested(section) = key.form else {
            return None;
        };
        match (self.written(name), key.fallback) {
            (Some(value), _) => Some(TableReader::of(section, value, self.mistakes)),
            (None, Fallback::Value(_)) => Some(TableReader::absent(section, self.mistakes)),
            (None, Fallback::Required | Fallback::Rule(_)) => None,
        }
    }

    /// A list of texts that `parse` understands, each with its place. Those not understood are left
    /// out.
    pub fn texts_as<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Vec<(T, Range<usize>)> {
        let items = self.read(name, |value, _| match &value.kind {
            RawKind::List(items) => Ok(items.clone()),
            _ => Err(mistyped("a list, [\"…\"],", value)),
        });
        let mut read = Vec::new();
        for item in items.unwrap_or_default() {
            let result = match &item.kind {
                RawKind::Text(text) => parse(text),
                _ => Err(mistyped("a text in quotes", &item)),
            };
            match result {
                Ok(value) => read.push((value, item.at)),
                Err(mistake) => self.refuse_at(&item.at, name, mistake),
            }
        }
        read
    }

    /// As [`TableReader::texts_as`]; a single text is a list of one.
    pub fn one_or_more_as<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Vec<(T, Range<usize>)> {
        match self.written(name) {
            Some(RawValue {
                kind: RawKind::Text(_),
                at,
            }) => self
                .text_as(name, parse)
                .map(|text| (text, at.clone()))
                .into_iter()
                .collect(),
            _ => self.texts_as(name, parse),
        }
    }

    /// Refuses what is in a list twice.
    pub(crate) fn distinct<T: PartialEq>(&self, name: &str, items: &[(T, Range<usize>)]) {
        self.distinct_if(name, items, |_| true);
    }

    /// As [`TableReader::distinct`], among the items that `counts` is true for.
    pub(crate) fn distinct_if<T: PartialEq>(
        &self,
        name: &str,
        items: &[(T, Range<usize>)],
        counts: impl Fn(&T) -> bool,
    ) {
        for (index, (value, at)) in items.iter().enumerate() {
            let is_double = items[..index].iter().any(|(earlier, _)| earlier == value);
            if is_double && counts(value) {
                let mistake = Mistake::new("it is in the list already", "write each once");
                self.refuse_at(at, name, mistake);
            }
        }
    }

    /// Refuses an empty list.
    pub(crate) fn at_least_one<T>(&self, name: &str, _: &[(T, Range<usize>)], cure: &str) {
        let written = self.written(name).map(|value| &value.kind);
        if matches!(written, Some(RawKind::List(items)) if items.is_empty()) {
            self.refuse(name, Mistake::new("the list is empty", cure));
        }
    }

    /// Refuses `other` where `one` is written too.
    pub(crate) fn refuse_both(&self, one: &str, other: &str) {
        if self.written(one).is_some() && self.written(other).is_some() {
            let problem = format!("both `{one}` and `{other}` are written");
            self.refuse(other, Mistake::new(problem, "keep one of the two"));
        }
    }

    /// The value that belongs to one of the key's words.
    pub(crate) fn one_of<T: Clone>(&self, name: &str, values: &[(&str, T)]) -> Option<T> {
        let word = self.word(name)?;
        values
            .iter()
            .find(|(known, _)| *known == word)
            .map(|(_, value)| value.clone())
    }

    /// One of the key's words.
    pub fn word(&self, name: &str) -> Option<String> {
        let Form::OneOf(words) = self.section.key(name).form else {
            return None;
        };
        self.text_as(name, |text| one_of(text, words))
    }

    /// Any of the key's words.
    pub fn words(&self, name: &str) -> Vec<String> {
        let Form::SomeOf(words) = self.section.key(name).form else {
            return Vec::new();
        };
        self.texts_as(name, |text| one_of(text, words))
            .into_iter()
            .map(|(word, _)| word)
            .collect()
    }

    /// True or false.
    pub fn flag(&self, name: &str) -> bool {
        let flag = self.read(name, |value, _| match value.kind {
            RawKind::Flag(flag) => Ok(flag),
            _ => Err(mistyped("true or false", value)),
        });
        flag.unwrap_or_default()
    }

    /// A whole number; none where it is not written and has no fixed default, or is refused.
    pub fn count(&self, name: &str) -> Option<u64> {
        self.count_as(name, Ok)
    }

    /// As [`TableReader::count`], if `check` agrees.
    pub(crate) fn count_as<T>(
        &self,
        name: &str,
        check: impl Fn(u64) -> Result<T, Mistake>,
    ) -> Option<T> {
        self.read(name, |value, key| {
            let Form::Count(min, max) = key.form else {
                return Err(mistyped("something else", value));
            };
            match value.kind {
                RawKind::Integer(number) => match u64::try_from(number) {
                    Ok(number) if (min..=max).contains(&number) => check(number),
                    Ok(number) => Err(out_of_range(&number.to_string(), number < min, key)),
                    Err(_) => Err(out_of_range(&number.to_string(), true, key)),
                },
                RawKind::Float(number) if number >= 9.2e18 => Err(out_of_range("this", false, key)),
                _ => Err(mistyped("a whole number", value)),
            }
        })
    }

    /// A number.
    pub fn number(&self, name: &str) -> Option<f64> {
        self.read(name, |value, key| {
            let Form::Number(min, max) = key.form else {
                return Err(mistyped("something else", value));
            };
            let number = match value.kind {
                #[allow(clippy::cast_precision_loss)] // Past 2^53 it is out of range anyway.
                RawKind::Integer(number) => number as f64,
                RawKind::Float(number) => number,
                _ => return Err(mistyped("a number", value)),
            };
            if (min..=max).contains(&number) {
                Ok(number)
            } else {
                Err(out_of_range(&number.to_string(), number < min, key))
            }
        })
    }

    /// A duration within the key's range.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        self.read(name, |value, key| {
            let Form::Duration(min, max) = key.form else {
                return Err(mistyped("something else", value));
            };
            let duration = quantity(
                value,
                units::duration,
                "duration",
                units::DURATION_FORM,
                "s",
            )?;
            let (low, high) = (
                units::duration(min).unwrap_or_default(),
                units::duration(max).unwrap_or(Duration::MAX),
            );
            let within = (low..=high).contains(&duration);
            if within {
                Ok(duration)
            } else {
                Err(out_of_range(
                    &units::show_duration(duration),
                    duration < low,
                    key,
                ))
            }
        })
    }

    /// A size within the key's range, in bytes.
    pub fn size(&self, name: &str) -> Option<u64> {
        self.size_as(name, Ok)
    }

    /// As [`TableReader::size`], if `check` agrees.
    pub(crate) fn size_as<T>(
        &self,
        name: &str,
        check: impl Fn(u64) -> Result<T, Mistake>,
    ) -> Option<T> {
        self.read(name, |value, key| {
            let Form::Size(min, max) = key.form else {
                return Err(mistyped("something else", value));
            };
            let size = quantity(value, units::size, "size", units::SIZE_FORM, "B")?;
            let (low, high) = (
                units::size(min).unwrap_or_default(),
                units::size(max).unwrap_or(u64::MAX),
            );
            if (low..=high).contains(&size) {
                check(size)
            } else {
                Err(out_of_range(&units::show_size(size), size < low, key))
            }
        })
    }

    /// The value of `name` as `check` reads it: the written one, else the default. A written value
    /// that `check` refuses is a mistake, and the default goes on in its place.
    fn read<T>(
        &self,
        name: &str,
        check: impl Fn(&RawValue, &'static ConfigKey) -> Result<T, Mistake>,
    ) -> Option<T> {
        let key = self.section.key(name);
        if self.ignored == Some(name) {
            return None;
        }
        if let Some(value) = self.written(name) {
            match check(value, key) {
                Ok(read) => return Some(read),
                Err(mistake) => self.refuse(name, mistake),
            }
        }
        match key.fallback {
            Fallback::Value(default) => check(&default_value(default), key).ok(),
            Fallback::Required if self.is_table && self.written(name).is_none() => {
                let cure = format!("write `{name}`: {}", key.form.describe());
                self.refuse(name, Mistake::new(format!("`{name}` is missing"), cure));
                None
            }
            Fallback::Required | Fallback::Rule(_) => None,
        }
    }
}

/// The texts of a list without their places, as the field holds them.
pub(crate) fn values<T, U: From<T>>(texts: Vec<(T, Range<usize>)>) -> Vec<U> {
    texts.into_iter().map(|(text, _)| text.into()).collect()
}

/// `number` in the type of its field.
pub(crate) fn fits<T: TryFrom<u64>>(number: u64) -> Result<T, Mistake> {
    T::try_from(number).map_err(|_| {
        Mistake::new(
            format!("{number} is too large for this machine"),
            "write a smaller number",
        )
    })
}

/// A default of the key table as a value.
fn default_value(toml: &str) -> RawValue {
    let table = raw::from_toml(&format!("x = {toml}")).expect("the key table holds TOML");
    let RawKind::Table(mut entries) = table.kind else {
        unreachable!("a document is a table")
    };
    entries.pop().expect("the key table holds values").value
}

fn quantity<T>(
    value: &RawValue,
    parse: fn(&str) -> Option<T>,
    what: &str,
    form: &str,
    unit: &str,
) -> Result<T, Mistake> {
    match &value.kind {
        RawKind::Text(text) => parse(text)
            .ok_or_else(|| Mistake::new(format!("`{text}` is no {what}"), format!("write {form}"))),
        RawKind::Integer(number) => Err(Mistake::new(
            format!("{number} has no unit"),
            format!("write \"{number}{unit}\" if you mean that; a {what} is {form}"),
        )),
        _ => Err(mistyped(&format!("a {what} in quotes"), value)),
    }
}

fn mistyped(expected: &str, value: &RawValue) -> Mistake {
    Mistake::new(
        format!("{expected} was expected, this is {}", value.describe()),
        format!("write {}", expected.trim_end_matches(',')),
    )
}

fn out_of_range(shown: &str, too_small: bool, key: &ConfigKey) -> Mistake {
    let size = if too_small { "small" } else { "large" };
    Mistake::new(
        format!("{shown} is too {size}"),
        format!("write {}", key.form.describe().replace('`', "")),
    )
}

fn one_of(text: &str, words: &[&str]) -> Result<String, Mistake> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let cure = match did_you_mean(text, words.iter().copied()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("write one of \"{}\"", words.join("\", \"")),
    };
    Err(Mistake::new(format!("`{text}` is not known here"), cure))
}
