//! `request_fields` and `response_fields` of a site or a route: fields that are set and removed.

use http::{HeaderName, HeaderValue};

use crate::forms;
use crate::mistakes::{Mistake, did_you_mean};
use crate::raw::{RawKind, RawValue};
use crate::reader::TableReader;
use tero_semantics::field_edits::{EditedMessage, FieldEdits, untouchable};

/// The most fields that one table sets or removes.
const MAX_EDITS: usize = 64;
/// The longest value that is set, in bytes.
const MAX_VALUE: usize = 4_096;

/// Reads the edits of requests.
pub(super) fn of_requests(reader: &TableReader<'_>, key: &str) -> Option<FieldEdits> {
    Some(edits(reader, key, EditedMessage::Request))
}

/// Reads the edits of responses.
pub(super) fn of_responses(reader: &TableReader<'_>, key: &str) -> Option<FieldEdits> {
    Some(edits(reader, key, EditedMessage::Response))
}

fn edits(reader: &TableReader<'_>, key: &str, of: EditedMessage) -> FieldEdits {
    let mut edits = FieldEdits::default();
    let Some(value) = reader.written(key) else {
        return edits;
    };
    let form = "write { set = { \"x-name\" = \"value\" }, remove = [\"x-other\"] }";
    let RawKind::Table(entries) = &value.kind else {
        let problem = format!("a table was expected, this is {}", value.describe());
        reader.refuse(key, Mistake::new(problem, form));
        return edits;
    };
    let refuse = |at: &RawValue, mistake: Mistake| reader.refuse_at(&at.at, key, mistake);
    for entry in entries {
        match (entry.key.as_str(), &entry.value.kind) {
            ("set", RawKind::Table(fields)) => {
                for field in fields {
                    let name = named(&field.key, of);
                    match name.and_then(|name| Ok((name, valued(&field.value)?))) {
                        Ok(edit) => edits.set.push(edit),
                        Err(mistake) => reader.refuse_at(&field.key_at, key, mistake),
                    }
                }
            }
            ("remove", RawKind::List(names)) => {
                for name in names {
                    let text = match &name.kind {
                        RawKind::Text(text) => Ok(text),
                        _ => Err(Mistake::new("this is not a field name", form)),
                    };
                    match text.and_then(|text| named(text, of)) {
                        Ok(name) => edits.remove.push(name),
                        Err(mistake) => refuse(name, mistake),
                    }
                }
            }
            ("set", _) => refuse(&entry.value, Mistake::new("`set` is not a table", form)),
            ("remove", _) => refuse(&entry.value, Mistake::new("`remove` is not a list", form)),
            (other, _) => {
                let cure = match did_you_mean(other, ["set", "remove"]) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => form.to_owned(),
                };
                let mistake = Mistake::new(format!("unknown key `{other}`"), cure);
                reader.refuse_at(&entry.key_at, key, mistake);
            }
        }
    }
    for (index, (name, _)) in edits.set.iter().enumerate() {
        let is_twice = edits.set[..index].iter().any(|(other, _)| other == name);
        if is_twice || edits.remove.contains(name) {
            let problem = format!("`{name}` is edited twice");
            refuse(value, Mistake::new(problem, "name each field once"));
        }
    }
    if edits.set.len() + edits.remove.len() > MAX_EDITS {
        let problem = format!("these are more than {MAX_EDITS} fields");
        refuse(value, Mistake::new(problem, "edit fewer fields"));
    }
    edits
}

/// A field that may be edited.
fn named(text: &str, of: EditedMessage) -> Result<HeaderName, Mistake> {
    let name = forms::field(text)?;
    match untouchable(&name, of) {
        None => Ok(name),
        Some(why) => Err(Mistake::new(
            format!("`{name}` can't be edited: {}", why.reason()),
            why.cure(),
        )),
    }
}

fn valued(value: &RawValue) -> Result<HeaderValue, Mistake> {
    let cure = "write at most 4096 visible ASCII characters and spaces, in quotes";
    match &value.kind {
        RawKind::Text(text) => {
            let is_plain = |byte: u8| byte.is_ascii_graphic() || byte == b' ';
            let is_good = !text.is_empty()
                && text.len() <= MAX_VALUE
                && text.trim() == text
                && text.bytes().all(is_plain);
            HeaderValue::from_str(text)
                .ok()
                .filter(|_| is_good)
                .ok_or_else(|| Mistake::new("this is not a value of a field", cure))
        }
        _ => Err(Mistake::new(
            format!("a text was expected, this is {}", value.describe()),
            cure,
        )),
    }
}
