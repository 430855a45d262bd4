//! Every answer of the admin interface is the committed one, `engine/admin-api/golden/NAME.json`,
//! apart from its wording, and from what differs from one build or run to the next: digests, sizes,
//! times, paths.
//!
//! With `TERO_WRITE_GOLDEN` set, the files are written instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tero_config::Config;
use tero_policy_host::{Package, builtin};
use tero_time::clock::Clock;

use tero_tests::{
    Answer, Client, Edge, Gate, Origin, Reply, Request, compiler, eventually, folder, get, guests,
};

use crate::warming;

/// Compares answers with the committed ones.
#[derive(Default)]
struct Golden {
    /// Texts that differ from run to run, and what stands for them.
    stands_for: BTreeMap<String, String>,
}

impl Golden {
    fn with(path: &Path, shown: &str) -> Golden {
        Golden {
            stands_for: BTreeMap::from([(path.display().to_string(), shown.to_owned())]),
        }
    }

    #[track_caller]
    fn check(&mut self, name: &str, status: u16, answer: &Answer) -> Value {
        assert_eq!(answer.status, status, "{name}: {answer:?}");
        assert_eq!(
            answer.header("content-type").as_deref(),
            Some("application/json"),
            "{name}"
        );
        self.check_line(name, answer)
    }

    #[track_caller]
    fn check_line(&mut self, name: &str, answer: &Answer) -> Value {
        let value = answer.json();
        let shown = self.steady(value.clone());
        let file = golden_folder().join(format!("{name}.json"));
        if std::env::var_os("TERO_WRITE_GOLDEN").is_some() {
            let text = serde_json::to_string_pretty(&shown).unwrap();
            std::fs::write(&file, format!("{text}\n")).unwrap();
        }
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let golden: Value = serde_json::from_str(&text).unwrap();
        assert!(
            without_wording(shown.clone()) == without_wording(golden),
            "{name} is not as in {}:\n{shown:#}",
            file.display()
        );
        value
    }

    /// The answer without what differs from one build or run to the next.
    fn steady(&mut self, value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.steady_text(text)),
            Value::Array(items) => items.into_iter().map(|item| self.steady(item)).collect(),
            Value::Object(members) => {
                let has = |key: &str| members.contains_key(key);
                let is_timed = has("trap");
                let is_sized = has("evictions")
                    || has("misses")
                    || has("was_known")
                    || has("pushed_unix_secs");
                let steady = |(key, value): (String, Value)| {
                    let value = match key.as_str() {
                        "seconds" if is_timed && value != json!(0.0) => json!(0.25),
                        "bytes" | "fill_bytes" | "newcomer_bytes"
                            if is_sized && value != json!(0) =>
                        {
                            json!(4_096)
                        }
                        "micros" => json!(12.5),
                        "fuel" => json!(1_000),
                        _ => self.steady(value),
                    };
                    (key, value)
                };
                Value::Object(members.into_iter().map(steady).collect())
            }
            other => other,
        }
    }

    fn steady_text(&mut self, mut text: String) -> String {
        for digest in digests(&text) {
            let count = self.stands_for.len() + 1;
            self.stands_for
                .entry(digest)
                .or_insert_with(|| format!("{count:064x}"));
        }
        for (found, shown) in &self.stands_for {
            text = text.replace(found, shown);
        }
        text
    }
}

/// The answer without its sentences, which other tests look at.
fn without_wording(value: Value) -> Value {
    const SENTENCES: [&str; 7] = [
        "cure",
        "error",
        "not_asked",
        "problem",
        "reason",
        "text",
        "why",
    ];
    match value {
        Value::Array(items) => items.into_iter().map(without_wording).collect(),
        Value::Object(members) => {
            let kept = members.into_iter().map(|(key, value)| {
                let is_sentence = value.is_string() && SENTENCES.contains(&&*key);
                let value = if is_sentence {
                    json!("…")
                } else {
                    without_wording(value)
                };
                (key, value)
            });
            Value::Object(kept.collect())
        }
        other => other,
    }
}

