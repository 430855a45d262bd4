use super::contract::{CONTRACT, contract};
use super::*;

#[test]
fn types_for_javascript_match_the_contract() {
    let types = typescript::declarations();
    for part in [
        "export type Device = \"desktop\" | \"mobile\" | \"tablet\" | \"tv\" | \"bot\" | \"unknown\";",
        "export interface Moment {\n  unixSecs: bigint;\n  year: number;\n  /** 1 to 12 */\n  month: number;",
        "  headers: [string, string][];",
        "  variantName?: string;",
        "export type QueryParameters =\n  | { tag: \"all\" }\n  | { tag: \"ignore\", val: string[] }\n  | { tag: \"only\", val: string[] };",
        "export type Configure = (settings: string) => Manifest;",
        "export type PlanWarm = (plan: string, popular: PopularPage[], now: Moment) => WarmUrl[];",
    ] {
        assert!(types.contains(part), "{part} is not in\n{types}");
    }
    assert!(
        !types.contains("unknown;") || !types.contains(": unknown"),
        "{types}"
    );
}

/// If this fails, make the bindings again with `wit-bindgen c sdk/wit/0.1 --world policy --out-dir
/// sdk/c`, and leave out the object file.
#[test]
fn bindings_for_c_match_the_contract() {
    use wit_parser::TypeDefKind;

    let header = include_str!("../../../../sdk/c/policy.h");
    let (resolve, _) = contract();
    let c_name = |name: &str| name.replace('-', "_");
    for (name, id) in resolve
        .interfaces
        .iter()
        .flat_map(|(_, interface)| &interface.types)
    {
        let ty = format!("tero_policy_types_{}", c_name(name));
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
            .contains("Cargo.toml, policy.js, policy.ts, app.py or policy.c"),
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
