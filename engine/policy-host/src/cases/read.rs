//! Reads a file of test cases into [`Cases`], or reports every mistake in it.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde_json::Value as Json;

use super::case::{Case, CaseRequest, CaseResponse, Cases, Expectation, instant};
use super::keys;
use crate::device;
use crate::device::{Device, DeviceSource};
use crate::facts::PopularPage;
use crate::manifest::Hook;
use crate::tables::{Table, TableSet};
use tero_config as config;
use tero_config::keys::{Form, Section};
use tero_config::raw::{self, RawEntry, RawKind, RawValue};
use tero_config::reader::TableReader;
use tero_config::{
    ConfigErrors, Loader, Mistake, Mistakes, ModuleSource, TableFormat, TableKind, forms, place,
    read_text, units,
};
use tero_semantics::timestamp::Timestamp;
use tero_time::local_time::LocalDateTime;

/// The most fields of a message.
const MAX_FIELDS: usize = 1_000;

impl Cases {
    /// Reads and checks the file at `path`. If `module` is given, it is tested in place of the
    /// module that the file names.
    ///
    /// # Errors
    /// Every mistake in the file, or one mistake if the file cannot be read.
    pub fn load(path: &Path, module: Option<ModuleSource>) -> Result<Cases, ConfigErrors> {
        let file = path.display().to_string();
        match read_text(path) {
            Ok(text) => Cases::parse(&text, &file, path.parent().unwrap_or(Path::new("")), module),
            Err(mistake) => {
                let mistakes = Mistakes::of(&file, "");
                mistakes.add(&(0..0), "", mistake);
                Err(mistakes
                    .into_result()
                    .expect_err("a mistake was just added"))
            }
        }
    }

    /// Checks the `text` of a file. Mistakes name it `file`, and paths in it are relative to
    /// `base_dir`.
    ///
    /// # Errors
    /// Every mistake in the text.
    pub fn parse(
        text: &str,
        file: &str,
        base_dir: &Path,
        module: Option<ModuleSource>,
    ) -> Result<Cases, ConfigErrors> {
        parse(text, file, base_dir, TestedPolicy::Written(module))
    }

    /// Checks the `text` of a file whose cases are for `policy`, whatever policy the file names.
    /// They are counted before they are read in full.
    ///
    /// # Errors
    /// [`GivenCasesError`]: more than `most` cases, too long a text, or every mistake in it.
    pub fn for_policy(
        text: &str,
        file: &str,
        policy: config::Policy,
        most: usize,
    ) -> Result<Cases, GivenCasesError> {
        if text.len() > MAX_GIVEN_BYTES {
            return Err(GivenCasesError::TooLong(text.len()));
        }
        let headers = count_headers(text);
        if headers > most {
            return Err(GivenCasesError::TooMany(headers));
        }
        // Cases may also be written as a list of tables in braces.
        if let Ok(document) = raw::from_toml(text)
            && let RawKind::Table(entries) = &document.kind
            && let Some(list) = entries.iter().find(|entry| entry.key == "case")
            && let RawKind::List(items) = &list.value.kind
            && items.len() > most
        {
            return Err(GivenCasesError::TooMany(items.len()));
        }
        let policy = TestedPolicy::Given(Box::new(policy));
        parse(text, file, Path::new(""), policy).map_err(GivenCasesError::Mistakes)
    }
}

/// Why the cases that came with a policy can't be run.
#[derive(Debug)]
pub enum GivenCasesError {
    /// There are so many, more than are run.
    TooMany(usize),
    /// Their text has so many bytes, more than are read.
    TooLong(usize),
    /// The text has mistakes.
    Mistakes(ConfigErrors),
}

/// The longest text of cases that come with a policy, in bytes.
const MAX_GIVEN_BYTES: usize = 4 << 20;

/// How many lines begin a case, as `[[case]]`.
fn count_headers(text: &str) -> usize {
    let begins_case = |line: &&str| {
        let inner = line.trim_start().strip_prefix("[[");
        let name = inner.and_then(|inner| inner.trim_start().strip_prefix("case"));
        name.is_some_and(|rest| rest.trim_start().starts_with("]]"))
    };
    text.lines().filter(begins_case).count()
}

