//! No files of a crate stand in a circle: what one takes from another never leads back to it.
//!
//! The sources are read as text: `use` lines and paths that begin with `crate`, `super`, `self` or
//! a child module. A path counts for the file that defines what it names, so a re-export is looked
//! through. Tests within a file do not count, nor does what a file takes from the files below it: a
//! module may be made of its parts, and the parts may know the module's own types.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A module of a crate that has a file of its own.
#[derive(Debug, Default)]
struct Module {
    /// Its text without comments, texts and tests.
    code: String,
    /// Names that it hands on from elsewhere: `pub use path::Name`.
    reexports: BTreeMap<String, Vec<String>>,
}

/// The modules of a crate by their paths; the root is the empty path.
type Modules = BTreeMap<Vec<String>, Module>;

#[test]
fn files_of_a_crate_form_no_circle() {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine");
    let mut circles = Vec::new();
    for entry in std::fs::read_dir(engine).unwrap() {
        let folder = entry.unwrap().path();
        if folder.join("Cargo.toml").is_file() {
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            circles.extend(circles_of(&modules(&folder.join("src")), &name));
        }
    }
    circles.sort();
    assert!(
        circles.is_empty(),
        "files that use each other in a circle: {circles:#?}"
    );
}

#[test]
fn a_circle_through_a_reexport_is_found() {
    let modules = Modules::from([
        (vec![], module("mod a;\nmod b;\nmod c;\npub use b::B;")),
        (vec!["a".into()], module("use crate::B;\npub struct A(B);")),
        (
            vec!["b".into()],
            module("use super::c::{C, D};\npub struct B(C);"),
        ),
        (vec!["c".into()], module("pub struct C(crate::a::A);")),
    ]);
    let expected = vec![vec!["x/a.rs".to_owned(), "x/b.rs".into(), "x/c.rs".into()]];
    assert_eq!(circles_of(&modules, "x"), expected);
}

#[test]
fn tests_comments_and_texts_form_no_circle() {
    let modules = Modules::from([
        (vec![], module("mod a;\nmod b;")),
        (
            vec!["a".into()],
            module(
                "// use crate::b::B;\nconst T: &str = \"crate::b::B\";\n#[cfg(test)]\nmod tests {\n    use crate::b::B;\n}",
            ),
        ),
        (vec!["b".into()], module("use crate::a::T;")),
    ]);
    assert_eq!(circles_of(&modules, "x"), Vec::<Vec<String>>::new());
}

/// The modules below `folder`, but for those of tests.
fn modules(folder: &Path) -> Modules {
    let mut modules = Modules::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(inner) = folders.pop() {
        for entry in std::fs::read_dir(inner).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let module_path = module_path(&path, folder);
                let is_test = |name: &String| name == "tests" || name == "testing";
                if !module_path.iter().any(is_test) && !path.ends_with("main.rs") {
                    let text = std::fs::read_to_string(&path).unwrap();
                    modules.insert(module_path, module(&text));
                }
            }
        }
    }
    modules
}

fn module_path(file: &Path, folder: &Path) -> Vec<String> {
    let below: PathBuf = file.strip_prefix(folder).unwrap().with_extension("");
    let names = below.iter().map(|name| name.to_str().unwrap().to_owned());
    let names: Vec<String> = names.collect();
    if names == ["lib"] { Vec::new() } else { names }
}

fn module(text: &str) -> Module {
    let code = code_of(text);
    let mut reexports = BTreeMap::new();
    for (line, is_public) in use_lines(&code) {
        if is_public {
            for (name, path) in leaves(&line) {
                reexports.insert(name, path);
            }
        }
    }
    Module { code, reexports }
}

/// The text without comments, without what stands in quotes, and up to the tests.
fn code_of(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    let mut code = String::new();
    for line in text.lines() {
        let line = line.split("//").next().unwrap_or(line);
        for part in line.split('"').step_by(2) {
            code.push_str(part);
        }
        code.push('\n');
    }
    code
}

/// The trees of all `use` items, and whether each hands on what it names.
fn use_lines(code: &str) -> Vec<(String, bool)> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(at) = code[from..].find("use ").map(|at| at + from) {
        from = at + 4;
        let line_start = code[..at].rfind('\n').map_or(0, |end| end + 1);
        let before = code[line_start..at].trim();
        let is_item = before.is_empty() || (before.starts_with("pub") && !before.contains(';'));
        let Some(end) = code[from..].find(';') else {
            break;
        };
        if is_item {
            let tree: String = code[from..from + end]
                .split_whitespace()
                .collect::<Vec<_>>()
                .join(" ");
            found.push((tree, !before.is_empty()));
        }
    }
    found
}

