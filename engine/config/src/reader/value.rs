//! From one value of the file to the value of a key: its type, its unit, its range.

use std::time::Duration;

use crate::keys::{ConfigKey, Form};
use crate::mistakes::{Mistake, did_you_mean};
use crate::raw::{self, RawKind, RawValue};
use crate::units;

/// A kind of number that is written with its unit.
struct Quantity<T> {
    name: &'static str,
    /// What it looks like, for cures.
    form: &'static str,
    /// The unit that is suggested to a number without one.
    unit: &'static str,
    parse: fn(&str) -> Option<T>,
    show: fn(T) -> String,
}

const DURATION: Quantity<Duration> = Quantity {
    name: "duration",
    form: units::DURATION_FORM,
    unit: "s",
    parse: units::duration,
    show: units::show_duration,
};

const SIZE: Quantity<u64> = Quantity {
    name: "size",
    form: units::SIZE_FORM,
    unit: "B",
    parse: units::size,
    show: units::show_size,
};

/// A text that `parse` accepts.
pub(super) fn text<T>(
    value: &RawValue,
    parse: impl Fn(&str) -> Result<T, Mistake>,
) -> Result<T, Mistake> {
    match &value.kind {
        RawKind::Text(text) => parse(text),
        _ => Err(mistyped("a text in quotes", value)),
    }
}

/// The items of a list.
pub(super) fn list(value: &RawValue) -> Result<Vec<RawValue>, Mistake> {
    match &value.kind {
        RawKind::List(items) => Ok(items.clone()),
        _ => Err(mistyped("a list, [\"…\"],", value)),
    }
}

/// True or false.
pub(super) fn flag(value: &RawValue) -> Result<bool, Mistake> {
    match value.kind {
        RawKind::Flag(flag) => Ok(flag),
        _ => Err(mistyped("true or false", value)),
    }
}

/// A whole number within the range of `key`.
pub(super) fn count(value: &RawValue, key: &ConfigKey) -> Result<u64, Mistake> {
    let Form::Count(min, max) = key.form else {
        unreachable!("`{}` is not a count", key.name)
    };
    let number = match value.kind {
        RawKind::Integer(number) => number,
        // Numbers that do not fit into 64 bits are read as floats.
        RawKind::Float(number) if number >= 9.2e18 => {
            return Err(out_of_range("this", false, key));
        }
        _ => return Err(mistyped("a whole number", value)),
    };
    match u64::try_from(number) {
        Ok(count) if (min..=max).contains(&count) => Ok(count),
        Ok(count) => Err(out_of_range(&count.to_string(), count < min, key)),
        Err(_) => Err(out_of_range(&number.to_string(), true, key)),
    }
}

/// A number within the range of `key`.
pub(super) fn number(value: &RawValue, key: &ConfigKey) -> Result<f64, Mistake> {
    let Form::Number(min, max) = key.form else {
        unreachable!("`{}` is not a number", key.name)
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
}

/// A duration within the range of `key`.
pub(super) fn duration(value: &RawValue, key: &ConfigKey) -> Result<Duration, Mistake> {
    let Form::Duration(min, max) = key.form else {
        unreachable!("`{}` is not a duration", key.name)
    };
    DURATION.read(value, key, min, max)
}

/// A size within the range of `key`, in bytes.
pub(super) fn size(value: &RawValue, key: &ConfigKey) -> Result<u64, Mistake> {
    let Form::Size(min, max) = key.form else {
        unreachable!("`{}` is not a size", key.name)
    };
    SIZE.read(value, key, min, max)
}

impl<T: Copy + PartialOrd> Quantity<T> {
    fn read(&self, value: &RawValue, key: &ConfigKey, min: &str, max: &str) -> Result<T, Mistake> {
        let amount = self.amount(value)?;
        let is_too_small = (self.parse)(min).is_some_and(|min| amount < min);
        let is_too_large = (self.parse)(max).is_some_and(|max| amount > max);
        if is_too_small || is_too_large {
            return Err(out_of_range(&(self.show)(amount), is_too_small, key));
        }
        Ok(amount)
    }

    fn amount(&self, value: &RawValue) -> Result<T, Mistake> {
        let Quantity { name, form, .. } = self;
        match &value.kind {
            RawKind::Text(text) => (self.parse)(text).ok_or_else(|| {
                Mistake::new(format!("`{text}` is not a {name}"), format!("write {form}"))
            }),
            RawKind::Integer(number) => {
                let unit = self.unit;
                let cure = format!("write \"{number}{unit}\" if you mean that; a {name} is {form}");
                Err(Mistake::new(format!("{number} has no unit"), cure))
            }
            _ => Err(mistyped(&format!("a {name} in quotes"), value)),
        }
    }
}

/// One of `words`.
pub(super) fn one_of(text: &str, words: &[&str]) -> Result<String, Mistake> {
    if words.contains(&text) {
        return Ok(text.to_owned());
    }
    let cure = match did_you_mean(text, words.iter().copied()) {
        Some(meant) => format!("did you mean \"{meant}\"?"),
        None => format!("write one of \"{}\"", words.join("\", \"")),
    };
    Err(Mistake::new(format!("`{text}` is not known here"), cure))
}

/// `number` in the type of its field.
pub(crate) fn fits<T: TryFrom<u64>>(number: u64) -> Result<T, Mistake> {
    T::try_from(number).map_err(|_| {
        let problem = format!("{number} is too large for this machine");
        Mistake::new(problem, "write a smaller number")
    })
}

/// The value that a default writes as TOML.
pub(super) fn default_value(toml: &str) -> RawValue {
    let document = raw::from_toml(&format!("x = {toml}")).expect("a default is TOML");
    let RawKind::Table(mut entries) = document.kind else {
        unreachable!("a document is a table")
    };
    entries.pop().expect("the document has one entry").value
}

fn mistyped(expected: &str, value: &RawValue) -> Mistake {
    Mistake::new(
        format!("{expected} was expected, this is {}", value.describe()),
        format!("write {}", expected.trim_end_matches(',')),
    )
}

fn out_of_range(shown: &str, is_too_small: bool, key: &ConfigKey) -> Mistake {
    let size = if is_too_small { "small" } else { "large" };
    Mistake::new(
        format!("{shown} is too {size}"),
        format!("write {}", key.form.describe().replace('`', "")),
    )
}
