//! The types hold all that the committed answers say, and the committed OpenAPI document is what
//! the types say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tero_admin_api::endpoints::{self, ALL};
use tero_admin_api::{Answer, Endpoint, LiveEvent, OPENAPI, Problem, openapi};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

/// The committed answers of this name: `NAME.json`, and `NAME-CASE.json`.
fn golden(name: &str) -> Vec<(String, String)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if stem.split('-').next() == Some(name) {
            files.push((stem, std::fs::read_to_string(path).unwrap()));
        }
    }
    files
}

/// Reads each committed answer as `A`, and writes it again.
#[track_caller]
fn check<A: Answer>(name: &str) {
    let files = golden(name);
    assert!(!files.is_empty(), "there is no golden/{name}.json");
    for (file, text) in files {
        let answer = A::read(text.as_bytes()).unwrap_or_else(|error| panic!("{file}: {error}"));
        let expected: Value = serde_json::from_str(&text).unwrap();
        let written: Value = serde_json::from_str(&answer.to_text()).unwrap();
        assert_eq!(written, expected, "{file}");
    }
}

#[track_caller]
fn check_endpoint<E: Endpoint>() -> &'static str {
    check::<E::Response>(E::NAME);
    E::NAME
}

#[test]
fn each_committed_answer_is_read_and_written_again_without_a_loss() {
    use endpoints::*;
    let mut checked: BTreeSet<&str> = [
        check_endpoint::<Activate>(),
        check_endpoint::<Canary>(),
        check_endpoint::<CancelWarm>(),
        check_endpoint::<Certificates>(),
        check_endpoint::<Cluster>(),
        check_endpoint::<DeleteWarm>(),
        check_endpoint::<Disks>(),
        check_endpoint::<DrainOrigin>(),
        check_endpoint::<EndMaintenance>(),
        check_endpoint::<Events>(),
        check_endpoint::<ExchangePurges>(),
        check_endpoint::<Explain>(),
        check_endpoint::<Health>(),
        check_endpoint::<LookUp>(),
        check_endpoint::<Maintenance>(),
        check_endpoint::<Origins>(),
        check_endpoint::<Policies>(),
        check_endpoint::<Policy>(),
        check_endpoint::<Purge>(),
        check_endpoint::<PushTable>(),
        check_endpoint::<PushVersion>(),
        check_endpoint::<Ready>(),
        check_endpoint::<Reload>(),
        check_endpoint::<Upgrade>(),
        check_endpoint::<RemovePolicy>(),
        check_endpoint::<RemoveTable>(),
        check_endpoint::<ResumeOrigin>(),
        check_endpoint::<RollBackTable>(),
        check_endpoint::<Rollback>(),
        check_endpoint::<Shadow>(),
        check_endpoint::<StartCanary>(),
        check_endpoint::<StartMaintenance>(),
        check_endpoint::<StartShadow>(),
        check_endpoint::<StartWarm>(),
        check_endpoint::<Stats>(),
        check_endpoint::<StopCanary>(),
        check_endpoint::<StopShadow>(),
        check_endpoint::<Table>(),
        check_endpoint::<Tables>(),
        check_endpoint::<WarmPlans>(),
        check_endpoint::<WarmRun>(),
        check_endpoint::<WarmRuns>(),
        check_endpoint::<Week>(),
    ]
    .into();
    // A stream, of which single lines are committed.
    check::<LiveEvent>(Live::NAME);
    checked.insert(Live::NAME);
    // Text that another format describes, and a file that is committed as a whole.
    checked.extend([Metrics::NAME, OpenApi::NAME]);
    assert_eq!(checked, ALL.iter().map(|endpoint| endpoint.name).collect());
    check::<Problem>("refusal");
    checked.insert("refusal");
    for entry in std::fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let name = file.split(['-', '.']).next().unwrap();
        assert!(checked.contains(name), "{file} is of no endpoint");
    }
}

/// With `TERO_WRITE_GOLDEN` set, the document is written instead.
#[test]
fn the_openapi_document_is_what_the_types_say() {
    let document = openapi::document();
    if std::env::var_os("TERO_WRITE_GOLDEN").is_some() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
        return std::fs::write(file, document).unwrap();
    }
    assert!(
        document == OPENAPI,
        "engine/admin-api/openapi.json is not what the types say; TERO_WRITE_GOLDEN=1 writes it:\n{document}"
    );
}

#[test]
fn the_openapi_document_has_every_endpoint_and_no_other() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let described: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, operations)| {
            let methods = operations.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let declared = ALL
        .iter()
        .map(|endpoint| format!("{} {}", endpoint.method, endpoint.path))
        .collect();
    assert_eq!(described, declared);
}

/// Whatever `$ref` names exists.
#[test]
fn references_lead_somewhere() {
    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| references(item, found)),
            Value::Object(members) => {
                found.extend(
                    members
                        .get("$ref")
                        .and_then(Value::as_str)
                        .map(str::to_owned),
                );
                members
                    .values()
                    .for_each(|member| references(member, found));
            }
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    assert!(found.len() > 20, "{found:?}");
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}

#[test]
fn exactly_one_target_of_a_purge_is_wanted() {
    let document: Value = serde_json::from_str(OPENAPI).unwrap();
    let purge = &document["components"]["schemas"]["PurgeRequest"];
    let targets: Vec<&str> = purge["oneOf"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| target["required"][0].as_str().unwrap())
        .collect();
    assert_eq!(targets, ["url", "tag", "prefix", "site"]);
    assert!(!OPENAPI.contains("anyOf"));
}
