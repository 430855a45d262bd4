//! Changes of fields: each names a field of the manifest, once, and its value can't end a line.

use http::{HeaderName, HeaderValue};

use super::quoted;
use crate::contract::types;
use tero_semantics::field_edits::FieldEdits;

/// The longest value of a field, in bytes.
const MAX_VALUE_BYTES: usize = 4096;

/// Checks changes of the fields that the manifest names in `list`.
pub(super) fn edits(
    raw: Vec<types::Edit>,
    declared: &[HeaderName],
    list: &str,
) -> Result<FieldEdits, String> {
    if raw.len() > declared.len() {
        return Err(format!(
            "{} changes of fields; its manifest names {} in `{list}`",
            raw.len(),
            declared.len()
        ));
    }
    let mut edits = FieldEdits::default();
    for types::Edit { name, value: given } in raw {
        let Some(name) = declared
            .iter()
            .find(|declared| declared.as_str().eq_ignore_ascii_case(&name))
        else {
            return Err(format!(
                "the field {} is not in `{list}` of its manifest",
                quoted(&name)
            ));
        };
        if edits.names(name) {
            return Err(format!("two changes of the field `{name}`"));
        }
        match given {
            Some(given) => edits.set.push((name.clone(), value(name, &given)?)),
            None => edits.remove.push(name.clone()),
        }
    }
    Ok(edits)
}

/// Checks the value of a field: 1 to 4096 visible ASCII characters, and spaces between them.
pub(super) fn value(name: &HeaderName, value: &str) -> Result<HeaderValue, String> {
    let is_good = (1..=MAX_VALUE_BYTES).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && !value.starts_with(' ')
        && !value.ends_with(' ');
    is_good
        .then(|| HeaderValue::from_str(value).ok())
        .flatten()
        .ok_or_else(|| {
            format!(
                "{} is not a value of the field `{name}` (1 to {MAX_VALUE_BYTES} visible ASCII characters, and spaces between them)",
                quoted(value)
            )
        })
}
