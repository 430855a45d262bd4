//! A secondary key as bytes, for a store that outlives the process.

use http::HeaderName;

use super::{MAX_VARY_FIELDS, NominatedFields, SecondaryKey, Vary, VaryKey};

/// The form. It changes with the normal form of any field: values in another one select nothing.
const FORM: u8 = 1;
/// Every request selects the response.
const NOTHING: u8 = 0;
/// No request does.
const EVERYTHING: u8 = 1;
/// Those that agree in some fields do.
const FIELDS: u8 = 2;
/// Stands for the length of a value that there isn't.
const NO_VALUE: u32 = u32::MAX;

impl SecondaryKey {
    /// Appends its saved form to `saved`: a byte for the form, one for the kind, one that tells whether
    /// the response's own `Vary` gave it, the number of fields, for each its name and its value, then
    /// language and codings. Each text follows its length in four bytes, little-endian.
    ///
    /// ```
    /// use http::header::{ACCEPT_LANGUAGE, HeaderMap, HeaderValue, VARY};
    /// use tero_semantics::vary::SecondaryKey;
    ///
    /// let response = HeaderMap::from_iter([(VARY, HeaderValue::from_static("accept-language"))]);
    /// let request = HeaderMap::from_iter([(ACCEPT_LANGUAGE, HeaderValue::from_static("es"))]);
    /// let key = SecondaryKey::of(&response, &request);
    /// let mut saved = Vec::new();
    /// key.save(&mut saved);
    /// assert_eq!(SecondaryKey::restore(&saved), Some(key));
    /// ```
    pub fn save(&self, saved: &mut Vec<u8>) {
        saved.push(FORM);
        let Some(key) = &self.0 else {
            saved.push(NOTHING);
            return;
        };
        saved.push(match key.vary {
            Vary::Nothing => NOTHING,
            Vary::Everything => EVERYTHING,
            Vary::Fields(_) => FIELDS,
        });
        saved.push(u8::from(key.is_own));
        let names = key.vary.fields();
        saved.push(names.len() as u8);
        for (name, value) in names.iter().zip(&key.nominated.values) {
            put(saved, Some(name.as_str().as_bytes()));
            put(saved, value.as_deref());
        }
        put(saved, key.nominated.language.as_deref());
        put(saved, key.nominated.codings.as_deref());
    }

    /// Reads its saved form; `None` if it is damaged, or another version of tero wrote it.
    pub fn restore(mut saved: &[u8]) -> Option<SecondaryKey> {
        let saved = &mut saved;
        if byte(saved)? != FORM {
            return None;
        }
        let kind = byte(saved)?;
        if kind == NOTHING && saved.is_empty() {
            return Some(SecondaryKey(None));
        }
        let is_own = byte(saved)? != 0;
        let count = usize::from(byte(saved)?);
        if count > MAX_VARY_FIELDS {
            return None;
        }
        let (mut names, mut values) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for _ in 0..count {
            names.push(HeaderName::from_bytes(&text(saved)??).ok()?);
            values.push(text(saved)?);
        }
        let nominated = NominatedFields {
            values: values.into(),
            language: text(saved)?,
            codings: text(saved)?,
        };
        let vary = match (kind, names.is_empty()) {
            (NOTHING, true) => Vary::Nothing,
            (EVERYTHING, true) => Vary::Everything,
            (FIELDS, false) => Vary::Fields(names.into()),
            _ => return None,
        };
        saved.is_empty().then(|| {
            SecondaryKey(Some(Box::new(VaryKey {
                vary,
                nominated,
                is_own,
            })))
        })
    }
}

fn put(saved: &mut Vec<u8>, text: Option<&[u8]>) {
    let length = text.map_or(NO_VALUE, |text| text.len() as u32);
    saved.extend_from_slice(&length.to_le_bytes());
    saved.extend_from_slice(text.unwrap_or_default());
}

fn byte(saved: &mut &[u8]) -> Option<u8> {
    let (first, rest) = saved.split_first()?;
    *saved = rest;
    Some(*first)
}

/// The next text, or that there is no value; `None` if the end comes first.
fn text(saved: &mut &[u8]) -> Option<Option<Box<[u8]>>> {
    let (length, rest) = saved.split_first_chunk()?;
    let length = u32::from_le_bytes(*length);
    if length == NO_VALUE {
        *saved = rest;
        return Some(None);
    }
    let (text, rest) = rest.split_at_checked(length as usize)?;
    *saved = rest;
    Some(Some(text.into()))
}

#[cfg(test)]
mod tests {
    use http::header::{
        ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_ENCODING, CONTENT_LANGUAGE, HeaderMap,
        HeaderValue, ORIGIN, VARY,
    };

    use super::*;

    fn fields(fields: &[(HeaderName, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(HeaderName, &'static str)| {
            (name.clone(), HeaderValue::from_static(value))
        };
        fields.iter().map(field).collect()
    }

    fn keys() -> Vec<SecondaryKey> {
        let request = fields(&[
            (ACCEPT_LANGUAGE, "es, en;q=0.5"),
            (ACCEPT_ENCODING, "gzip, br"),
        ]);
        let own = |own: &[(HeaderName, &'static str)]| SecondaryKey::of(&fields(own), &request);
        vec![
            own(&[]),
            own(&[(VARY, "*")]),
            own(&[(VARY, "accept-language, origin"), (CONTENT_LANGUAGE, "es")]),
            own(&[(CONTENT_ENCODING, "gzip")]),
            own(&[]).beside([ORIGIN], &request),
        ]
    }

    #[test]
    fn a_restored_key_is_the_same_and_selects_the_same_requests() {
        let requests = [
            fields(&[]),
            fields(&[(ACCEPT_LANGUAGE, "en;q=0.5,es")]),
            fields(&[(ACCEPT_LANGUAGE, "es, pt;q=0.1")]),
            fields(&[(ACCEPT_LANGUAGE, "es"), (ORIGIN, "https://a.example")]),
            fields(&[(ACCEPT_ENCODING, "gzip")]),
        ];
        for key in keys() {
            let mut saved = Vec::new();
            key.save(&mut saved);
            let restored = SecondaryKey::restore(&saved).unwrap();
            assert_eq!((&restored, restored.is_by_vary()), (&key, key.is_by_vary()));
            for request in &requests {
                assert_eq!(
                    restored.selects(request),
                    key.selects(request),
                    "{request:?}"
                );
            }
        }
    }

    #[test]
    fn damaged_forms_are_refused() {
        for key in keys() {
            let mut saved = Vec::new();
            key.save(&mut saved);
            for end in 0..saved.len() {
                assert_eq!(SecondaryKey::restore(&saved[..end]), None, "{end}");
            }
            let longer = [&saved[..], b"\0"].concat();
            assert_eq!(SecondaryKey::restore(&longer), None);
            saved[0] += 1;
            assert_eq!(SecondaryKey::restore(&saved), None, "another form");
        }
    }
}
