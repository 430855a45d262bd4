//! What decisions of contract 0.2 do to requests: the key, the request to the origin, answers of a
//! policy's own, fields of responses, storing, limits. The guest decides as its settings say.

mod answers;
mod client;
mod fields;
mod key;
mod limits;
mod origins;
mod rewritten;
mod storing;

use tero_admin_api::{ExplainResponse, PurgeResponse};
use tero_tests::{Edge, EdgeBuilder, Origin, OriginRequest, Reply, Request, get, guests};

/// An edge whose policy has these settings.
fn deciding(origin: &Origin, settings: &str) -> EdgeBuilder {
    with_policy(Edge::before(origin), "rules", settings)
}

fn with_policy(builder: EdgeBuilder, name: &str, settings: &str) -> EdgeBuilder {
    let module = guests::deciding_path().display().to_string();
    builder.policy(name, &module, &format!("[policy.settings]\n{settings}"))
}

/// An origin that says what it was asked, fresh for a minute.
fn echo() -> Origin {
    let origin = Origin::start();
    origin.otherwise(|asked| Reply::fresh(60, told(asked)));
    origin
}

/// The target that an origin was asked for, with the fields that the tests edit.
fn told(asked: &OriginRequest) -> String {
    let mut told = asked.target.clone();
    for name in ["x-tenant", "x-more"] {
        if let Some(value) = asked.header(name) {
            told += &format!(" {name}={value}");
        }
    }
    told
}

fn with_market(target: &str, market: &str) -> Request {
    get(target).header("Cookie", format!("market={market}"))
}

/// Purges what the body names; how many stored responses that were.
fn purge(edge: &Edge, body: &str) -> u64 {
    let answer = edge.admin_post("/purge", body);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.read::<PurgeResponse>().purged
}

fn explain(edge: &Edge, target: &str) -> ExplainResponse {
    let question = serde_json::json!({ "url": target });
    let answer = edge.admin_post("/explain", &question.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.read()
}