/// The policy under test.
enum TestedPolicy {
    /// The policy that the file names, with another module if one is given.
    Written(Option<ModuleSource>),
    /// This policy, whatever the file names.
    Given(Box<config::Policy>),
}

fn parse(
    text: &str,
    file: &str,
    base_dir: &Path,
    tried: TestedPolicy,
) -> Result<Cases, ConfigErrors> {
    let mistakes = Mistakes::of(file, text);
    let cases = match raw::from_toml(text) {
        Ok(document) => Some(read(
            &Loader {
                text,
                base_dir,
                mistakes: &mistakes,
            },
            &document,
            file,
            tried,
        )),
        Err(errors) => {
            for error in errors {
                mistakes.add(
                    &error.at,
                    "",
                    Mistake::new(error.problem, "write it as TOML (https://toml.io)"),
                );
            }
            None
        }
    };
    mistakes.into_result()?;
    Ok(cases.expect("a text that cannot be read is a mistake"))
}

fn read<'a>(loader: &Loader<'a>, document: &'a RawValue, file: &str, tried: TestedPolicy) -> Cases {
    let RawKind::Table(sections) = &document.kind else {
        unreachable!("a TOML document is a table")
    };
    let reader = TableReader::of(&keys::FILE, document, loader.mistakes);
    // A text that somebody sent must not name files of this machine.
    let may_read = matches!(tried, TestedPolicy::Written(_));
    let mut policy = match tried {
        TestedPolicy::Written(module) => loader.policy(reader, module),
        TestedPolicy::Given(policy) => *policy,
    };
    if policy.name.is_empty() {
        policy.name = name_of(&policy.module).into();
    }
    if reader.written("case").is_none() {
        reader.refuse(
            "case",
            Mistake::new(
                "the file has no case",
                "add [[case]] with a name, a question and the expected answer",
            ),
        );
    }
    let cases = loader
        .list(sections, &keys::CASE)
        .into_iter()
        .map(|reader| {
            CaseReader {
                loader: *loader,
                reader,
            }
            .case()
        });
    Cases {
        file: file.into(),
        text: loader.text.into(),
        policy,
        zone: reader.text_as("zone", forms::zone),
        named_files: named_files(&reader, sections, loader.base_dir),
        tables: tables(loader, sections, may_read),
        cases: cases.collect(),
    }
}

/// The files of settings, holidays and tables.
fn named_files(reader: &TableReader<'_>, sections: &[RawEntry], base_dir: &Path) -> Vec<PathBuf> {
    let names = ["settings_file", "calendar"].map(|key| reader.written(key));
    let texts = names
        .into_iter()
        .flatten()
        .filter_map(|value| match &value.kind {
            RawKind::Text(text) if !text.starts_with("builtin:") => Some(base_dir.join(text)),
            _ => None,
        });
    let mut files: Vec<PathBuf> = texts.collect();
    let tables = sections.iter().filter(|entry| entry.key == "table");
    for table in tables.filter_map(|entry| match &entry.value.kind {
        RawKind::List(tables) => Some(tables),
        _ => None,
    }) {
        for entries in table.iter().filter_map(|table| match &table.kind {
            RawKind::Table(entries) => Some(entries),
            _ => None,
        }) {
            let file = entries.iter().find(|entry| entry.key == "file");
            if let Some(RawKind::Text(file)) = file.map(|entry| &entry.value.kind) {
                files.push(base_dir.join(file));
            }
        }
    }
    files
}

/// The data tables that the file gives.
fn tables<'a>(loader: &Loader<'a>, sections: &'a [RawEntry], may_read: bool) -> Arc<TableSet> {
    let tables = TableSet::default();
    for reader in loader.list(sections, &keys::TABLE) {
        let (Some(name), Some(table)) = (
            reader.text_as("name", forms::name),
            table(loader, &reader, may_read),
        ) else {
            continue;
        };
        if tables.table(&name).is_some() {
            let problem = format!("a second table `{name}`");
            reader.refuse("name", Mistake::new(problem, "give it another name"));
        }
        tables.put(&name, Some(Arc::new(table)));
    }
    Arc::new(tables)
}

