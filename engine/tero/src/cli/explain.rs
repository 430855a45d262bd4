//! `tero explain`: what a running edge would do with a request, and why.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::admin_client::{AdminArgs, show};
use super::used_wrongly;
use clap::Args;
use tero_admin_api::endpoints::Explain;
use tero_admin_api::{
    ExplainRequest, ExplainResponse, FieldValues, HookTrace, RequestWords, ResponseInput,
    ResponseTrace, ResponseWords, StoredVariant,
};

const EXAMPLE: &str = "\
Examples:
  tero explain http://www.example.org/prices
  tero explain /prices --at 2026-11-24T08:59 --device mobile
  tero explain /prices --header 'Cookie: session=1'
  tero explain /prices --response-header 'Set-Cookie: a=b'
  tero explain /prices --json | jq .would

Local times are in the site's zone. Nothing is fetched, stored or counted.

Exit code: 0 if there was an answer, 1 if not, 2 if the command is used
wrongly.";

/// Explains what a running edge would do with a request, and why
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ExplainCommand {
    /// An absolute URL; or a path, if the edge has one site
    url: String,
    /// When the request would come: a local time of the site, or one with its offset
    #[arg(long, value_name = "LOCAL-TIME")]
    at: Option<String>,
    /// The method
    #[arg(long, default_value = "GET")]
    method: String,
    /// A field of the request
    #[arg(long = "header", value_name = "N: V")]
    headers: Vec<String>,
    /// The device class, in place of the one that the fields give
    #[arg(long, value_name = "CLASS")]
    device: Option<String>,
    /// The status of the response that policies are asked about [default: that of the stored
    /// response, or 200]
    #[arg(long, value_name = "STATUS")]
    response_status: Option<u16>,
    /// A field of that response
    #[arg(long = "response-header", value_name = "N: V")]
    response_headers: Vec<String>,
    /// Prints the answer as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    admin: AdminArgs,
}

impl ExplainCommand {
    pub(super) fn run(self) -> ExitCode {
        let request = match self.request() {
            Ok(request) => request,
            Err(message) => return used_wrongly(&message),
        };
        match self.admin.ask::<Explain>(&[], &request) {
            Ok(answer) => show(&answer, self.json, words),
            Err(code) => code,
        }
    }

    fn request(&self) -> Result<ExplainRequest, String> {
        let gives_response = self.response_status.is_some() || !self.response_headers.is_empty();
        let response = gives_response.then(|| {
            Ok::<_, String>(ResponseInput {
                status: self.response_status.unwrap_or(200),
                headers: fields(&self.response_headers)?,
            })
        });
        Ok(ExplainRequest {
            url: self.url.clone(),
            method: Some(self.method.clone()),
            at: self.at.clone(),
            headers: fields(&self.headers)?,
            device: self.device.clone(),
            response: response.transpose()?,
        })
    }
}

/// The values of `Name: value` lines, by name.
fn fields(lines: &[String]) -> Result<BTreeMap<String, FieldValues>, String> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("`{line}` is not a field; write 'Name: value'"))?;
        let values = fields.entry(name.trim().to_ascii_lowercase()).or_default();
        values.push(value.trim().to_owned());
    }
    let fields = fields.into_iter();
    Ok(fields
        .map(|(name, values)| (name, FieldValues::Many(values)))
        .collect())
}

/// The explanation for people.
fn words(answer: &ExplainResponse) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| out.push_str(&format!("{name:<12}{value}\n"));
    line("site", answer.site.clone());
    line("at", format!("{} ({})", answer.at.local, answer.at.zone));
    line("device", answer.device.clone());
    for policy in &answer.policies {
        let canary = if policy.canary { " (canary)" } else { "" };
        line("policy", format!("{}{canary}", policy.policy));
        line("  request", trace(&policy.on_request, request_words));
        line("  response", trace(&policy.on_response, response_words));
    }
    let decision = &answer.decision;
    line(
        "decision",
        format!(
            "{}, variant {}, query {}",
            lookup(answer),
            or_dash(decision.variant.as_deref()),
            decision.query
        ),
    );
    line("response", response(&answer.response));
    for rule in &answer.rules {
        line("rule", format!("{}: {}", rule.rule, rule.text));
    }
    line(
        "key",
        format!(
            "{}, variant {}",
            answer.key.url,
            or_dash(answer.key.variant.as_deref())
        ),
    );
    for variant in &answer.stored {
        line("stored", stored(variant));
    }
    line(
        "outcome",
        format!("{}: {}", answer.would.outcome, answer.would.why),
    );
    out
}

/// Whether policies would look the request up. They have no say where it is passed for another
/// reason.
fn lookup(answer: &ExplainResponse) -> &'static str {
    match (
        answer.decision.lookup.as_str(),
        answer.would.outcome.as_str(),
    ) {
        ("pass", _) => "pass",
        (_, "pass") => "pass, though policies would look it up",
        _ => "look up",
    }
}

