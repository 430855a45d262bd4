//! Reads the values of one table by its section: types, units, ranges, defaults, unknown keys.
//!
//! A mistake is recorded and reading goes on with the default, so that one pass finds them all.

mod value;

use std::ops::Range;
use std::time::Duration;

use crate::keys::{ConfigKey, Fallback, Form, Section};
use crate::mistakes::{FilePosition, Mistake, Mistakes, did_you_mean};
use crate::raw::{RawEntry, RawKind, RawValue, find};

pub(crate) use self::value::fits;

/// A table that is being read.
#[derive(Clone, Copy)]
pub struct TableReader<'a> {
    section: &'static Section,
    /// Where the table stands; keys that are missing from it are told there.
    at: &'a Range<usize>,
    entries: &'a [RawEntry],
    mistakes: &'a Mistakes<'a>,
    /// Whether the value is a table. If not, it was refused, and its keys are not missing.
    is_table: bool,
    /// A key that is neither read nor missing.
    ignored: Option<&'static str>,
}

/// An item of a list, and the bytes of the file that it takes.
type Placed<T> = (T, Range<usize>);

impl<'a> TableReader<'a> {
    /// Reads `value` as `section`. Unknown keys, and a value that is not a table, are recorded as
    /// mistakes at once.
    pub fn of(
        section: &'static Section,
        value: &'a RawValue,
        mistakes: &'a Mistakes<'a>,
    ) -> TableReader<'a> {
        let mut reader = TableReader {
            at: &value.at,
            ..TableReader::absent(section, mistakes)
        };
        if let RawKind::Table(entries) = &value.kind {
            reader.entries = entries;
            reader.refuse_unknown_keys();
        } else {
            reader.is_table = false;
            let problem = format!("a table was expected, this is {}", value.describe());
            let cure = format!("write {} as a table", section.header);
            mistakes.add(&value.at, section.name, Mistake::new(problem, cure));
        }
        reader
    }

    /// Reads a section that is not in the file: every key has its default.
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

    /// Whether the value is a table. If not, it was refused already.
    pub(crate) fn is_table(&self) -> bool {
        self.is_table
    }

    /// Where the table stands.
    pub(crate) fn position(&self) -> FilePosition {
        self.mistakes.position(self.at.start)
    }

    /// The bytes of the file that the table takes.
    pub fn at(&self) -> &'a Range<usize> {
        self.at
    }

    /// The value that the file writes for `name`.
    pub fn written(&self, name: &str) -> Option<&'a RawValue> {
        find(self.entries, name)
    }

    /// Records a mistake of the key `name`, at its value if it is written, else at the table.
    pub fn refuse(&self, name: &str, mistake: Mistake) {
        let at = self.written(name).map_or(self.at, |value| &value.at);
        self.refuse_at(at, name, mistake);
    }

    /// Records a mistake of the key `name` at these bytes of the file.
    pub fn refuse_at(&self, at: &Range<usize>, name: &str, mistake: Mistake) {
        self.mistakes.add(at, &self.path(name), mistake);
    }

    /// A text that `parse` accepts; `None` if it is missing or refused and has no fixed default.
    pub fn text_as<T>(&self, name: &str, parse: impl Fn(&str) -> Result<T, Mistake>) -> Option<T> {
        self.read(name, |value, _| value::text(value, &parse))
    }

    /// A list of texts that `parse` accepts, each with its place. Refused items are left out.
    pub fn texts_as<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Vec<Placed<T>> {
        let items = self.read(name, |value, _| value::list(value));
        let mut texts = Vec::new();
        for item in items.unwrap_or_default() {
            match value::text(&item, &parse) {
                Ok(text) => texts.push((text, item.at)),
                Err(mistake) => self.refuse_at(&item.at, name, mistake),
            }
        }
        texts
    }

    /// As [`TableReader::texts_as`]; a single text is a list of one.
    pub fn one_or_more_as<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Vec<Placed<T>> {
        match self.written(name) {
            Some(value) if matches!(value.kind, RawKind::Text(_)) => {
                let text = self.text_as(name, parse);
                text.map(|text| (text, value.at.clone()))
                    .into_iter()
                    .collect()
            }
            _ => self.texts_as(name, parse),
        }
    }

    /// One of the key's words.
    ///
    /// # Panics
    /// If the form of the key is not [`Form::OneOf`].
    pub fn word(&self, name: &str) -> Option<String> {
        let Form::OneOf(words) = self.section.key(name).form else {
            unreachable!("`{name}` is not one of several words")
        };
        self.text_as(name, |text| value::one_of(text, words))
    }

    /// The value that is paired with the key's word.
    pub(crate) fn one_of<T: Clone>(&self, name: &str, values: &[(&str, T)]) -> Option<T> {
        let word = self.word(name)?;
        let (_, value) = values.iter().find(|(known, _)| *known == word)?;
        Some(value.clone())
    }

    /// Any of the key's words.
    ///
    /// # Panics
    /// If the form of the key is not [`Form::SomeOf`].
    pub fn words(&self, name: &str) -> Vec<String> {
        let Form::SomeOf(words) = self.section.key(name).form else {
            unreachable!("`{name}` is not a list of words")
        };
        values(self.texts_as(name, |text| value::one_of(text, words)))
    }

    /// True or false; false if it is missing and has no default.
    pub fn flag(&self, name: &str) -> bool {
        self.read(name, |value, _| value::flag(value))
            .unwrap_or_default()
    }

    /// A whole number within the key's range; `None` if it is missing or refused and has no fixed
    /// default.
    ///
    /// # Panics
    /// If the form of the key is not [`Form::Count`].
    pub fn count(&self, name: &str) -> Option<u64> {
        self.read(name, value::count)
    }

    /// As [`TableReader::count`], if `check` accepts it too.
    pub(crate) fn count_as<T>(
        &self,
        name: &str,
        check: impl Fn(u64) -> Result<T, Mistake>,
    ) -> Option<T> {
        self.read(name, |value, key| check(value::count(value, key)?))
    }

    /// A number within the key's range.
    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.read(name, value::number)
    }

    /// A duration within the key's range.
    pub(crate) fn duration(&self, name: &str) -> Option<Duration> {
        self.read(name, value::duration)
    }

    /// A number of bytes within the key's range, if `check` accepts it too.
    pub(crate) fn size_as<T>(
        &self,
        name: &str,
        check: impl Fn(u64) -> Result<T, Mistake>,
    ) -> Option<T> {
        self.read(name, |value, key| check(value::size(value, key)?))
    }

    /// A table of any keys that `parse` accepts.
    pub(crate) fn table_as<T>(
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
            unreachable!("`{name}` is not a table with keys of its own")
        };
        match (self.written(name), key.fallback) {
            (Some(value), _) => Some(TableReader::of(section, value, self.mistakes)),
            (None, Fallback::Value(_)) => Some(TableReader::absent(section, self.mistakes)),
            (None, Fallback::Required | Fallback::Rule(_)) => None,
        }
    }

    /// The text that is written in the place of a table, as `parse` reads it: within, `None` if it
    /// was refused. `None` if no text is written.
    pub(crate) fn short_form<T>(
        &self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, Mistake>,
    ) -> Option<Option<T>> {
        let RawKind::Text(text) = &self.written(name)?.kind else {
            return None;
        };
        let read = parse(text).map_err(|mistake| self.refuse(name, mistake));
        Some(read.ok())
    }

    /// The tables below this one, in the order of the file.
    pub fn nested_list(&self, name: &str) -> Vec<TableReader<'a>> {
        let key = self.section.key(name);
        let Form::NestedList(section) = key.form else {
            unreachable!("`{name}` is not a list of tables")
        };
        let Some(value) = self.written(name) else {
            return Vec::new();
        };
        let RawKind::List(items) = &value.kind else {
            let problem = format!(
                "a list of tables was expected, this is {}",
                value.describe()
            );
            let cure = format!("write {} with two pairs of brackets", section.header);
            self.refuse(name, Mistake::new(problem, cure));
            return Vec::new();
        };
        let items = items.iter();
        items
            .map(|item| TableReader::of(section, item, self.mistakes))
            .collect()
    }

    /// Refuses an item that is in the list twice.
    pub(crate) fn distinct<T: PartialEq>(&self, name: &str, items: &[Placed<T>]) {
        self.distinct_if(name, items, |_| true);
    }

    /// As [`TableReader::distinct`], among the items for which `counts` is true.
    pub(crate) fn distinct_if<T: PartialEq>(
        &self,
        name: &str,
        items: &[Placed<T>],
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

    /// Refuses an empty list. It looks at what is written: a list without a good item has its
    /// mistakes already.
    pub(crate) fn at_least_one<T>(&self, name: &str, _: &[Placed<T>], cure: &str) {
        let written = self.written(name).map(|value| &value.kind);
        if matches!(written, Some(RawKind::List(items)) if items.is_empty()) {
            self.refuse(name, Mistake::new("the list is empty", cure));
        }
    }

    /// Refuses `other` if `one` is written too.
    pub(crate) fn refuse_both(&self, one: &str, other: &str) {
        if self.written(one).is_some() && self.written(other).is_some() {
            let problem = format!("both `{one}` and `{other}` are written");
            self.refuse(other, Mistake::new(problem, "keep one of the two"));
        }
    }

    /// The value of `name` as `check` reads it: the written one, else the default. If `check`
    /// refuses the written one, that is a mistake, and the default stands in.
    fn read<T>(
        &self,
        name: &str,
        check: impl Fn(&RawValue, &'static ConfigKey) -> Result<T, Mistake>,
    ) -> Option<T> {
        let key = self.section.key(name);
        if self.ignored == Some(name) {
            return None;
        }
        match self.written(name).map(|value| check(value, key)) {
            Some(Ok(value)) => return Some(value),
            Some(Err(mistake)) => self.refuse(name, mistake),
            None => self.refuse_missing(key),
        }
        match key.fallback {
            Fallback::Value(default) => check(&value::default_value(default), key).ok(),
            Fallback::Required | Fallback::Rule(_) => None,
        }
    }

    fn refuse_missing(&self, key: &ConfigKey) {
        if self.is_table && matches!(key.fallback, Fallback::Required) {
            let name = key.name;
            let cure = format!("write `{name}`: {}", key.form.describe());
            self.refuse(name, Mistake::new(format!("`{name}` is missing"), cure));
        }
    }

    fn refuse_unknown_keys(&self) {
        let known = || self.section.keys.iter().map(|key| key.name);
        for entry in self.entries {
            if known().any(|name| name == entry.key) {
                continue;
            }
            let header = self.section.header;
            let cure = match did_you_mean(&entry.key, known()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => {
                    let known = known().collect::<Vec<_>>().join(", ");
                    format!("the keys of {header} are {known}")
                }
            };
            let problem = format!("unknown key `{}`", entry.key);
            self.refuse_at(&entry.key_at, &entry.key, Mistake::new(problem, cure));
        }
    }

    /// The key `name` with its tables, `site.origins`.
    fn path(&self, name: &str) -> String {
        match self.section.name {
            "" => name.to_owned(),
            section => format!("{section}.{name}"),
        }
    }
}

/// The items of a list without their places, in the type of the field.
pub(crate) fn values<T, U: From<T>>(items: Vec<Placed<T>>) -> Vec<U> {
    items.into_iter().map(|(item, _)| item.into()).collect()
}