/// The table in its rows or its file; `None` after a mistake.
fn table(loader: &Loader<'_>, reader: &TableReader<'_>, may_read: bool) -> Option<Table> {
    let kind = reader.word("kind");
    let kind = kind
        .and_then(|word| TableKind::parse(&word))
        .unwrap_or_default();
    let file = reader.text_as("file", |text| Ok(text.to_owned()));
    let (key, content, format) = match (file, reader.written("rows")) {
        (Some(_), _) if !may_read => {
            let problem = "cases that come with a push can't read files";
            reader.refuse("file", Mistake::new(problem, "write `rows` in its place"));
            return None;
        }
        (Some(file), None) => {
            let path = loader.base_dir.join(&file);
            let ending = path.extension().and_then(|ending| ending.to_str());
            let Some(format) = ending.and_then(TableFormat::parse) else {
                let problem = format!("`{file}` ends in neither `.csv` nor `.json`");
                reader.refuse(
                    "file",
                    Mistake::new(problem, "name a file with such an ending"),
                );
                return None;
            };
            match read_text(&path) {
                Ok(content) => ("file", content, format),
                Err(mistake) => {
                    reader.refuse("file", mistake);
                    return None;
                }
            }
        }
        (None, Some(_)) => {
            let rows = Json::Object(text_table(reader, "rows"));
            ("rows", rows.to_string(), TableFormat::Json)
        }
        (Some(_), Some(_)) | (None, None) => {
            let problem = "a table has either `file` or `rows`";
            reader.refuse_at(
                reader.at(),
                "rows",
                Mistake::new(problem, "write one of them"),
            );
            return None;
        }
    };
    match Table::parse(content.as_bytes(), format, kind) {
        Ok(table) => Some(table),
        Err(error) => {
            let problem = match error.line.filter(|_| key == "file") {
                Some(line) => format!("line {line}: {}", error.problem),
                None => error.problem,
            };
            reader.refuse(key, Mistake::new(problem, error.cure));
            None
        }
    }
}

/// A table whose values are texts.
fn text_table(reader: &TableReader<'_>, name: &str) -> serde_json::Map<String, Json> {
    let mut texts = serde_json::Map::new();
    for entry in entries(reader, name) {
        match &entry.value.kind {
            RawKind::Text(text) => {
                texts.insert(entry.key.clone(), text.as_str().into());
            }
            _ => {
                let problem = format!("a text was expected, this is {}", entry.value.describe());
                let cure = format!("write {name} = {{ name = \"value\" }}");
                reader.refuse_at(&entry.value.at, name, Mistake::new(problem, cure));
            }
        }
    }
    texts
}

/// The name in messages of a policy that has no name of its own.
fn name_of(module: &ModuleSource) -> String {
    match module {
        ModuleSource::Builtin(name) => name.clone(),
        ModuleSource::File(path) => path.file_stem().map_or_else(
            || "policy".to_owned(),
            |stem| stem.to_string_lossy().into_owned(),
        ),
    }
}

#[derive(Clone, Copy)]
struct CaseReader<'a> {
    loader: Loader<'a>,
    reader: TableReader<'a>,
}

impl<'a> CaseReader<'a> {
    fn case(self) -> Case {
        let CaseReader { loader, reader } = self;
        let expected = self.expected();
        if expected.is_empty() {
            let cure = "write the expected `on_request`, `on_response` or `plan_warm`";
            reader.refuse_at(
                reader.at(),
                "on_request",
                Mistake::new("the case expects nothing", cure),
            );
        }
        Case {
            name: reader
                .text_as("name", |text| Ok(text.to_owned()))
                .unwrap_or_default(),
            line: place(loader.text, reader.at().start).line,
            at: self.at(),
            request: self.request(),
            response: self
                .table("response", &keys::RESPONSE)
                .map(|reader| CaseResponse {
                    status: reader
                        .count("status")
                        .and_then(|status| StatusCode::from_u16(status as u16).ok())
                        .unwrap_or_default(),
                    headers: fields(&reader, "headers"),
                }),
            plan: reader
                .text_as("plan", |text| Ok(text.to_owned()))
                .unwrap_or_default(),
            popular: self
                .tables("popular", &keys::POPULAR)
                .iter()
                .map(popular_page)
                .collect(),
            expected,
        }
    }

