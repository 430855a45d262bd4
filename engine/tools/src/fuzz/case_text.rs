//! A question as a test case, to be kept in `cases.toml`.

use std::fmt::Write as _;

use http::{HeaderMap, header};

use super::questions::MadeQuestion;
use tero_policy_host::Hook;

/// The longest text that a case shows whole; a longer one is cut, with a remark.
const MAX_TEXT: usize = 400;

/// The case of a question to a hook. `what` is part of its name.
pub(super) fn case_of(question: &MadeQuestion, hook: Hook, what: &str) -> String {
    let request = &question.request;
    let mut out = format!(
        "[[case]]\nname = {}\n",
        text(&format!("{what} of {}", hook.as_str()))
    );
    let at = time_of(question.at.unix_secs());
    let _ = writeln!(out, "at = \"{at}\"");
    if hook == Hook::PlanWarm {
        if let Some((plan, popular)) = &question.plan {
            let _ = writeln!(out, "plan = {}", text(plan));
            let pages = popular.iter().take(5).map(|page| {
                format!(
                    "{{ url = {}, requests = {} }}",
                    text(&page.url),
                    page.requests
                )
            });
            let _ = writeln!(out, "popular = [{}]", pages.collect::<Vec<_>>().join(", "));
        }
        out.push_str("plan_warm = []\n");
        return out;
    }
    if request.method != http::Method::GET {
        let _ = writeln!(out, "method = \"{}\"", request.method);
    }
    let query = request.query.as_deref().map(|query| format!("?{query}"));
    let url = format!(
        "{}://{}{}{}",
        request.scheme,
        request.host,
        request.path,
        query.unwrap_or_default()
    );
    let _ = writeln!(out, "url = {}", text(&url));
    let _ = writeln!(out, "device = \"{}\"", request.device.as_str());
    let _ = writeln!(out, "client = \"{}\"", request.client);
    for (key, value) in [
        ("country", request.country),
        ("region", request.region),
        ("route", request.route.as_deref()),
    ] {
        if let Some(value) = value {
            let _ = writeln!(out, "{key} = {}", text(value));
        }
    }
    if let Some(bucket) = request.bucket {
        let _ = writeln!(out, "bucket = {bucket}");
    }
    let fields = fields(&request.headers);
    if !fields.is_empty() {
        let _ = writeln!(out, "headers = {{ {fields} }}");
    }
    match hook {
        Hook::OnResponse => {
            let _ = writeln!(out, "on_request = {{}}\non_response = {{}}");
            let _ = writeln!(
                out,
                "[case.response]\nstatus = {}\nheaders = {{ {} }}",
                question.response.status.as_u16(),
                response_fields(question)
            );
        }
        _ => out.push_str("on_request = {}\n"),
    }
    out
}

fn response_fields(question: &MadeQuestion) -> String {
    let mut headers = question.response.headers.clone();
    if let Some(length) = question.response.length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    if let Some(secs) = question.response.header_ttl
        && !headers.contains_key(header::CACHE_CONTROL)
    {
        let value = format!("max-age={secs}");
        headers.extend(
            value
                .parse()
                .ok()
                .map(|value| (header::CACHE_CONTROL, value)),
        );
    }
    fields(&headers)
}

fn fields(headers: &HeaderMap) -> String {
    let names = headers.keys().map(|name| {
        let lines = headers.get_all(name).iter();
        let lines: Vec<String> = lines
            .map(|line| text(&String::from_utf8_lossy(line.as_bytes())))
            .collect();
        match lines.as_slice() {
            [line] => format!("{name} = {line}"),
            lines => format!("{name} = [{}]", lines.join(", ")),
        }
    });
    names.collect::<Vec<_>>().join(", ")
}

/// A text of TOML.
fn text(text: &str) -> String {
    let cut = &text[..text.floor_char_boundary(MAX_TEXT)];
    toml::Value::from(cut).to_string()
}

/// An instant in UTC, as a case has it.
fn time_of(unix_secs: i64) -> String {
    let time = chrono::DateTime::from_timestamp(unix_secs, 0).unwrap_or_default();
    time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
}
