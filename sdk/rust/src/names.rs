//! Checked names: variants, tags, query parameters. Other texts are refused when the settings are
//! read.

use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer};

use crate::path_pattern::PathPattern;

/// Reads text and parses it. Other types are refused with the message `expected`.
pub(crate) fn from_text<'de, D: Deserializer<'de>, T: FromStr<Err = String>>(
    deserializer: D,
    expected: &'static str,
) -> Result<T, D::Error> {
    struct Text<T>(&'static str, PhantomData<T>);
    impl<T: FromStr<Err = String>> Visitor<'_> for Text<T> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
        fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
            text.parse().map_err(E::custom)
        }
    }
    deserializer.deserialize_str(Text(expected, PhantomData))
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<PathPattern, D::Error> {
        from_text(
            deserializer,
            "a path pattern, such as \"/barberias/*\" or \"*.css\"",
        )
    }
}

macro_rules! name {
    (
        $(#[$doc:meta])*
        $name:ident, $example:literal, $expected:literal, $fits:path, $cure:literal
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            ///
            /// ```
            #[doc = concat!("# use tero_policy::", stringify!($name), ";")]
            #[doc = concat!("let name: ", stringify!($name), " = \"", $example, "\".parse().unwrap();")]
            #[doc = concat!("assert_eq!(name.as_str(), \"", $example, "\");")]
            /// ```
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<$name, String> {
                if $fits(text) {
                    Ok($name(text.to_owned()))
                } else {
                    Err(format!(concat!("{:?} is not ", $expected, ": ", $cure), text))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl From<&$name> for String {
            fn from(name: &$name) -> String {
                name.0.clone()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                from_text(deserializer, $expected)
            }
        }
    };
}

name! {
    /// The name of a variant: 1 to 32 bytes of `a-z`, `0-9`, `-` and `_`.
    ///
    /// ```
    /// use tero_policy::VariantName;
    ///
    /// assert!("mobile".parse::<VariantName>().is_ok());
    /// assert!("Mobile".parse::<VariantName>().is_err());
    /// ```
    VariantName,
    "mobile",
    "a variant's name",
    is_variant_name,
    "write 1 to 32 characters of a-z, 0-9, - and _"
}

name! {
    /// A surrogate key, by which stored responses are purged: 1 to 128 bytes of visible ASCII.
    ///
    /// ```
    /// use tero_policy::Tag;
    ///
    /// assert!("product:42".parse::<Tag>().is_ok());
    /// assert!("two words".parse::<Tag>().is_err());
    /// ```
    Tag,
    "product:42",
    "a tag",
    is_tag,
    "write 1 to 128 visible ASCII characters, without spaces"
}

name! {
    /// The name of a query parameter, or the beginning of names followed by `*`: `utm_*`. 1 to 128
    /// bytes.
    ///
    /// ```
    /// use tero_policy::QueryName;
    ///
    /// assert!("utm_*".parse::<QueryName>().is_ok());
    /// assert!("*utm".parse::<QueryName>().is_err());
    /// ```
    QueryName,
    "utm_*",
    "a query parameter's name",
    is_query_name,
    "write a name such as \"fbclid\", or the beginning of names followed by one *: \"utm_*\""
}

name! {
    /// The name of a cookie, or the beginning of names followed by `*`: `session_*`. 1 to 128
    /// bytes. Letters count as they are.
    ///
    /// ```
    /// use tero_policy::CookieName;
    ///
    /// let name: CookieName = "session_*".parse().unwrap();
    /// assert!(name.matches("session_7f") && !name.matches("Session_7f"));
    /// assert!("a=b".parse::<CookieName>().is_err());
    /// ```
    CookieName,
    "session_*",
    "a cookie's name",
    is_cookie_name,
    "write a name such as \"sessionid\", or the beginning of names followed by one *: \"session_*\""
}

impl CookieName {
    /// Whether a cookie of that name is meant.
    pub fn matches(&self, name: &str) -> bool {
        match self.as_str().strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.as_str(),
        }
    }
}

fn is_cookie_name(text: &str) -> bool {
    let name = text.strip_suffix('*').unwrap_or(text);
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'+-.^_`|~".contains(&byte);
    (1..=128).contains(&text.len()) && name.bytes().all(is_token)
}

fn is_variant_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_query_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.trim_end_matches('*').contains('*')
        && !text.ends_with("**")
        && text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && !b"&=#?".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_named_whole_or_by_its_beginning() {
        for text in ["sessionid", "__Host-s", "a*", "*", &"a".repeat(128)] {
            assert!(text.parse::<CookieName>().is_ok(), "{text}");
        }
        for text in [
            "",
            "a b",
            "a=b",
            "a;b",
            "*a",
            "a*b",
            "a**",
            "d\u{ed}a",
            &"a".repeat(129),
        ] {
            assert!(text.parse::<CookieName>().is_err(), "{text}");
        }
        let all: CookieName = "*".parse().unwrap();
        assert!(all.matches("a") && all.matches(""));
    }

    #[test]
    fn valid_names_are_accepted_and_others_refused_with_a_cure() {
        assert!("mobile".parse::<VariantName>().is_ok());
        assert!("a".repeat(32).parse::<VariantName>().is_ok());
        for text in ["", "Mobile", "a b", "a+b", &"a".repeat(33)] {
            assert!(
                text.parse::<VariantName>()
                    .unwrap_err()
                    .contains("a-z, 0-9"),
                "{text}"
            );
        }
        assert!("product:42".parse::<Tag>().is_ok());
        for text in ["", "a b", "a\nb", "día", &"a".repeat(129)] {
            assert!(
                text.parse::<Tag>().unwrap_err().contains("visible ASCII"),
                "{text}"
            );
        }
        for text in ["utm_*", "fbclid", "*"] {
            assert!(text.parse::<QueryName>().is_ok(), "{text}");
        }
        for text in ["", "*utm", "a*b", "a=b", "a&b", "é", "ñ*"] {
            assert!(
                text.parse::<QueryName>().unwrap_err().contains("utm_*"),
                "{text}"
            );
        }
    }
}