    fn table(&self, name: &str, section: &'static Section) -> Option<TableReader<'a>> {
        Some(TableReader::of(
            section,
            self.reader.written(name)?,
            self.loader.mistakes,
        ))
    }

    fn tables(&self, name: &str, section: &'static Section) -> Vec<TableReader<'a>> {
        let Some(value) = self.reader.written(name) else {
            return Vec::new();
        };
        let RawKind::List(items) = &value.kind else {
            let problem = format!(
                "a list of tables was expected, this is {}",
                value.describe()
            );
            self.reader.refuse(
                name,
                Mistake::new(problem, format!("write {} or [{{ … }}]", section.header)),
            );
            return Vec::new();
        };
        items
            .iter()
            .map(|item| TableReader::of(section, item, self.loader.mistakes))
            .collect()
    }

    fn at(&self) -> LocalDateTime {
        let epoch = LocalDateTime::Instant(Timestamp::default());
        let Some(value) = self.reader.written("at") else {
            return epoch;
        };
        let read = match &value.kind {
            RawKind::Text(text) | RawKind::Datetime(text) => LocalDateTime::parse(text),
            _ => None,
        };
        read.unwrap_or_else(|| {
            let cure = "write a date and a time, \"2026-11-24T08:59:00\"; a time with an offset (-03:00, Z) needs no zone";
            self.reader.refuse("at", Mistake::new(format!("a local time was expected, this is {}", value.describe()), cure));
            epoch
        })
    }

    fn request(&self) -> CaseRequest {
        let reader = &self.reader;
        let url = reader.text_as("url", url).unwrap_or_default();
        let mut headers = fields(reader, "headers");
        if let Some(line) = cookies(reader) {
            headers.append(header::COOKIE, line);
        }
        let device = reader
            .word("device")
            .and_then(|name| Device::from_name(&name));
        CaseRequest {
            method: reader.text_as("method", method).unwrap_or_default(),
            scheme: url.scheme_str().unwrap_or("http").to_owned(),
            host: url.host().unwrap_or("localhost").to_ascii_lowercase(),
            path: url.path().to_owned(),
            query: url.query().map(str::to_owned),
            device: device.unwrap_or_else(|| device::classify(&headers)),
            device_source: reader
                .word("device_source")
                .and_then(|name| DeviceSource::from_name(&name))
                .unwrap_or_default(),
            client: reader.text_as("client", client),
            country: reader.text_as("country", country),
            region: reader.text_as("region", region),
            // The form allows no larger number.
            bucket: reader
                .written("bucket")
                .and(reader.count("bucket"))
                .and_then(|bucket| bucket.try_into().ok()),
            route: reader.text_as("route", forms::name),
            headers,
            variant: reader.text_as("variant", forms::variant),
        }
    }

    fn expected(&self) -> Vec<(Hook, Vec<Expectation>)> {
        let mut expected = Vec::new();
        if let Some(reader) = self.table("on_request", &keys::ON_REQUEST) {
            expected.push((Hook::OnRequest, expectations(&reader, &keys::ON_REQUEST)));
        }
        if let Some(reader) = self.table("on_response", &keys::ON_RESPONSE) {
            expected.push((Hook::OnResponse, expectations(&reader, &keys::ON_RESPONSE)));
        }
        if self.reader.written("plan_warm").is_some() {
            let pages = self.tables("plan_warm", &keys::PLAN_WARM);
            let pages = pages.iter().map(warm_page).collect();
            expected.push((
                Hook::PlanWarm,
                vec![Expectation::Is("plan_warm", Json::Array(pages))],
            ));
        }
        expected
    }
}

fn url(text: &str) -> Result<Uri, Mistake> {
    let uri: Option<Uri> = if text.contains('#') {
        None
    } else {
        text.parse().ok()
    };
    match uri {
        Some(uri)
            if uri.path().starts_with('/')
                && (text.starts_with('/')
                    || matches!(uri.scheme_str(), Some("http" | "https"))) =>
        {
            Ok(uri)
        }
        _ => {
            let cure = "write a path with its query, \"/barberias?zona=palermo\", or a whole URL of http or https";
            Err(Mistake::new(format!("`{text}` is not a URL"), cure))
        }
    }
}

fn client(text: &str) -> Result<IpAddr, Mistake> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, bits.parse::<u8>().ok()),
        None => (text, Some(0)),
    };
    let address = address.parse::<IpAddr>().ok();
    let most = if address.is_some_and(|address| address.is_ipv4()) {
        32
    } else {
        128
    };
    match (address, bits) {
        (Some(address), Some(bits)) if bits <= most => Ok(address),
        _ => Err(Mistake::new(
            format!("`{text}` is neither an address nor a network"),
            "write \"203.0.113.7\" or \"203.0.113.0/24\"",
        )),
    }
}

