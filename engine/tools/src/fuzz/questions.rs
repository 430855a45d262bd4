//! Makes questions to a policy: ordinary ones, odd ones, and ones at the edges of what HTTP allows.

use std::net::IpAddr;

use chrono::Duration as Span;
use chrono_tz::Tz;
use http::header::{COOKIE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::dice::Dice;
use crate::replay::record::LogRecord;
use tero_policy_host::cases::CaseSeeds;
use tero_policy_host::device::{Device, DeviceSource, classify};
use tero_policy_host::{Hook, Manifest, PopularPage};
use tero_semantics::timestamp::Timestamp;
use tero_time::zones;

/// The most parts of each kind that are kept of a log.
const MAX_LOGGED: usize = 10_000;
/// The longest path and value that are made, in bytes.
const LONG: usize = 8_000;

const METHODS: [Method; 6] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
];
const STATUSES: [u16; 16] = [
    200, 200, 200, 200, 204, 206, 301, 302, 304, 403, 404, 410, 429, 500, 503, 599,
];
const SEGMENTS: [&str; 16] = [
    "",
    "a",
    "images",
    "img.png",
    "index.html",
    ".",
    "..",
    "%2e%2e",
    "%2F",
    "%00",
    "ñandú",
    "a;b=c",
    "*",
    "+",
    "~user",
    "%F0%9F%98%80",
];
const VALUES: [&str; 14] = [
    "",
    "a",
    "1",
    "0",
    "-1",
    "true",
    "es-AR,es;q=0.9,en;q=0.5",
    "*/*",
    "text/html",
    "gzip, br",
    "no-cache",
    "max-age=60, public",
    "\"etag\"",
    "W/\"x\", *",
];
const AGENTS: [&str; 6] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) AppleWebKit/537.36",
    "curl/8.9.1",
    "",
];
const DEVICES: [Device; 6] = [
    Device::Desktop,
    Device::Mobile,
    Device::Tablet,
    Device::Tv,
    Device::Bot,
    Device::Unknown,
];
const SOURCES: [DeviceSource; 3] = [
    DeviceSource::ClientHints,
    DeviceSource::UserAgent,
    DeviceSource::Nothing,
];
const COUNTRIES: [Option<&str>; 6] = [
    None,
    Some("AR"),
    Some("CL"),
    Some("ES"),
    Some("US"),
    Some("ZZ"),
];
const REGIONS: [Option<&str>; 4] = [None, Some("C"), Some("RM"), Some("999")];
const LENGTHS: [Option<u64>; 6] = [
    None,
    Some(0),
    Some(1_024),
    Some(1 << 20),
    Some(1 << 40),
    Some(u64::MAX),
];
const LIFETIMES: [Option<u64>; 6] = [
    None,
    Some(0),
    Some(1),
    Some(60),
    Some(86_400),
    Some(u32::MAX as u64),
];

/// What questions are made of, beside what is made up: parts of the settings, of cases and of a log.
#[derive(Clone, Debug, Default)]
pub struct QuestionSource {
    hosts: Vec<String>,
    targets: Vec<String>,
    words: Vec<String>,
    fields: Vec<(HeaderName, HeaderValue)>,
    plans: Vec<String>,
    times: Vec<Timestamp>,
}

impl QuestionSource {
    /// The parts of the settings of a policy (JSON text): texts in it are paths, or words that may
    /// be values of fields and cookies.
    pub fn of_settings(settings: &str) -> QuestionSource {
        let mut source = QuestionSource::default();
        if let Ok(settings) = serde_json::from_str(settings) {
            source.add_setting(&settings);
        }
        source
    }

    fn add_setting(&mut self, setting: &serde_json::Value) {
        match setting {
            serde_json::Value::String(text) if text.starts_with('/') => {
                self.targets.push(text.replace('*', "a"));
                self.targets.push(text.replace('*', ""));
            }
            serde_json::Value::String(text) => self.words.push(text.clone()),
            serde_json::Value::Array(items) => {
                items.iter().for_each(|item| self.add_setting(item));
            }
            serde_json::Value::Object(table) => {
                for (key, value) in table {
                    self.add_setting(&serde_json::Value::String(key.clone()));
                    self.add_setting(value);
                }
            }
            _ => {}
        }
    }

    /// Adds the parts of cases.
    pub fn add_cases(&mut self, seeds: CaseSeeds) {
        self.hosts.extend(seeds.hosts);
        self.targets.extend(seeds.targets);
        self.fields.extend(seeds.fields);
        self.plans.extend(seeds.plans);
        self.times.extend(seeds.times);
    }