fn golden_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/admin-api/golden")
}

/// The SHA-256 digests in a text, those that stand for others aside.
fn digests(text: &str) -> Vec<String> {
    text.split(|char: char| !char.is_ascii_hexdigit())
        .filter(|word| word.len() == 64 && !word.starts_with("00000000"))
        .map(str::to_owned)
        .collect()
}

fn post(edge: &Edge, target: &str, content: Value) -> Answer {
    edge.admin_post(target, &content.to_string())
}

fn origin() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(30, &asked.target));
    origin
}

/// Rules that give every page this lifetime and a variant for phones.
fn rules(ttl: u64) -> Value {
    json!({ "version": 3, "variants": { "phone": { "devices": ["mobile"] } }, "rules": [{ "name": "all", "match": ["/*"], "ttl": ttl, "tags": ["pages"] }] })
}

fn version(settings: &Value, cases: Option<&str>) -> Vec<u8> {
    Package {
        module: builtin("json-rules").unwrap().into(),
        settings: Some(settings.to_string().into()),
        cases: cases.map(|cases| cases.to_owned().into()),
    }
    .to_bytes()
}

/// An edge whose site asks the policy `rules`.
fn ruled(origin: &Origin, state: &Path) -> Edge {
    let settings = "[policy.settings]\nversion = 3\nrules = [{ name = \"zero\", match = [\"/*\"], ttl = 60 }]\n\
                    [policy.settings.variants.phone]\ndevices = [\"mobile\"]";
    Edge::before(origin)
        .state_dir(state)
        .policy("rules", "builtin:json-rules", settings)
        .start()
}

fn push(edge: &Edge, content: &[u8]) -> Answer {
    edge.admin(&Request::new("POST", "/policies/rules/versions").body(content))
}

const PHONE: &str = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1";

#[test]
fn answers_to_probes_and_purges() {
    let origin = origin();
    let edge = Edge::before(&origin)
        .section("[[warm]]\nname = \"plan\"\nsite = \"site\"\nurls = [\"/a\"]")
        .start();
    let mut golden = Golden::default();
    golden.check("health", 200, &edge.admin_get("/health"));
    golden.check("ready", 200, &edge.admin_get("/ready"));
    golden.check(
        "refusal-not-ready",
        503,
        &edge.admin_get("/ready?plan=plan"),
    );
    edge.get("/x");
    let purge = json!({ "prefix": "http://www.example/", "soft": true });
    golden.check("purge", 200, &post(&edge, "/purge", purge));
    let begin = json!({ "message": "Back at noon.", "until": "2026-11-24T12:00:00-03:00", "exempt": ["10.0.0.0/8"] });
    let begun = post(&edge, "/maintenance/site", begin);
    golden.check("start_maintenance", 200, &begun);
    golden.check("maintenance", 200, &edge.admin_get("/maintenance"));
    let end = Request::new("DELETE", "/maintenance/site");
    golden.check("end_maintenance", 200, &edge.admin(&end));
    let several = json!({ "tag": "a", "site": "site" });
    golden.check("refusal-bad", 400, &post(&edge, "/purge", several));
    let unknown = json!({ "site": "other" });
    golden.check("refusal-unknown", 404, &post(&edge, "/purge", unknown));
    golden.check("refusal-method", 405, &edge.admin_get("/purge"));
    let token = Edge::before(&origin)
        .admin("token = \"a-token-for-the-tests\"")
        .start();
    golden.check("refusal-token", 401, &token.admin_get("/stats"));
}

#[test]
fn answers_about_traffic_keep_their_shape() {
    let (origin, state) = (origin(), folder());
    let edge = ruled(&origin, state.path());
    let mut golden = Golden::default();
    golden.check("stats-empty", 200, &edge.admin_get("/stats"));
    edge.get("/x");
    edge.get("/x");
    edge.send(&get("/x").header("User-Agent", PHONE));
    edge.advance_secs(3_600);
    edge.get("/x");
    edge.send(&Request::new("OPTIONS", "/x"));
    let entries = || edge.admin_get("/stats").json()["decision_cache"]["entries"].clone();
    eventually("decisions are remembered", || entries() == 3);
    golden.check("stats", 200, &edge.admin_get("/stats"));
    golden.check("week", 200, &edge.admin_get("/stats/week"));
}