/// The single imports of a `use` tree: the name that each brings, and its whole path.
fn leaves(tree: &str) -> Vec<(String, Vec<String>)> {
    let tree = tree.trim();
    let Some((head, group)) = tree.split_once('{') else {
        let (path, alias) = tree
            .split_once(" as ")
            .map_or((tree, None), |(path, alias)| (path, Some(alias)));
        let path: Vec<String> = path
            .split("::")
            .map(|name| name.trim().to_owned())
            .collect();
        let path = match path.split_last() {
            Some((last, rest)) if last == "self" && !rest.is_empty() => rest.to_vec(),
            _ => path,
        };
        let name = alias
            .unwrap_or(path.last().map_or("", String::as_str))
            .to_owned();
        return vec![(name, path)];
    };
    let group = group.trim().strip_suffix('}').unwrap_or(group);
    members(group)
        .into_iter()
        .flat_map(|member| leaves(&format!("{}{}", head.trim(), member.trim())))
        .collect()
}

/// The members of a group, split at its own commas only.
fn members(group: &str) -> Vec<String> {
    let mut members = vec![String::new()];
    let mut depth = 0_usize;
    for char in group.chars() {
        match char {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                members.push(String::new());
                continue;
            }
            _ => {}
        }
        members.last_mut().unwrap().push(char);
    }
    members.retain(|member| !member.trim().is_empty());
    members
}

/// Every path of a file that may lead to another file of its crate.
fn paths(module: &Module) -> Vec<Vec<String>> {
    let mut paths: Vec<Vec<String>> = use_lines(&module.code)
        .iter()
        .flat_map(|(tree, _)| leaves(tree))
        .map(|(_, path)| path)
        .collect();
    let is_of_name = |char: char| char.is_alphanumeric() || char == '_' || char == ':';
    for word in module.code.split(|char| !is_of_name(char)) {
        if word.contains("::") {
            let path = word.split("::").filter(|name| !name.is_empty());
            paths.push(path.map(str::to_owned).collect());
        }
    }
    paths
}

/// The file that defines what `path`, written in `from`, names.
fn definer(
    modules: &Modules,
    from: &[String],
    path: &[String],
    depth: usize,
) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    let mut at = match first.as_str() {
        "crate" => Vec::new(),
        "self" => from.to_vec(),
        "super" => from.split_last()?.1.to_vec(),
        child => {
            let child: Vec<_> = from.iter().cloned().chain([child.to_owned()]).collect();
            modules.contains_key(&child).then_some(child)?
        }
    };
    let mut rest = rest;
    while let Some((name, after)) = rest.split_first() {
        if name == "super" {
            at.pop();
        } else {
            let child: Vec<_> = at.iter().cloned().chain([name.clone()]).collect();
            if modules.contains_key(&child) {
                at = child;
            } else if let Some(target) = modules.get(&at)?.reexports.get(name)
                && depth < 8
            {
                let whole: Vec<_> = target.iter().chain(after).cloned().collect();
                return definer(modules, &at, &whole, depth + 1).or(Some(at));
            } else {
                break;
            }
        }
        rest = after;
    }
    // A path that ends at a module names the module, and what is taken from it is written out later.
    Some(at)
}

fn circles_of(modules: &Modules, name: &str) -> Vec<Vec<String>> {
    let arrows: BTreeMap<&Vec<String>, BTreeSet<Vec<String>>> = modules
        .iter()
        .map(|(from, module)| {
            let to = paths(module).into_iter();
            let to = to.filter_map(|path| definer(modules, from, &path, 0));
            (from, to.filter(|to| !to.starts_with(from)).collect())
        })
        .collect();
    let reach = |start: &Vec<String>| {
        let mut seen = BTreeSet::new();
        let mut open: Vec<Vec<String>> = arrows[start].iter().cloned().collect();
        while let Some(next) = open.pop() {
            if seen.insert(next.clone()) {
                open.extend(arrows.get(&next).into_iter().flatten().cloned());
            }
        }
        seen
    };
    let reached: BTreeMap<_, _> = modules.keys().map(|from| (from, reach(from))).collect();
    let mut circles = BTreeSet::new();
    for from in modules.keys().filter(|from| reached[*from].contains(*from)) {
        let together = modules
            .keys()
            .filter(|to| reached[from].contains(*to) && reached[*to].contains(from));
        let files: Vec<String> = together.map(|path| file(name, path)).collect();
        circles.insert(files);
    }
    circles.into_iter().collect()
}

fn file(name: &str, path: &[String]) -> String {
    match path {
        [] => format!("{name}/lib.rs"),
        path => format!("{name}/{}.rs", path.join("/")),
    }
}