    /// Adds a request of a log.
    pub(super) fn add_request(&mut self, logged: &LogRecord) {
        if self.targets.len() >= MAX_LOGGED {
            return;
        }
        self.targets.push(logged.target.to_string());
        self.times.push(logged.at);
        self.hosts.extend(logged.host.as_deref().map(str::to_owned));
        let agent = logged.user_agent().cloned();
        self.fields.extend(agent.map(|agent| (USER_AGENT, agent)));
    }
}

/// A question to every hook of a policy.
#[derive(Clone, Debug)]
pub(super) struct MadeQuestion {
    pub(super) at: Timestamp,
    pub(super) request: MadeRequest,
    pub(super) response: MadeResponse,
    /// The name of a plan and the pages that visitors requested; seldom.
    pub(super) plan: Option<(String, Vec<PopularPage>)>,
}

#[derive(Clone, Debug)]
pub(super) struct MadeRequest {
    pub(super) method: Method,
    pub(super) scheme: &'static str,
    pub(super) host: String,
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
    pub(super) device: Device,
    pub(super) device_source: DeviceSource,
    pub(super) client: IpAddr,
    pub(super) country: Option<&'static str>,
    pub(super) region: Option<&'static str>,
    pub(super) bucket: Option<u16>,
    pub(super) route: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct MadeResponse {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) length: Option<u64>,
    pub(super) header_ttl: Option<u64>,
}

/// Makes one question after the other.
pub(super) struct QuestionMaker {
    manifest: Manifest,
    source: QuestionSource,
    dice: Dice,
}

impl QuestionMaker {
    pub(super) fn new(manifest: &Manifest, source: QuestionSource, seed: u64) -> QuestionMaker {
        QuestionMaker {
            manifest: manifest.clone(),
            source,
            dice: Dice::seeded(seed),
        }
    }

    pub(super) fn make(&mut self) -> MadeQuestion {
        // A plan is dear and has little to be asked about; a policy that has only this hook is
        // asked it each time.
        let plans = self.manifest.has(Hook::PlanWarm)
            && (self.manifest.hooks.len() == 1 || self.dice.percent(3));
        MadeQuestion {
            at: self.time(),
            request: self.request(),
            response: self.response(),
            plan: plans.then(|| self.plan()),
        }
    }

    /// The same question about another page of the same class of paths, if one is found.
    pub(super) fn make_sibling(&mut self, question: &MadeQuestion) -> Option<MadeQuestion> {
        let path = &question.request.path;
        let class = self.manifest.path_class(path)?;
        let mut others = vec![
            format!("{path}2"),
            format!("{path}/2"),
            path.replacen('/', "/2", 1),
        ];
        others.extend((0..8).map(|_| self.target()));
        let others = others.into_iter().filter(|other| other != path);
        let others =
            others.filter(|other| self.manifest.path_class(other).as_ref() == Some(&class));
        let others: Vec<String> = others.collect();
        let mut sibling = question.clone();
        sibling.request.path = (!others.is_empty()).then(|| self.pick(&others).clone())?;
        sibling.plan = None;
        Some(sibling)
    }

    /// An instant, often a second around the turn of a minute, an hour or a day of the policy's
    /// zone.
    fn time(&mut self) -> Timestamp {
        let known = self.one_of(|source| &source.times);
        let at = match known {
            Some(at) if self.dice.percent(40) => at.unix_secs() + self.between(-90_000, 90_000),
            // 2020 to 2037.
            _ => 1_577_836_800 + self.dice.below(18 * 365 * 86_400) as i64,
        };
        let at = Timestamp::from_unix_secs(at);
        if !self.dice.percent(50) {
            return at;
        }
        let zone = self.manifest.zone.unwrap_or(Tz::UTC);
        let local = zones::local(at, zone);
        let step = [60, 3_600, 86_400][self.dice.below(3) as usize];
        let since =
            Span::seconds(i64::from(chrono::Timelike::num_seconds_from_midnight(&local)) % step);
        Timestamp::from_unix_secs(local.timestamp() - since.num_seconds() + self.between(-1, 1))
    }

