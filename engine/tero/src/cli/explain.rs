//! `tero explain`: what a running edge would do with a request, and why.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};

use super::admin_client::{AdminArgs, AdminClient};
use super::{fail, print, used_wrongly};

const EXAMPLE: &str = "\
Examples:
  tero explain http://www.example.org/prices
  tero explain http://www.example.org/prices --at 2026-11-24T08:59 --device mobile
  tero explain /prices --header 'Cookie: session=1' --response-header 'Set-Cookie: a=b'
  tero explain /prices --json | jq .would

A local time is one of the site's zone. Nothing is fetched, stored or counted.

Exit code: 0 if there was an answer, 1 if not, 2 if the command is used wrongly.";

/// Explains what a running edge would do with a request, and why
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(super) struct ExplainCommand {
    /// An absolute URL; a path where the edge has one site
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
    /// The class of the device, whatever the fields say
    #[arg(long, value_name = "CLASS")]
    device: Option<String>,
    /// The status of the response that the policies are asked about; without it, that of the stored
    /// one, or 200
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
        let (client, content) = match (AdminClient::new(&self.admin), self.content()) {
            (Ok(client), Ok(content)) => (client, content),
            (Err(message), _) | (_, Err(message)) => return used_wrongly(&message),
        };
        match client.post("/explain", Some(&content)) {
            Ok(answer) if answer.status.is_success() && self.json => {
                print(&format!("{}\n", answer.content))
            }
            Ok(answer) if answer.status.is_success() => print(&text(&answer.content)),
            Ok(answer) => fail(&answer.error()),
            Err(message) => fail(&message),
        }
    }

    fn content(&self) -> Result<Value, String> {
        let mut content =
            json!({ "url": self.url, "method": self.method, "headers": fields(&self.headers)? });
        if let Some(at) = &self.at {
            content["at"] = at.as_str().into();
        }
        if let Some(device) = &self.device {
            content["device"] = device.as_str().into();
        }
        if self.response_status.is_some() || !self.response_headers.is_empty() {
            let status = self.response_status.unwrap_or(200);
            content["response"] =
                json!({ "status": status, "headers": fields(&self.response_headers)? });
        }
        Ok(content)
    }
}

/// `Name: value` lines as JSON.
fn fields(lines: &[String]) -> Result<Value, String> {
    let mut fields: Map<String, Value> = Map::new();
    for line in lines {
        let (name, value) = line
            .split_once(':')
            .ok_or_else(|| format!("`{line}` is no field; write 'Name: value'"))?;
        let values = fields
            .entry(name.trim().to_ascii_lowercase())
            .or_insert_with(|| json!([]));
        if let Value::Array(values) = values {
            values.push(value.trim().into());
        }
    }
    Ok(Value::Object(fields))
}

/// The explanation for people.
fn text(answer: &Value) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: String| out.push_str(&format!("{name:<12}{value}\n"));
    line("site", plain(&answer["site"]));
    line(
        "at",
        format!(
            "{} ({})",
            plain(&answer["at"]["local"]),
            plain(&answer["at"]["zone"])
        ),
    );
    line("device", plain(&answer["device"]));
    for policy in answer["policies"].as_array().into_iter().flatten() {
        let canary = if policy["canary"] == true {
            " (canary)"
        } else {
            ""
        };
        line("policy", format!("{}{canary}", plain(&policy["policy"])));
        line("  request", word(&policy["on_request"]));
        line("  response", word(&policy["on_response"]));
    }
    let decision = &answer["decision"];
    line(
        "decision",
        format!(
            "{}, variant {}, query {}",
            plain(&decision["lookup"]),
            plain(&decision["variant"]),
            plain(&decision["query"])
        ),
    );
    let response = &answer["response"];
    let storing = match response["refusal"].as_str() {
        Some(refusal) => format!("would not be stored: {refusal}"),
        None => format!(
            "would be fresh for {} s ({})",
            response["lifetime_secs"],
            plain(&response["lifetime_from"])
        ),
    };
    line(
        "response",
        format!(
            "{} {}: {storing}",
            plain(&response["from"]),
            response["status"]
        ),
    );
    for rule in answer["rules"].as_array().into_iter().flatten() {
        line(
            "rule",
            format!("{}: {}", plain(&rule["rule"]), plain(&rule["text"])),
        );
    }
    line(
        "key",
        format!(
            "{}, variant {}",
            plain(&answer["key"]["url"]),
            plain(&answer["key"]["variant"])
        ),
    );
    for stored in answer["stored"].as_array().into_iter().flatten() {
        line("stored", self::stored(stored));
    }
    line(
        "outcome",
        format!(
            "{}: {}",
            plain(&answer["would"]["outcome"]),
            plain(&answer["would"]["why"])
        ),
    );
    out
}

fn stored(stored: &Value) -> String {
    let selected = if stored["selected"] == true {
        ""
    } else {
        ", for other request fields"
    };
    let fresh = match stored["fresh_for_secs"].as_i64().unwrap_or_default() {
        left @ 1.. => format!("fresh for another {left} s"),
        late => format!("stale for {} s", -late),
    };
    let (status, bytes, age) = (&stored["status"], &stored["bytes"], &stored["age_secs"]);
    format!(
        "{status}, {bytes} bytes, {age} s old, {fresh}{selected}; {}",
        plain(&stored["reason"])
    )
}

/// What a policy said, in one line.
fn word(word: &Value) -> String {
    if let Some(answer) = word["answer"].as_object() {
        let parts: Vec<String> = answer
            .iter()
            .map(|(name, value)| format!("{name} {}", plain(value)))
            .collect();
        return if parts.is_empty() {
            "nothing".to_owned()
        } else {
            parts.join(", ")
        };
    }
    match (word["failed"].as_str(), word["not_asked"].as_str()) {
        (Some(kind), _) => format!("failed ({kind}): {}", plain(&word["reason"])),
        (_, Some(why)) => why.to_owned(),
        _ => "-".to_owned(),
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_lines_with_a_colon() {
        let lines = [
            "Cookie: a=b".to_owned(),
            "X-A:1".to_owned(),
            "x-a: 2:3".to_owned(),
        ];
        assert_eq!(
            fields(&lines).unwrap(),
            json!({ "cookie": ["a=b"], "x-a": ["1", "2:3"] })
        );
        assert!(fields(&["nothing".to_owned()]).is_err());
    }
}