fn country(text: &str) -> Result<String, Mistake> {
    if text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Ok(text.to_owned());
    }
    let cure = "write two capital letters, \"AR\"";
    Err(Mistake::new(format!("`{text}` is not a country"), cure))
}

fn region(text: &str) -> Result<String, Mistake> {
    let is_good = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    if (1..=3).contains(&text.len()) && text.bytes().all(is_good) {
        return Ok(text.to_owned());
    }
    let cure = "write the part of its code after the hyphen, \"C\" for AR-C";
    Err(Mistake::new(format!("`{text}` is not a region"), cure))
}

fn method(text: &str) -> Result<Method, Mistake> {
    let written_as_sent = text.bytes().all(|byte| !byte.is_ascii_lowercase());
    match text.parse() {
        Ok(method) if written_as_sent => Ok(method),
        _ => Err(Mistake::new(
            format!("`{text}` is not a method"),
            "write \"GET\", \"HEAD\", \"POST\" …",
        )),
    }
}

/// The entries of a table, in the order of the file. A missing key has none, and another kind of
/// value is a mistake.
fn entries<'a>(reader: &TableReader<'a>, name: &str) -> &'a [RawEntry] {
    match reader.written(name) {
        None => &[],
        Some(RawValue {
            kind: RawKind::Table(entries),
            ..
        }) => entries,
        Some(value) => {
            let problem = format!("a table was expected, this is {}", value.describe());
            reader.refuse(
                name,
                Mistake::new(problem, format!("write {name} = {{ name = \"value\" }}")),
            );
            &[]
        }
    }
}

fn fields(reader: &TableReader<'_>, name: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    for entry in entries(reader, name) {
        if fields.len() >= MAX_FIELDS {
            reader.refuse_at(
                &entry.key_at,
                name,
                Mistake::new("the message has too many fields", "leave some out"),
            );
            break;
        }
        let Ok(field) = entry.key.parse::<HeaderName>() else {
            let problem = format!("`{}` is not a field name", entry.key);
            reader.refuse_at(
                &entry.key_at,
                name,
                Mistake::new(problem, "write a field name, \"accept-language\""),
            );
            continue;
        };
        for value in field_lines(reader, name, &entry.value) {
            fields.append(&field, value);
        }
    }
    fields
}

/// The values of one field, one per line.
fn field_lines(reader: &TableReader<'_>, name: &str, written: &RawValue) -> Vec<HeaderValue> {
    let lines = match &written.kind {
        RawKind::List(lines) => lines.as_slice(),
        _ => std::slice::from_ref(written),
    };
    let mut values = Vec::new();
    for line in lines {
        let value = match &line.kind {
            RawKind::Text(text) => HeaderValue::from_bytes(text.as_bytes()).ok(),
            _ => None,
        };
        match value {
            Some(value) => values.push(value),
            None => {
                let problem = format!(
                    "the value of a field was expected, this is {}",
                    line.describe()
                );
                reader.refuse_at(
                    &line.at,
                    name,
                    Mistake::new(problem, "write a text without control characters"),
                );
            }
        }
    }
    values
}

