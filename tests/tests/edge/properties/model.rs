//! An origin that records its representations over time, and all its responses.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tero_tests::{OriginRequest, Reply};

/// The traits of a resource, constant over its life.
#[derive(Clone, Debug)]
pub(crate) struct Resource {
    /// The fields that select a representation.
    pub(crate) vary: &'static [&'static str],
    /// The length of its content, in bytes.
    pub(crate) length: usize,
    /// Whether entity tags are strong; `None` is a resource without tags.
    pub(crate) strong: Option<bool>,
    pub(crate) chunked: bool,
    /// Whether the origin answers ranges with 206.
    pub(crate) takes_ranges: bool,
}

/// How the origin behaves from now on.
#[derive(Clone, Debug)]
pub(crate) struct Mood {
    pub(crate) cache_control: &'static str,
    pub(crate) set_cookie: bool,
    pub(crate) status: u16,
    pub(crate) age: Option<u64>,
    /// The content has changed.
    pub(crate) changes: bool,
    pub(crate) fails: bool,
    /// Whether content is cut short.
    pub(crate) breaks_off: bool,
}

/// One state of the resource, for one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Representation {
    pub(crate) version: u64,
    pub(crate) variant: String,
}

/// A response with content.
#[derive(Clone, Debug)]
pub(crate) struct OriginResponse {
    /// Whether it answered a HEAD, and so could only freshen a stored response (RFC 9111 §4.3.5).
    pub(crate) to_head: bool,
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) representation: Representation,
    pub(crate) under_floor: bool,
    /// Whether it was cut short.
    pub(crate) cut: bool,
}

#[derive(Debug, Default)]
struct State {
    mood: Option<Mood>,
    /// The time, as an HTTP date.
    date: String,
    version: u64,
    /// The number of 304s so far.
    validations: u64,
    made: Vec<OriginResponse>,
}

/// The origin of one resource.
#[derive(Debug)]
pub(crate) struct Model {
    pub(crate) resource: Resource,
    state: Mutex<State>,
}

impl Model {
    pub(crate) fn new(resource: Resource) -> Model {
        Model {
            resource,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn turns(&self, mood: &Mood, date: String) {
        let mut state = self.state();
        state.date = date;
        state.version += u64::from(mood.changes);
        state.mood = Some(mood.clone());
    }

    pub(crate) fn reply(&self, number: u64) -> OriginResponse {
        self.state().made[usize::try_from(number).unwrap()].clone()
    }

    /// The variant for requests with these values of the selecting fields.
    pub(crate) fn variant_of(&self, field: &dyn Fn(&str) -> Option<String>) -> String {
        self.resource
            .vary
            .iter()
            .map(|name| format!("{name}={};", field(name).unwrap_or_else(|| "-".to_owned())))
            .collect()
    }

    /// The content. Successive representations differ in every byte.
    pub(crate) fn content(&self, representation: &Representation) -> Vec<u8> {
        let seed = representation
            .variant
            .bytes()
            .fold(representation.version * 7, |seed, byte| {
                seed * 31 % 251 + u64::from(byte)
            });
        (0..self.resource.length as u64)
            .map(|at| u8::try_from((seed + at * 13) % 251).unwrap())
            .collect()
    }

    fn etag(&self, representation: &Representation) -> Option<String> {
        let weak = if self.resource.strong? { "" } else { "W/" };
        let variant: String = representation
            .variant
            .chars()
            .filter(char::is_ascii_alphanumeric)
            .collect();
        Some(format!("{weak}\"{}-{variant}\"", representation.version))
    }

    /// Answers a request, and records the response.
    pub(crate) fn answer(&self, asked: &OriginRequest) -> Reply {
        let mut state = self.state();
        let mood = state
            .mood
            .clone()
            .expect("the mood is set before a request");
        if mood.fails {
            return Reply::status(503).header("Cache-Control", "no-store");
        }
        let representation = Representation {
            version: state.version,
            variant: self.variant_of(&|name| asked.header(name)),
        };
        let etag = self.etag(&representation);
        if let Some(etag) = etag.filter(|etag| {
            mood.status == 200 && asked.header("if-none-match").as_ref() == Some(etag)
        }) {
            state.validations += 1;
            let number = state.validations.to_string();
            return Reply::status(304)
                .header("ETag", etag)
                .header("Date", &state.date)
                .header("X-Validated", number);
        }
        let number = state.made.len();
        let mut headers = self.headers(&mood, &representation, number);
        headers.push(("Date".to_owned(), state.date.clone()));
        let mut content = self.content(&representation);
        let mut status = mood.status;
        let range = asked.header("range").filter(|_| {
            self.resource.takes_ranges && status == 200 && asked.header("if-range").is_none()
        });
        if let Some((first, last)) = range.and_then(|range| part(&range, content.len())) {
            status = 206;
            headers.push((
                "Content-Range".to_owned(),
                format!("bytes {first}-{last}/{}", content.len()),
            ));
            content = content[first..=last].to_vec();
        }
        let said = mood.cache_control;
        let allowed = ["public", "s-maxage", "must-revalidate"]
            .iter()
            .any(|directive| said.contains(directive));
        let under_floor = mood.set_cookie
            || said.contains("no-store")
            || said.contains("private")
            || (asked.header("authorization").is_some() && !allowed);
        let cut = mood.breaks_off && content.len() > 1 && !self.resource.chunked;
        let whole = content.len();
        content.truncate(if cut { whole / 2 } else { whole });
        let mut reply = Reply::status(status).body(&content);
        if cut {
            reply = reply.announcing(whole).then_close();
        }
        for (name, value) in &headers {
            reply = reply.header(name, value);
        }
        state.made.push(OriginResponse {
            to_head: asked.method == "HEAD",
            status,
            headers,
            representation,
            under_floor,
            cut,
        });
        if self.resource.chunked {
            reply.chunked()
        } else {
            reply
        }
    }

    fn headers(
        &self,
        mood: &Mood,
        representation: &Representation,
        number: usize,
    ) -> Vec<(String, String)> {
        let mut headers = vec![
            ("Cache-Control".to_owned(), mood.cache_control.to_owned()),
            (
                "Content-Type".to_owned(),
                "application/octet-stream".to_owned(),
            ),
            ("X-Reply".to_owned(), number.to_string()),
            ("X-Two-Lines".to_owned(), "one, \"t,wo\"".to_owned()),
            ("X-Two-Lines".to_owned(), "three".to_owned()),
            ("X-Secret".to_owned(), representation.version.to_string()),
            ("Connection".to_owned(), "x-hop".to_owned()),
            ("X-Hop".to_owned(), "1".to_owned()),
        ];
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        self.etag(representation)
            .into_iter()
            .for_each(|etag| add("ETag", etag));
        mood.age
            .into_iter()
            .for_each(|age| add("Age", age.to_string()));
        if mood.set_cookie {
            add("Set-Cookie", format!("visitor={number}"));
        }
        if !self.resource.vary.is_empty() {
            add("Vary", self.resource.vary.join(", "));
        }
        headers
    }
}

/// The first and last byte of a range `bytes=1-2`; `None` if it is malformed or not satisfiable.
fn part(range: &str, length: usize) -> Option<(usize, usize)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last && first < length).then(|| (first, last.min(length - 1)))
}