#[test]
fn events_keep_their_shape() {
    let origin = origin();
    let edge = Edge::before(&origin).start();
    assert_ne!(edge.admin_post("/reload", "").status, 200);
    let events = || edge.admin_get("/events");
    edge.advance_until(30, || events().json()["events"][0].is_object());
    let mut answer = events();
    let mut shown = answer.json();
    for name in ["began_unix_secs", "told_unix_secs"] {
        shown["events"][0][name] = json!(1_795_525_205);
    }
    answer.body = shown.to_string().into_bytes();
    Golden::default().check("events", 200, &answer);
}

#[test]
fn lines_of_the_stream_keep_their_shape() {
    let (origin, state) = (origin(), folder());
    let edge = ruled(&origin, state.path());
    let mut golden = Golden::default();
    edge.get("/x");
    edge.get("/x");
    for query in ["?requests=0", "?figures=false"] {
        let mut client = Client::connect(edge.admin_address());
        client.start(&get(format!("/live{query}")).host("localhost"));
        let head = client.head();
        if query == "?figures=false" {
            edge.get("/x");
        }
        let mut lines = Vec::new();
        while !lines.contains(&b'\n') {
            edge.clock().advance(std::time::Duration::from_millis(250));
            lines.extend(client.piece().unwrap().unwrap());
        }
        let mut line: Value =
            serde_json::from_slice(lines.split(|byte| *byte == b'\n').next().unwrap()).unwrap();
        let name = format!("live-{}", line["event"].as_str().unwrap());
        for (name, steady) in [
            ("resident_bytes", json!(1_000)),
            ("cpu_seconds", json!(12.5)),
            ("at_unix_ms", json!(1_000)),
            ("connections", json!(1_000)),
        ] {
            if let Some(value) = line.get_mut(name) {
                *value = steady;
            }
        }
        let answer = Answer {
            body: line.to_string().into_bytes(),
            ..head.clone()
        };
        golden.check_line(&name, &answer);
    }
}

#[test]
fn answers_about_origins_keep_their_shape() {
    let edge = Edge::before_hop("name = \"app-1\"\nurl = \"http://127.0.0.1:1\"").start();
    let mut golden = Golden::default();
    golden.check("origins", 200, &edge.admin_get("/origins"));
    let named = json!({"site": "site", "origin": "app-1"});
    let drained = post(&edge, "/origins/drain", named.clone());
    golden.check("drain_origin", 200, &drained);
    let resumed = post(&edge, "/origins/resume", named);
    golden.check("resume_origin", 200, &resumed);
}

#[test]
fn answers_about_policies_keep_their_shape() {
    let (origin, state) = (origin(), folder());
    let edge = ruled(&origin, state.path());
    let mut golden = Golden::default();
    golden.check(
        "policies-empty",
        200,
        &Edge::before(&origin).start().admin_get("/policies"),
    );
    edge.get("/x");
    let case = "module = \"builtin:json-rules\"\n[[case]]\nname = \"a page\"\nurl = \"/x\"\non_response = { ttl = \"10min\" }\n";
    let one = version(&rules(600), Some(case));
    let pushed = golden.check("push_version", 201, &push(&edge, &one));
    golden.check("push_version-again", 201, &push(&edge, &one));
    let bare = builtin("json-rules").unwrap();
    golden.check("push_version-bare", 201, &push(&edge, bare));
    let bad = version(&rules(60), Some(case));
    golden.check("refusal-cases", 422, &push(&edge, &bad));
    let bad = version(&rules(60), Some("[[case]]\nnmae = \"a page\""));
    golden.check("refusal-case-file", 422, &push(&edge, &bad));
    edge.advance_secs(5);
    let digest = json!({ "digest": pushed["version"] });
    let answer = post(&edge, "/policies/rules/activate", digest.clone());
    golden.check("activate", 200, &answer);
    golden.check("policies", 200, &edge.admin_get("/policies"));
    let answer = edge.admin_post("/policies/rules/rollback", "");
    golden.check("rollback", 200, &answer);
    let answer = edge.admin_post("/policies/rules/rollback", "");
    golden.check("refusal-conflict", 409, &answer);
    golden.check("policy", 200, &edge.admin_get("/policies/rules"));
}

