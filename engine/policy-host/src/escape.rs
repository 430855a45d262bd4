//! What a guest or a setting says, as one line that can't pretend to be another.

use std::borrow::Cow;

/// The text with control characters, line breaks and characters that change the direction of
/// writing escaped as in Rust: `\\n`, `\\u{202e}`.
pub(crate) fn escaped(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut line = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_unsafe(char) {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    Cow::Owned(line)
}

fn is_unsafe(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            // Marks, embeddings, overrides and isolates of direction (Unicode UAX #9 §2), and the
            // separators of lines and paragraphs.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_escaped_and_others_stay() {
        for (text, expected) in [
            ("ñandú, 15:00 – 「x」 \\ \"", "ñandú, 15:00 – 「x」 \\ \""),
            ("a\nb\r\tc", r"a\nb\r\tc"),
            ("\u{1b}[31m\0\u{85}", r"\u{1b}[31m\u{0}\u{85}"),
            (
                "x\u{202e}y\u{2066}z\u{2069}",
                r"x\u{202e}y\u{2066}z\u{2069}",
            ),
            ("\u{2028}\u{200f}\u{61c}", r"\u{2028}\u{200f}\u{61c}"),
        ] {
            assert_eq!(escaped(text), expected);
        }
    }
}
