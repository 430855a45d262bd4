//! Reads the subset of YAML that the examples use into JSON: block mappings and lists, flow lists
//! of strings, plain and quoted scalars. Every YAML reader understands this subset alike; anything
//! else is refused.

use serde_json::{Map, Value};

/// A line: its indentation, and its text.
type Line<'t> = (usize, &'t str);

/// Reads a text with one document.
///
/// # Panics
/// If the text is outside the subset.
pub(crate) fn read(text: &str) -> Value {
    let significant = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    let lines: Vec<Line<'_>> = text.lines().filter(significant).map(indented).collect();
    let mut rest = lines.as_slice();
    let value = block(&mut rest, 0);
    assert!(
        rest.is_empty(),
        "indented as nothing before it: {:?}",
        rest[0]
    );
    value
}

fn indented(line: &str) -> Line<'_> {
    assert!(
        !line.contains('\t') && !line.contains(" #") && line.trim_end() == line,
        "tabs, comments behind, blanks: {line:?}"
    );
    let content = line.trim_start();
    (line.len() - content.len(), content)
}

/// Reads the list or mapping at this indentation.
fn block(rest: &mut &[Line<'_>], depth: usize) -> Value {
    assert_eq!(rest[0].0, depth, "{:?}", rest[0]);
    if rest[0].1.starts_with("- ") {
        list(rest, depth)
    } else {
        Value::Object(mapping(rest, depth, None))
    }
}

fn list(rest: &mut &[Line<'_>], depth: usize) -> Value {
    let mut items = Vec::new();
    while let Some((_, entry)) = rest
        .first()
        .filter(|(at, text)| *at == depth && text.starts_with("- "))
    {
        let item = entry[2..].trim_start();
        *rest = &rest[1..];
        let is_key = key_of(item).is_some();
        items.push(if is_key {
            Value::Object(mapping(rest, depth + 2, Some(item)))
        } else {
            scalar(item)
        });
    }
    Value::Array(items)
}

/// Reads a mapping. Its first line may follow the dash of a list.
fn mapping(rest: &mut &[Line<'_>], depth: usize, mut first: Option<&str>) -> Map<String, Value> {
    let mut map = Map::new();
    loop {
        let line = match first.take() {
            Some(first) => first,
            None => match rest.first() {
                Some((at, text)) if *at == depth && !text.starts_with("- ") => {
                    *rest = &rest[1..];
                    *text
                }
                _ => return map,
            },
        };
        let (key, value) = key_of(line).unwrap_or_else(|| panic!("not a key: {line:?}"));
        let value = match value {
            "" => match rest.first() {
                Some((deeper, _)) if *deeper > depth => block(rest, *deeper),
                _ => panic!("{key} has no value"),
            },
            value => scalar(value),
        };
        assert!(
            map.insert(key.to_owned(), value).is_none(),
            "{key} stands there twice"
        );
    }
}

/// Splits `key: value` or `key:`.
fn key_of(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line
        .split_once(": ")
        .or_else(|| Some((line.strip_suffix(':')?, "")))?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"./-_".contains(&byte);
    (!key.is_empty() && key.bytes().all(good)).then_some((key, value.trim()))
}

fn scalar(text: &str) -> Value {
    if let Some(list) = text.strip_prefix('[') {
        let list = list
            .strip_suffix(']')
            .unwrap_or_else(|| panic!("a list without end: {text}"));
        return list.split(',').map(|item| scalar(item.trim())).collect();
    }
    if text.starts_with('"') {
        assert!(!text.contains('\\'), "{text}");
        return serde_json::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    assert!(
        !text.starts_with(|first: char| "{}[]&*!|>'%@`#?,".contains(first)) && !text.contains(": "),
        "not a plain scalar: {text}"
    );
    match text {
        "true" | "yes" | "on" => Value::Bool(true),
        "false" | "no" | "off" => Value::Bool(false),
        "null" | "~" => Value::Null,
        text => text
            .parse::<i64>()
            .map_or_else(|_| text.into(), Value::from),
    }
}

#[test]
fn a_document_is_read_as_json() {
    let text = "# a comment\na: 1\nb:\n  c: \"30 8 * * 1-6\"\n  d:\n    - x\n    - name: y\n      z: true\n    - -e\n  f: [\"ALL\", b]\ng.h/i: http://x:9/\n";
    let expected = serde_json::json!({
        "a": 1, "b": { "c": "30 8 * * 1-6", "d": ["x", { "name": "y", "z": true }, "-e"], "f": ["ALL", "b"] }, "g.h/i": "http://x:9/"
    });
    assert_eq!(read(text), expected);
    for odd in [
        "a: 1\n b: 2",
        "a: 1\na: 2",
        "a:\n  - b\n c: d",
        "a: {b: c}",
        "a: &x 1",
        "a: |\n  b",
        "\ta: 1",
        "a",
        "a: b: c",
        "a:",
    ] {
        assert!(std::panic::catch_unwind(|| read(odd)).is_err(), "{odd:?}");
    }
}