#[test]
fn answers_about_tables_keep_their_shape() {
    let (origin, state) = (origin(), folder());
    let file = state.path().join("prices.csv");
    std::fs::write(&file, "/a,1\n/b,2\n").unwrap();
    let table = format!("[[table]]\nname = \"prices\"\nfile = {file:?}\n");
    let edge = Edge::before(&origin)
        .state_dir(&state.path().join("state"))
        .section(&table)
        .start();
    let mut golden = Golden::default();
    golden.check("table-configured", 200, &edge.admin_get("/data/prices"));
    let push =
        |target: &str, content: &str| edge.admin(&Request::new("POST", target).body(content));
    let answer = push("/data/prices/versions", "{\"/a\": 3}");
    golden.check("push_table", 201, &answer);
    let answer = push(
        "/data/clients/versions?kind=networks&format=csv",
        "10.0.0.0/8,us\n",
    );
    golden.check("push_table-networks", 201, &answer);
    golden.check("tables", 200, &edge.admin_get("/data"));
    let answer = post(
        &edge,
        "/data/clients/look-up",
        json!({ "prefix": "10.1.2.3" }),
    );
    golden.check("look_up", 200, &answer);
    let answer = post(&edge, "/data/prices/look-up", json!({ "key": "/b" }));
    golden.check("look_up-nothing", 200, &answer);
    let answer = push("/data/prices/versions", "/a,1\n/a,2\n");
    golden.check("refusal-table", 422, &answer);
    let answer = edge.admin_post("/data/prices/rollback", "");
    golden.check("roll_back_table", 200, &answer);
    golden.check("table", 200, &edge.admin_get("/data/prices"));
    let remove = |name: &str| edge.admin(&Request::new("DELETE", format!("/data/{name}")));
    golden.check("remove_table", 200, &remove("prices"));
    golden.check("remove_table-whole", 200, &remove("clients"));
}

#[test]
fn a_policy_that_is_switched_off_is_reported_in_the_same_shape() {
    let origin = origin();
    let module = guests::misbehaving_path().display().to_string();
    let settings = "settings = { on_request = \"trap\", zone = \"UTC\" }\nlimits = { deadline = \"5s\", max_failures = 1 }";
    let edge = Edge::before(&origin)
        .policy("bad", &module, settings)
        .start();
    edge.get("/x");
    Golden::default().check("policy-switched_off", 200, &edge.admin_get("/policies/bad"));
}

