use super::contract::{CONTRACT, contract};
use super::*;

/// A name of the contract in camel case.
fn camel(name: &str) -> String {
    let mut parts = name.split('-');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |camel, part| {
        camel + &part[..1].to_ascii_uppercase() + &part[1..]
    })
}

#[test]
fn sdks_have_every_field_and_word_of_the_contract() {
    use wit_parser::TypeDefKind;

    let snake = |name: &str| name.replace('-', "_");
    let go = |name: &str| {
        // Go writes initialisms in capitals.
        let name = name
            .replace("ttl", "TTL")
            .replace("utc", "UTC")
            .replace("url", "URL");
        let name = name.replace("ipv", "IPv");
        let camel = camel(&name);
        camel[..1].to_ascii_uppercase() + &camel[1..]
    };
    let [_, asc] = contract::ASSEMBLYSCRIPT.map(|(_, text)| text);
    assert!(asc.contains("policy.onRequest"));
    let python = include_str!("../../../../sdk/python/src/tero_policy/__init__.py");
    let sdks: [(&str, &str, &dyn Fn(&str) -> String); 5] = [
        ("javascript", contract::TYPES.1, &camel),
        ("python", python, &snake),
        ("go", contract::GO.1, &go),
        ("zig", contract::ZIG.1, &snake),
        ("assemblyscript", contract::ASSEMBLYSCRIPT[0].1, &camel),
    ];
    let has = |text: &str, word: &str| {
        let is_of_word = |char: char| char.is_ascii_alphanumeric() || matches!(char, '_' | '-');
        text.split(|char| !is_of_word(char))
            .any(|part| part == word)
    };
    let (resolve, _) = contract();
    for (_, interface) in resolve.interfaces.iter() {
        for (name, id) in &interface.types {
            let fields: Vec<&str> = match &resolve.types[*id].kind {
                // SDKs hide what has another shape in their languages.
                _ if matches!(
                    name.as_str(),
                    "span" | "edit" | "key-part" | "query-rule" | "row"
                ) =>
                {
                    continue;
                }
                TypeDefKind::Record(record) => {
                    record.fields.iter().map(|field| &*field.name).collect()
                }
                _ => continue,
            };
            for field in fields
                .into_iter()
                .filter(|field| !matches!(*field, "hooks" | "expiry"))
            {
                for (language, text, written) in &sdks {
                    let found = written(field);
                    assert!(has(text, &found), "{language} lacks `{found}` of {name}");
                }
            }
        }
    }
}

/// If this fails, make the bindings again with `wit-bindgen c sdk/wit/0.2 --world policy
/// --out-dir sdk/c`, and leave out the object file.
#[test]
fn bindings_for_c_match_the_contract() {
    use wit_parser::TypeDefKind;

    let header = include_str!("../../../../sdk/c/policy.h");
    let (resolve, _) = contract();
    let c_name = |name: &str| name.replace('-', "_");
    for (place, name, id) in resolve.interfaces.iter().flat_map(|(_, interface)| {
        let place = interface.name.as_deref().unwrap_or_default();
        interface
            .types
            .iter()
            .map(move |(name, id)| (place, name, id))
    }) {
        let ty = format!("tero_policy_{place}_{}", c_name(name));
        match &resolve.types[*id].kind {
            TypeDefKind::Record(record) => {
                let fields = record
                    .fields
                    .iter()
                    .map(|field| c_name(&field.name))
                    .collect::<Vec<_>>();
                let body = header
                    .split(&format!("typedef struct {ty}_t {{\n"))
                    .nth(1)
                    .and_then(|rest| rest.split("\n}").next());
                let lines = body
                    .unwrap_or_default()
                    .lines()
                    .map(str::trim)
                    .filter(|line| !line.starts_with("//"));
                let found = lines
                    .filter_map(|line| line.strip_suffix(';')?.split(' ').next_back())
                    .collect::<Vec<_>>();
                assert_eq!(found, fields, "{name}");
            }
            TypeDefKind::Enum(cases) => {
                for (number, case) in cases.cases.iter().enumerate() {
                    let define = format!("#define {}_{} {number}\n", ty, c_name(&case.name))
                        .to_uppercase()
                        .replace("#DEFINE", "#define");
                    assert!(header.contains(&define), "{define}");
                }
            }
            _ => {}
        }
    }
}

#[test]
fn projects_have_the_contract_cases_and_a_readme_with_the_next_commands() {
    let folder = tempfile::tempdir().unwrap();
    for language in Language::ALL {
        let project = folder.path().join(format!("{language:?}"));
        let created = create(&project, "my-shop", language, None).unwrap();
        let read = |name: &str| std::fs::read_to_string(project.join(name)).unwrap();
        assert_eq!(read("wit/policy.wit"), CONTRACT);
        assert!(read("cases.toml").contains("module = \"policy.wasm\""));
        let readme = read("README.md");
        assert!(
            readme.starts_with("# my-shop\n")
                && created.next.iter().all(|line| readme.contains(line)),
            "{readme}"
        );
        assert!(readme.contains(language.marker()) || language == Language::Rust);
        assert_eq!(Language::of(&project), Some(language));
        let again = create(&project, "my-shop", language, None).unwrap_err();
        assert!(matches!(again, ProjectError::Exists(_)), "{again}");
    }
    assert!(
        std::fs::read_to_string(folder.path().join("C/bindings/policy.h"))
            .unwrap()
            .contains("policy_response_decision_t")
    );
}

#[test]
fn errors_name_what_a_project_lacks() {
    let folder = tempfile::tempdir().unwrap();
    let no_sdk = create(
        &folder.path().join("x"),
        "x",
        Language::Rust,
        Some(folder.path()),
    )
    .unwrap_err();
    assert!(
        no_sdk.to_string().contains("--sdk") && !folder.path().join("x").exists(),
        "{no_sdk}"
    );
    let no_project = build(folder.path()).unwrap_err();
    assert!(
        no_project
            .to_string()
            .contains("policy.c, policy.go, policy.zig or assembly/policy.ts"),
        "{no_project}"
    );
    let project = folder.path().join("js");
    create(&project, "js", Language::Javascript, None).unwrap();
    // node may be installed; componentize-js is not.
    let missing = build(&project).unwrap_err().to_string();
    assert!(
        missing.contains("npm install") || missing.contains("install Node.js"),
        "{missing}"
    );
}