    fn request(&mut self) -> MadeRequest {
        let method = if self.dice.percent(80) {
            Method::GET
        } else {
            self.pick(&METHODS).clone()
        };
        let target = self.target();
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path.to_owned(), Some(query.to_owned())),
            None => (target, None),
        };
        let query = match query {
            Some(query) if self.dice.percent(80) => Some(query),
            _ if self.manifest.query && self.dice.percent(60) => Some(self.query()),
            _ => None,
        };
        let names = self.manifest.headers.clone();
        let mut headers = self.fields(&names);
        if self.manifest.device && !headers.contains_key(USER_AGENT) && self.dice.percent(70) {
            let agent: &'static str = self.pick::<&'static str>(&AGENTS);
            headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        }
        self.cookies(&mut headers);
        let device = match self.dice.percent(50) {
            true => *self.pick(&DEVICES),
            false => classify(&headers),
        };
        let bits = self.dice.next();
        let client = match self.dice.percent(70) {
            true => IpAddr::from((bits as u32).to_be_bytes()),
            false => IpAddr::from([0x2001, 0xdb8, bits as u16, (bits >> 16) as u16, 0, 0, 0, 1]),
        };
        let buckets = self.manifest.bucket.as_ref().map(|rule| rule.buckets);
        let bucket = match buckets {
            Some(buckets) if self.dice.percent(80) => {
                Some(self.dice.below(u64::from(buckets)) as u16)
            }
            _ => None,
        };
        MadeRequest {
            device_source: *self.pick(&SOURCES),
            client,
            country: *self.pick(&COUNTRIES),
            region: *self.pick(&REGIONS),
            bucket,
            route: self.dice.percent(50).then(|| self.route()),
            method,
            scheme: if self.dice.percent(50) {
                "https"
            } else {
                "http"
            },
            host: self
                .one_of(|source| &source.hosts)
                .unwrap_or_else(|| "shop.example".to_owned()),
            path,
            query,
            headers,
            device,
        }
    }

    /// The name of a route: a word of the settings that can be one, or another.
    fn route(&mut self) -> String {
        let word = self.one_of(|source| &source.words).unwrap_or_default();
        let is_of_name = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        };
        if (1..=64).contains(&word.len()) && word.bytes().all(is_of_name) {
            word
        } else {
            "shop".to_owned()
        }
    }

    fn target(&mut self) -> String {
        let known = self.one_of(|source| &source.targets);
        let target = match known {
            Some(target) if self.dice.percent(70) => match self.dice.below(6) {
                0 => format!("{target}/"),
                1 => target.trim_end_matches('/').to_owned() + &self.path(),
                2 => {
                    let length = self.dice.below(target.len() as u64 + 1) as usize;
                    target[..target.floor_char_boundary(length)].to_owned()
                }
                _ => target,
            },
            _ => self.path(),
        };
        let mut target: String = target
            .chars()
            .filter(|char| char.is_ascii_graphic() && *char != '#')
            .collect();
        if !target.starts_with('/') {
            target.insert(0, '/');
        }
        target
    }

    fn path(&mut self) -> String {
        if self.dice.percent(1) {
            return format!("/{}", "long/".repeat(LONG / 5));
        }
        let mut path = String::new();
        for _ in 0..=self.dice.below(4) {
            path.push('/');
            let segment = *self.pick(&SEGMENTS);
            path.push_str(segment);
        }
        path
    }

    fn query(&mut self) -> String {
        let mut query = String::new();
        for _ in 0..self.dice.below(5) {
            let name = self.word();
            let value = self.word();
            let piece = match self.dice.below(4) {
                0 => name,
                1 => format!("utm_{name}={value}"),
                2 => format!("{name}=%zz&"),
                _ => format!("{name}={value}"),
            };
            query.push_str(&piece);
            query.push('&');
        }
        query.retain(|char| char.is_ascii_graphic() && !"\"#<>".contains(char));
        query
    }

    fn response(&mut self) -> MadeResponse {
        let names = self.manifest.response_headers.clone();
        let status = if self.dice.percent(5) {
            100 + self.dice.below(500) as u16
        } else {
            *self.pick(&STATUSES)
        };
        MadeResponse {
            status: StatusCode::from_u16(status).unwrap_or_default(),
            headers: self.fields(&names),
            length: *self.pick(&LENGTHS),
            header_ttl: *self.pick(&LIFETIMES),
        }
    }

    /// Some of these fields, seldom several times.
    fn fields(&mut self, names: &[HeaderName]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for name in names {
            if self.dice.percent(40) {
                continue;
            }
            let lines = if self.dice.percent(5) { 3 } else { 1 };
            for _ in 0..lines {
                let value = self.field_value(name);
                headers.append(name, value);
            }
        }
        headers
    }

    fn field_value(&mut self, name: &HeaderName) -> HeaderValue {
        let known: Vec<HeaderValue> = (self.source.fields.iter())
            .filter(|(known, _)| known == name)
            .map(|(_, value)| value.clone())
            .collect();
        if !known.is_empty() && self.dice.percent(60) {
            return self.pick(&known).clone();
        }
        let bytes = match self.dice.below(20) {
            0 => b"\xff\xfe not UTF-8".to_vec(),
            1 => vec![b'x'; LONG],
            2 => "añejo".into(),
            _ => self.word().into_bytes(),
        };
        HeaderValue::from_bytes(&bytes).unwrap_or(HeaderValue::from_static(""))
    }

    fn cookies(&mut self, headers: &mut HeaderMap) {
        let names = self.manifest.cookies.clone();
        let mut pairs = Vec::new();
        for name in &names {
            if self.dice.percent(50) {
                let name = name.replace('*', if self.dice.percent(50) { "" } else { "x1" });
                let value = self.word().replace([';', ' ', '"', ',', '\\'], "");
                pairs.push(format!("{name}={value}"));
            }
        }
        if let Ok(line) = HeaderValue::from_str(&pairs.join("; "))
            && !pairs.is_empty()
        {
            headers.append(COOKIE, line);
        }
    }

    fn plan(&mut self) -> (String, Vec<PopularPage>) {
        let plan = self
            .one_of(|source| &source.plans)
            .unwrap_or_else(|| "opening".to_owned());
        let variants = self.manifest.variants.clone();
        let pages = (0..self.dice.below(30)).map(|_| {
            let variant = (!variants.is_empty() && self.dice.percent(50))
                .then(|| self.pick(&variants).clone());
            PopularPage {
                url: self.target(),
                requests: 1 + self.dice.below(10_000),
                variant,
            }
        });
        (plan, pages.collect())
    }

    /// A word of the settings, or a usual value.
    fn word(&mut self) -> String {
        match self.one_of(|source| &source.words) {
            Some(word) if self.dice.percent(50) => word,
            _ => (*self.pick(&VALUES)).to_owned(),
        }
    }

    fn one_of<T: Clone>(&mut self, of: impl Fn(&QuestionSource) -> &Vec<T>) -> Option<T> {
        let known = of(&self.source);
        let index = self.dice.below(known.len() as u64) as usize;
        known.get(index).cloned()
    }

    fn pick<'t, T>(&mut self, of: &'t [T]) -> &'t T {
        &of[self.dice.below(of.len() as u64) as usize]
    }

    fn between(&mut self, least: i64, most: i64) -> i64 {
        least + self.dice.below((most - least + 1) as u64) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest {
            hooks: Hook::ALL.to_vec(),
            headers: vec![USER_AGENT, http::header::ACCEPT_LANGUAGE],
            cookies: vec!["session_*".into()],
            query: true,
            device: true,
            ..Manifest::default()
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_questions_and_all_can_be_sent() {
        let source = QuestionSource::of_settings(r#"{"paths": ["/basket/*"], "word": "gold"}"#);
        let questions = |seed| {
            let mut maker = QuestionMaker::new(&manifest(), source.clone(), seed);
            (0..3_000).map(|_| maker.make()).collect::<Vec<_>>()
        };
        let made = questions(1);
        assert_eq!(format!("{made:?}"), format!("{:?}", questions(1)));
        assert_ne!(format!("{made:?}"), format!("{:?}", questions(2)));
        for question in &made {
            let request = &question.request;
            assert!(request.path.starts_with('/'), "{request:?}");
            let query = request.query.as_deref().map(|query| format!("?{query}"));
            let target = format!("{}{}", request.path, query.unwrap_or_default());
            assert!(target.parse::<http::Uri>().is_ok(), "{target}");
        }
        let count =
            |is_it: &dyn Fn(&MadeQuestion) -> bool| made.iter().filter(|it| is_it(it)).count();
        assert!(count(&|it| it.request.path.starts_with("/basket/")) > 500);
        assert!(count(&|it| it.request.headers.contains_key(COOKIE)) > 500);
        assert!(count(&|it| it.plan.is_some()) > 30);
        assert!(count(&|it| it.request.device == Device::Tablet) > 100);
        assert!(count(&|it| it.response.status == 304) > 50);
        assert!(count(&|it| it.at.unix_secs() % 60 == 59) > 200);
    }
}