fn response(response: &ResponseTrace) -> String {
    let storing = match &response.refusal {
        Some(refusal) => format!("would not be stored: {refusal}"),
        None => format!(
            "would be fresh for {} s ({})",
            response.lifetime_secs, response.lifetime_from
        ),
    };
    format!("{} {}: {storing}", response.from, response.status)
}

fn stored(stored: &StoredVariant) -> String {
    let selected = if stored.selected {
        ""
    } else {
        ", for other request fields"
    };
    let fresh = match stored.fresh_for_secs {
        left @ 1.. => format!("fresh for another {left} s"),
        late => format!("stale for {} s", -late),
    };
    let (status, bytes, age) = (stored.status, stored.bytes, stored.age_secs);
    format!(
        "{status}, {bytes} bytes, {age} s old, {fresh}{selected}; {}",
        or_dash(stored.reason.as_deref())
    )
}

/// What came of asking a policy, in one line. `words` lists the parts of its answer.
fn trace<A>(trace: &HookTrace<A>, words: impl Fn(&A) -> Vec<(&str, String)>) -> String {
    match trace {
        HookTrace::Answer { answer } => {
            let said = words(answer);
            if said.is_empty() {
                return "nothing".to_owned();
            }
            let said = said.iter().map(|(name, value)| format!("{name} {value}"));
            said.collect::<Vec<_>>().join(", ")
        }
        HookTrace::Failure { failed, reason } => format!("failed ({failed}): {reason}"),
        HookTrace::Silence { not_asked, .. } => not_asked.clone(),
    }
}

fn request_words(words: &RequestWords) -> Vec<(&str, String)> {
    let own = said([
        ("lookup", words.lookup.clone()),
        ("query", words.query.clone()),
        ("reason", words.reason.clone()),
        ("variant", words.variant.clone()),
    ]);
    with_more(own, &words.more)
}

fn response_words(words: &ResponseWords) -> Vec<(&str, String)> {
    let secs = |secs: Option<u64>| secs.map(|secs| secs.to_string());
    let tags = (!words.tags.is_empty()).then(|| words.tags.join(" "));
    let own = said([
        ("browser_ttl_secs", secs(words.browser_ttl_secs)),
        ("reason", words.reason.clone()),
        ("stale_if_error_secs", secs(words.stale_if_error_secs)),
        (
            "stale_while_revalidate_secs",
            secs(words.stale_while_revalidate_secs),
        ),
        ("storing", Some(words.storing.clone())),
        ("tags", tags),
        ("ttl_secs", secs(words.ttl_secs)),
    ]);
    with_more(own, &words.more)
}

/// What contract 0.2 lets a policy decide stands behind the rest.
fn with_more<'w>(
    mut said: Vec<(&'w str, String)>,
    more: &'w BTreeMap<String, String>,
) -> Vec<(&'w str, String)> {
    let more = more.iter();
    said.extend(more.map(|(name, words)| (name.as_str(), words.clone())));
    said
}

/// The parts that are present.
fn said<const N: usize>(words: [(&'static str, Option<String>); N]) -> Vec<(&'static str, String)> {
    words
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

fn or_dash(text: Option<&str>) -> &str {
    text.unwrap_or("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use tero_admin_api::Answer as _;

    #[test]
    fn fields_are_lines_with_a_colon() {
        let lines = [
            "Cookie: a=b".to_owned(),
            "X-A:1".to_owned(),
            "x-a: 2:3".to_owned(),
        ];
        let many = |values: &[&str]| {
            FieldValues::Many(values.iter().map(|value| (*value).into()).collect())
        };
        assert_eq!(
            fields(&lines).unwrap(),
            BTreeMap::from([
                ("cookie".to_owned(), many(&["a=b"])),
                ("x-a".to_owned(), many(&["1", "2:3"])),
            ])
        );
        assert!(fields(&["nothing".to_owned()]).is_err());
    }

    #[test]
    fn an_explanation_has_a_line_for_each_part() {
        let golden = include_str!("../../../admin-api/golden/explain-hit.json");
        let shown = words(&ExplainResponse::read(golden.as_bytes()).unwrap());
        for line in [
            "site        site",
            "at          2026-11-24T10:00:05-03:00 (America/Argentina/Buenos_Aires)",
            "policy      rules",
            "  request   query ignore utm_*",
            "  response  reason all: ttl, stale_if_error_secs 20, stale_while_revalidate_secs 10, storing always, tags pages, ttl_secs 600",
            "  request   it does not answer this",
            "decision    look up, variant -, query ignore utm_*",
            "response    stored 200: would be fresh for 600 s (policy)",
            "key         http://www.example/x, variant -",
            "stored      200, 2 bytes, 5 s old, fresh for another 595 s; rules: all: ttl; hours: hours: open",
        ] {
            assert!(
                shown.lines().any(|shown| shown == line),
                "{line} is not in\n{shown}"
            );
        }
    }
}
