//! Type names are nouns, are unique in their crate, and don't hide names of the prelude.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A declared type.
struct Declaration {
    name: String,
    /// The folder of the crate below `engine`.
    package: String,
    /// File and line.
    place: String,
    /// Whether other modules can see it.
    is_visible: bool,
}

/// The largest share of participles among visible type names, in percent.
const MAX_PARTICIPLES_PERCENT: usize = 3;

/// Participles without `-ed` or `-ing`.
const IRREGULAR: [&str; 39] = [
    "Begun", "Bound", "Broken", "Brought", "Built", "Chosen", "Come", "Cut", "Done", "Drawn",
    "Fed", "Found", "Given", "Gone", "Got", "Grown", "Held", "Hidden", "Kept", "Known", "Led",
    "Left", "Lost", "Made", "Met", "Overrun", "Read", "Said", "Seen", "Sent", "Shown", "Shut",
    "Split", "Spoken", "Taken", "Thrown", "Told", "Woken", "Written",
];

/// Nouns and adjectives that end like participles.
const NOUNS: [&str; 25] = [
    "Bed", "Binding", "Building", "Coding", "Encoding", "Feed", "Finding", "Framing", "Garden",
    "Heading", "Hundred", "Kitchen", "Listing", "Need", "Passing", "Ping", "Ruling", "Screen",
    "Seed", "Setting", "Speed", "String", "Thing", "Timing", "Token",
];

/// Names that are in scope everywhere, and names that look like the standard library's.
const PRELUDE: [&str; 33] = [
    "AsMut",
    "AsRef",
    "Box",
    "Clone",
    "Copy",
    "Debug",
    "Default",
    "DoubleEndedIterator",
    "Drop",
    "Eq",
    "Err",
    "ExactSizeIterator",
    "Extend",
    "Fn",
    "FnMut",
    "FnOnce",
    "From",
    "FromIterator",
    "Into",
    "IntoFuture",
    "IntoIterator",
    "Iterator",
    "Ok",
    "Option",
    "Ord",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Self",
    "Send",
    "Some",
    "String",
    "Vec",
];

#[test]
fn a_type_name_stands_for_one_thing_in_its_crate() {
    let mut places: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for declaration in declarations() {
        places
            .entry((declaration.package, declaration.name))
            .or_default()
            .push(declaration.place);
    }
    places.retain(|_, places| places.len() > 1);
    assert!(places.is_empty(), "declared more than once: {places:#?}");
}

#[test]
fn few_visible_type_names_are_participles() {
    let visible: Vec<_> = declarations()
        .into_iter()
        .filter(|declaration| declaration.is_visible)
        .collect();
    let participles: Vec<_> = visible
        .iter()
        .filter(|declaration| is_participle(last_word(&declaration.name)))
        .map(|declaration| format!("{} ({})", declaration.name, declaration.place))
        .collect();
    assert!(visible.len() > 100, "only {} types found", visible.len());
    assert!(
        participles.len() * 100 < visible.len() * MAX_PARTICIPLES_PERCENT,
        "{} of {} type names are participles: {participles:#?}",
        participles.len(),
        visible.len()
    );
}

#[test]
fn no_type_takes_a_name_of_the_prelude() {
    let taken: Vec<_> = declarations()
        .into_iter()
        .filter(|declaration| PRELUDE.contains(&&*declaration.name))
        .map(|declaration| format!("{} ({})", declaration.name, declaration.place))
        .collect();
    assert!(taken.is_empty(), "names of the prelude: {taken:#?}");
}

#[test]
fn participles_are_distinguished_from_nouns() {
    for name in [
        "Kept", "Asked", "Refused", "NotGiven", "Reading", "Overrun", "Chained",
    ] {
        assert!(is_participle(last_word(name)), "{name}");
    }
    for name in [
        "RangeSeed",
        "Token",
        "Framing",
        "Ruling",
        "PurgeRecord",
        "Screen",
        "String",
    ] {
        assert!(!is_participle(last_word(name)), "{name}");
    }
}

#[test]
fn declarations_are_distinguished_from_uses_and_associated_types() {
    let name = |line| declared(line).map(|(name, is_visible)| (name.to_owned(), is_visible));
    assert_eq!(name("pub struct Store {"), Some(("Store".into(), true)));
    assert_eq!(name("    struct Case<'a> {"), Some(("Case".into(), false)));
    assert_eq!(
        name("pub(super) type Sample<V> ="),
        Some(("Sample".into(), true))
    );
    assert_eq!(name("    type Error = BodyError;"), None);
    assert_eq!(name("impl Store {"), None);
    assert_eq!(name("/// struct Store"), None);
}

/// Every type that the sources below `engine` declare, tests included.
fn declarations() -> Vec<Declaration> {
    let engine = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../engine"));
    let mut files = Vec::new();
    collect(engine, &mut files);
    let mut declarations = Vec::new();
    for file in files {
        let package = file
            .ancestors()
            .find(|folder| folder.join("Cargo.toml").is_file())
            .unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            if let Some((name, is_visible)) = declared(line) {
                declarations.push(Declaration {
                    name: name.to_owned(),
                    package: below(engine, package),
                    place: format!("{}:{}", below(engine, &file), number + 1),
                    is_visible,
                });
            }
        }
    }
    declarations
}

/// The name that a line declares, and whether other modules can see it. An indented `type` without
/// `pub` is an associated one.
fn declared(line: &str) -> Option<(&str, bool)> {
    let code = line.trim_start();
    let (code, is_visible) = match code.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => (rest.split_once(')')?.1, true),
        Some(rest) => (rest, true),
        None => (code, false),
    };
    let code = code.trim_start();
    let code = code.strip_prefix("unsafe ").unwrap_or(code);
    let (keyword, rest) = code.split_once(' ')?;
    let is_type = match keyword {
        "struct" | "enum" | "trait" | "union" => true,
        "type" => is_visible || !line.starts_with(' '),
        _ => false,
    };
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let name = &rest[..end];
    (is_type && name.starts_with(|c: char| c.is_ascii_uppercase())).then_some((name, is_visible))
}

/// `Sent` of `RequestSent`.
fn last_word(name: &str) -> &str {
    let start = name.rfind(|c: char| c.is_ascii_uppercase()).unwrap_or(0);
    &name[start..]
}

fn is_participle(word: &str) -> bool {
    let by_ending = ["ed", "en", "ing"].iter().any(|end| word.ends_with(end));
    IRREGULAR.contains(&word) || (by_ending && !NOUNS.contains(&word))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}

fn below(engine: &Path, path: &Path) -> String {
    path.strip_prefix(engine)
        .unwrap_or(path)
        .display()
        .to_string()
}