fn cookies(reader: &TableReader<'_>) -> Option<HeaderValue> {
    let mut pairs = Vec::new();
    for entry in entries(reader, "cookies") {
        match &entry.value.kind {
            RawKind::Text(text) if !text.contains(';') && HeaderValue::from_str(text).is_ok() => {
                pairs.push(format!("{}={text}", entry.key))
            }
            _ => {
                let problem = format!(
                    "the value of a cookie was expected, this is {}",
                    entry.value.describe()
                );
                reader.refuse_at(
                    &entry.value.at,
                    "cookies",
                    Mistake::new(problem, "write a text of visible ASCII without a semicolon"),
                );
            }
        }
    }
    if pairs.is_empty() {
        None
    } else {
        HeaderValue::from_str(&pairs.join("; ")).ok()
    }
}

fn popular_page(reader: &TableReader<'_>) -> PopularPage {
    PopularPage {
        url: reader.text_as("url", forms::page).unwrap_or_default(),
        requests: reader.count("requests").unwrap_or_default(),
        variant: reader.text_as("variant", forms::variant).map(Into::into),
    }
}

fn warm_page(reader: &TableReader<'_>) -> Json {
    let mut page = serde_json::Map::new();
    if let Some(url) = reader.text_as("url", |text| Ok(text.to_owned())) {
        page.insert("url".to_owned(), url.into());
    }
    if reader.written("variants").is_some() {
        page.insert("variants".to_owned(), texts(reader, "variants"));
    }
    if let Some(priority) = reader.count("priority") {
        page.insert("priority".to_owned(), priority.into());
    }
    page.into()
}

/// The expectations in a table.
fn expectations(reader: &TableReader<'_>, section: &'static Section) -> Vec<Expectation> {
    let written = section
        .keys
        .iter()
        .filter(|key| reader.written(key.name).is_some());
    let expected = written.filter_map(|key| {
        if let Some(field) = key.name.strip_suffix("_contains") {
            return reader
                .text_as(key.name, |text| Ok(text.to_owned()))
                .map(|part| Expectation::Contains(field, part));
        }
        let is_none = matches!(reader.written(key.name)?.kind, RawKind::Flag(false));
        let value = match key.form {
            Form::Flag => reader.flag(key.name).into(),
            Form::Texts(_) => texts(reader, key.name),
            Form::Table => Json::Object(text_table(reader, key.name)),
            Form::OneOf(_) => reader.word(key.name)?.into(),
            _ if is_none => Json::Null,
            _ => reader.text_as(key.name, |text| text_value(key.name, text))?,
        };
        Some(Expectation::Is(key.name, value))
    });
    expected.collect()
}

/// The value of an expected text, in the form in which answers are shown.
fn text_value(name: &str, text: &str) -> Result<Json, Mistake> {
    match name {
        "reason" | "path" | "query" | "origin" | "answer_body" | "log_tag" | "rate_class" => {
            Ok(text.into())
        }
        "answer" if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(text.into())
        }
        "answer" => Err(Mistake::new(
            format!("`{text}` is not a status"),
            "write \"301\", or false for none",
        )),
        "purge_at" | "stale_at" => match LocalDateTime::parse(text) {
            Some(LocalDateTime::Instant(at)) => Ok(instant(at).into()),
            _ => Err(Mistake::new(
                format!("`{text}` is not a time with its offset"),
                "write \"2026-11-24T12:00:00-03:00\", or false for none",
            )),
        },
        "variant" => forms::variant(text).map(Json::from),
        "lookup" if matches!(text, "cache" | "pass") => Ok(text.into()),
        "lookup" => Err(Mistake::new(
            format!("`{text}` is not known here"),
            "write \"cache\", \"pass\" or false",
        )),
        _ => match units::duration(text) {
            Some(duration) => Ok(units::show_duration(duration).into()),
            None => Err(Mistake::new(
                format!("`{text}` is not a duration"),
                format!("write {}, or false for none", units::DURATION_FORM),
            )),
        },
    }
}

fn texts(reader: &TableReader<'_>, name: &str) -> Json {
    reader
        .texts_as(name, |text| Ok(text.to_owned()))
        .into_iter()
        .map(|(text, _)| text)
        .collect::<Vec<_>>()
        .into()
}