#[test]
fn answers_about_trials_keep_their_shape() {
    let (origin, state) = (Origin::start(), folder());
    // Each response has a lifetime of its own, so that the policies are asked about each.
    origin.otherwise(|asked| {
        let page = asked.path()[1..].parse().map_or(0, |page: u32| page + 1);
        Reply::ok("x").header("Cache-Control", format!("max-age={}", 1_000 + page))
    });
    let edge = ruled(&origin, state.path());
    let mut golden = Golden::default();
    let pushed = push(&edge, &version(&rules(600), None)).json();
    let digest = &pushed["version"];
    let start = json!({ "digest": digest, "sample": "100%" });
    let answer = post(&edge, "/policies/rules/shadow", start);
    golden.check("start_shadow", 200, &answer);
    edge.get("/x");
    edge.get("/x");
    eventually("the shadow is asked", || {
        let shadow = edge.admin_get("/policies/rules/shadow").json();
        shadow["requests"] == 2 && shadow["responses"] == 1
    });
    golden.check("shadow", 200, &edge.admin_get("/policies/rules/shadow"));
    golden.check("policy-in_shadow", 200, &edge.admin_get("/policies/rules"));
    let answer = edge.admin_post("/policies/rules/shadow/stop", "");
    golden.check("stop_shadow", 200, &answer);

    let guard = json!({ "min_requests": 1_000, "failure_points": 2.5 });
    let start = json!({ "digest": digest, "share": "50%", "guard": guard });
    let answer = post(&edge, "/policies/rules/canary", start);
    golden.check("start_canary", 200, &answer);
    golden.check(
        "canary-begun",
        200,
        &edge.admin_get("/policies/rules/canary"),
    );
    // Which pages are the canary's depends on its digest.
    let mut wanted = BTreeMap::from([(false, 9), (true, 11)]);
    for page in 0.. {
        let url = format!("/{page}");
        let explained = post(&edge, "/explain", json!({ "url": url })).json();
        let is_canary = explained["policies"][0]["canary"].as_bool().unwrap();
        let left = wanted.get_mut(&is_canary).unwrap();
        if *left > 0 {
            *left -= 1;
            edge.get(&url);
            edge.get(&url);
        }
        if wanted.values().all(|left| *left == 0) {
            break;
        }
    }
    golden.check("canary", 200, &edge.admin_get("/policies/rules/canary"));
    golden.check(
        "policy-with_canary",
        200,
        &edge.admin_get("/policies/rules"),
    );
    let answer = edge.admin_post("/policies/rules/canary/stop", "");
    golden.check("stop_canary", 200, &answer);
    post(
        &edge,
        "/policies/rules/canary",
        json!({ "digest": digest, "share": "10%" }),
    );
    let answer = edge.admin_post("/policies/rules/rollback", "");
    golden.check("rollback-of_canary", 200, &answer);
}

#[test]
fn a_canary_that_was_rolled_back_is_reported_in_the_same_shape() {
    let (origin, state) = (origin(), folder());
    let edge = ruled(&origin, state.path());
    let never = json!({ "rules": [{ "name": "never", "match": ["/*"], "cache": "never" }] });
    let pushed = push(&edge, &version(&never, None)).json();
    let start =
        json!({ "digest": pushed["version"], "share": "50%", "guard": { "min_requests": 20 } });
    post(&edge, "/policies/rules/canary", start);
    let mut client = edge.client();
    eventually("the canary is rolled back", || {
        for page in 0..20 {
            client.send(&get(format!("/{page}")));
        }
        edge.admin_get("/policies/rules").json()["canary"] == Value::Null
    });
    // How many requests there were by then differs.
    let reason = edge.admin_get("/policies/rules").json()["rolled_back"]["reason"].clone();
    let mut golden = Golden::default();
    golden.stands_for.insert(
        reason.as_str().unwrap().to_owned(),
        "the canary went to the origin more often".to_owned(),
    );
    golden.check(
        "canary-rolled_back",
        200,
        &edge.admin_get("/policies/rules/canary"),
    );
}

#[test]
fn explanations_keep_their_shape() {
    let origin = origin();
    let settings = "[policy.settings]\nversion = 3\nkey = { ignore_query = [\"utm_*\"] }\n\
                    rules = [{ name = \"never\", match = [\"/never\"], cache = \"never\" }, \
                    { name = \"all\", match = [\"/*\"], ttl = 600, stale_while_revalidate = 10, stale_if_error = 20, tags = [\"pages\"] }]\n\
                    [policy.settings.variants.phone]\ndevices = [\"mobile\"]";
    let bad = "settings = { on_request = \"trap\", on_response = \"huge-ttl\" }\nlimits = { deadline = \"5s\", max_failures = 1, rest = \"1min\" }";
    let edge = Edge::before(&origin)
        .policy("rules", "builtin:json-rules", settings)
        .policy(
            "hours",
            "builtin:business-hours",
            "settings = { zone = \"America/Argentina/Buenos_Aires\", open = \"09:00\", close = \"18:00\" }",
        )
        .policy("bad", &guests::misbehaving_path().display().to_string(), bad)
        .start();
    let mut golden = Golden::default();
    let explain = |question: Value| post(&edge, "/explain", question);
    let answer = explain(json!({ "url": "/x?utm_source=a", "at": "2026-11-24T17:59" }));
    golden.check("explain-miss", 200, &answer);
    edge.get("/x");
    edge.advance_secs(5);
    let url = "http://www.example/x";
    golden.check("explain-hit", 200, &explain(json!({ "url": url })));
    let answer = explain(json!({ "url": url, "method": "POST", "device": "mobile" }));
    golden.check("explain-pass", 200, &answer);
    let fields = json!({ "set-cookie": ["a=b", "c=d"], "cache-control": "max-age=5" });
    let given = json!({ "status": 203, "headers": fields });
    let answer = explain(json!({ "url": "/never", "response": given }));
    golden.check("explain-refused", 200, &answer);
    // The visitor's request was one too many for the policy that fails.
    let answer = explain(json!({ "url": "/a b" }));
    golden.check("refusal-url", 400, &answer);
}

#[test]
fn answers_about_plans_and_runs_keep_their_shape() {
    let origin = origin();
    let gate = Gate::new();
    origin.on("/held", Reply::fresh(3_600, "a").behind(&gate));
    origin.on("/missing", Reply::status(404));
    origin.on(
        "/private",
        Reply::ok("x").header("Cache-Control", "private"),
    );
    let plan =
        |name: &str, keys: &str| format!("[[warm]]\nname = \"{name}\"\nsite = \"site\"\n{keys}\n");
    let zone = "zone = \"America/Argentina/Buenos_Aires\"";
    let edge = Edge::before(&origin)
        .section(&plan("plan", &format!("urls = [\"/a\", \"/missing\", \"/private\"]\nwindow = \"1h\"\nretries = 0\nschedule = \"0 9 * * *\"\n{zone}")))
        .section(&plan("held", "urls = [\"/held\"]\nconcurrency = 1"))
        .start();
    let mut golden = Golden::default();
    golden.check("warm_runs-empty", 200, &edge.admin_get("/warm/runs"));
    let answer = edge.admin_post("/warm/plan?dry_run=true", "");
    golden.check("start_warm", 202, &answer);
    warming::ended(&edge, 1);
    golden.check("warm_run-dry", 200, &edge.admin_get("/warm/runs/1"));
    edge.admin_post("/warm/plan", "");
    warming::ended(&edge, 2);
    golden.check("warm_run", 200, &edge.admin_get("/warm/runs/2"));
    edge.get("/a");
    edge.advance_secs(3_600);
    eventually("the window ends", || {
        edge.admin_get("/warm/runs/2").json()["worth"].is_object()
    });
    edge.admin_post("/warm/held", "");
    origin.wait_for("/held", 1);
    golden.check("warm_plans", 200, &edge.admin_get("/warm"));
    let answer = edge.admin_post("/warm/held/cancel", "");
    golden.check("cancel_warm", 200, &answer);
    warming::ended(&edge, 3);
    edge.admin_post("/warm/held", "");
    eventually("it fetches", || {
        edge.admin_get("/warm/runs/4").json()["state"] == "fetching"
    });
    let answer = edge.admin(&Request::new("DELETE", "/warm/held"));
    golden.check("delete_warm", 200, &answer);
    warming::ended(&edge, 4);
    gate.open();
    golden.check("warm_runs", 200, &edge.admin_get("/warm/runs"));
}

#[test]
fn answers_about_reloads_keep_their_shape() {
    let (origin, folder) = (origin(), folder());
    let file = folder.path().join("tero.toml");
    let text = Edge::before(&origin).to_toml();
    std::fs::write(&file, &text).unwrap();
    let server = tero::serve(Config::load(&file).unwrap(), Clock::real(), &compiler()).unwrap();
    let reload = || {
        let request = Request::new("POST", "/reload").host("localhost").body("");
        Client::connect(server.admin_address()).send(&request)
    };
    let mut golden = Golden::with(folder.path(), "/etc/tero");
    golden.check("reload", 200, &reload());
    std::fs::write(&file, text.replace("workers", "worker")).unwrap();
    golden.check("refusal-reload", 409, &reload());
}
