//! Parses sitemaps (<https://www.sitemaps.org/protocol.html>): the pages that they name, and when
//! these changed; sitemaps that are plain text; and `robots.txt`, which names sitemaps. A sitemap comes from outside, so every list has a bound, and what is wrong is an
//! error or left out.

use std::borrow::Cow;
use std::io::Read as _;

use chrono::{DateTime, NaiveDate, NaiveTime};
use flate2::bufread::MultiGzDecoder;
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use tero_semantics::timestamp::Timestamp;

/// The largest number of entries that is used of one sitemap, and of all sitemaps of a plan
/// together: as many as the protocol allows in one.
pub const MAX_SITEMAP_URLS: usize = 50_000;

/// The deepest nesting of elements. A sitemap has three levels; extensions add some.
const MAX_DEPTH: usize = 32;

/// The longest URL or date, in bytes.
const MAX_TEXT_BYTES: usize = 4_096;

/// A page or a sitemap that a sitemap names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SitemapEntry {
    /// Its URL, as written.
    pub url: String,
    /// When it changed last (`lastmod`). A date without a time is its first moment in UTC.
    pub changed: Option<Timestamp>,
}

/// The entries of a sitemap, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sitemap {
    /// Pages, of a `urlset`.
    Pages(Vec<SitemapEntry>),
    /// Other sitemaps, of a `sitemapindex`.
    Index(Vec<SitemapEntry>),
}

/// Parses a sitemap, compressed with gzip or not, of at most `max_bytes` before and after
/// decompression. Entries beyond [`MAX_SITEMAP_URLS`] are left out.
///
/// # Errors
/// Why this is not a sitemap, for people.
pub fn parse(bytes: &[u8], max_bytes: usize) -> Result<Sitemap, String> {
    let bytes = &*unpack(bytes, max_bytes)?;
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let text = text.trim_start_matches('\u{feff}');
    if is_url(text.trim_start()) {
        return parse_text(text);
    }
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut walk = SitemapWalk::default();
    loop {
        match reader
            .read_event()
            .map_err(|error| format!("is not XML: {error}"))?
        {
            Event::Start(element) => walk.enter(&element)?,
            Event::End(_) => walk.leave(),
            Event::Text(text) => walk.text(&text),
            Event::CData(text) => walk.text(&text),
            Event::GeneralRef(reference) => {
                let one = reference
                    .resolve_char_ref()
                    .map_err(|error| format!("is not XML: {error}"))?;
                walk.text(
                    one.map_or(predefined(&reference), |one| one.to_string())
                        .as_str(),
                );
            }
            Event::DocType(text) if text.trim_start().to_ascii_lowercase().starts_with("html") => {
                return Err("is HTML, not a sitemap".to_owned());
            }
            // It could only define entities, which sitemaps do not need.
            Event::DocType(_) => return Err("has a document type".to_owned()),
            Event::Eof => return walk.end(),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Empty(_) => {}
        }
    }
}

/// The sitemaps that a `robots.txt` names (RFC 9309 §2.2.4), of at most `max_bytes`.
///
/// # Errors
/// Why it names no sitemap, for people.
pub fn parse_robots(bytes: &[u8], max_bytes: usize) -> Result<Sitemap, String> {
    let bytes = &*unpack(bytes, max_bytes)?;
    // Lines of other groups may be in any encoding.
    let text = String::from_utf8_lossy(bytes);
    let mut found = Vec::new();
    for line in text.trim_start_matches('\u{feff}').lines() {
        let Some((field, value)) = line.split_once(':') else {
            continue;
        };
        let url = value.split_ascii_whitespace().next().unwrap_or_default();
        let is_sitemap = field.trim().eq_ignore_ascii_case("sitemap");
        if is_sitemap && is_url(url) && url.len() < MAX_TEXT_BYTES && found.len() < MAX_SITEMAP_URLS
        {
            found.push(SitemapEntry {
                url: url.to_owned(),
                changed: None,
            });
        }
    }
    if found.is_empty() {
        Err("names no sitemap".to_owned())
    } else {
        Ok(Sitemap::Index(found))
    }
}

/// Parses a sitemap that has a URL on each line, and nothing else.
fn parse_text(text: &str) -> Result<Sitemap, String> {
    let mut found = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if !is_url(line) {
            return Err("has a line that is not a URL".to_owned());
        }
        if line.len() < MAX_TEXT_BYTES && found.len() < MAX_SITEMAP_URLS {
            found.push(SitemapEntry {
                url: line.to_owned(),
                changed: None,
            });
        }
    }
    Ok(Sitemap::Pages(found))
}

fn is_url(text: &str) -> bool {
    let begins = |scheme: &str| {
        text.get(..scheme.len())
            .is_some_and(|begin| begin.eq_ignore_ascii_case(scheme))
    };
    begins("http://") || begins("https://")
}

/// Decompresses the text if it is compressed, and gives up as soon as it is too large.
fn unpack(bytes: &[u8], max_bytes: usize) -> Result<Cow<'_, [u8]>, String> {
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return if bytes.len() > max_bytes {
            Err(format!("is larger than {max_bytes} bytes"))
        } else {
            Ok(bytes.into())
        };
    }
    let mut unpacked = Vec::new();
    let limit = (max_bytes as u64).saturating_add(1);
    match MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut unpacked)
    {
        Err(error) => Err(format!("is not valid gzip: {error}")),
        Ok(_) if unpacked.len() > max_bytes => {
            Err(format!("decompresses to more than {max_bytes} bytes"))
        }
        Ok(_) => Ok(unpacked.into()),
    }
}

/// Parses the date of a `lastmod`, with or without a time (W3C Datetime).
fn date(text: &str) -> Option<Timestamp> {
    let instant = DateTime::parse_from_rfc3339(text)
        .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M%:z"));
    let secs = match instant {
        Ok(instant) => instant.timestamp(),
        Err(_) => NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_time(NaiveTime::MIN)
            .and_utc()
            .timestamp(),
    };
    Some(Timestamp::from_unix_secs(secs))
}

/// The character of one of XML's five predefined entities.
fn predefined(name: &str) -> String {
    quick_xml::escape::resolve_predefined_entity(name)
        .unwrap_or_default()
        .to_owned()
}

/// The position of the parser in a sitemap, and the entries so far. Names are compared without
/// their namespace, which is often missing or mistyped.
#[derive(Default)]
struct SitemapWalk {
    depth: usize,
    root: Option<SitemapRoot>,
    in_entry: bool,
    field: Option<SitemapField>,
    text: String,
    url: String,
    changed: Option<Timestamp>,
    found: Vec<SitemapEntry>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SitemapField {
    Location,
    Changed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SitemapRoot {
    Pages,
    Index,
}

impl SitemapWalk {
    fn enter(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let name = element.local_name();
        let name = name.as_ref();
        self.depth += 1;
        match (self.depth, self.root, name) {
            (1, None, "urlset") => self.root = Some(SitemapRoot::Pages),
            (1, None, "sitemapindex") => self.root = Some(SitemapRoot::Index),
            (1, None, _) => {
                return Err(format!(
                    "is <{}>, not a sitemap",
                    name.chars().take(32).collect::<String>()
                ));
            }
            (1, Some(_), _) => return Err("is not XML: it has two roots".to_owned()),
            (2, Some(SitemapRoot::Pages), "url") | (2, Some(SitemapRoot::Index), "sitemap") => {
                self.in_entry = true
            }
            (3, _, "loc") if self.in_entry => self.field = Some(SitemapField::Location),
            (3, _, "lastmod") if self.in_entry => self.field = Some(SitemapField::Changed),
            (depth, _, _) if depth > MAX_DEPTH => {
                return Err("has elements nested too deeply".to_owned());
            }
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self) {
        match (self.depth, self.field) {
            (2, _) => self.end_entry(),
            (3, Some(field)) => {
                let text = std::mem::take(&mut self.text);
                match field {
                    SitemapField::Location => self.url = text.trim().to_owned(),
                    SitemapField::Changed => self.changed = date(text.trim()),
                }
                self.field = None;
            }
            _ => {}
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn end_entry(&mut self) {
        self.in_entry = false;
        let (url, changed) = (std::mem::take(&mut self.url), self.changed.take());
        if !url.is_empty() && url.len() < MAX_TEXT_BYTES && self.found.len() < MAX_SITEMAP_URLS {
            self.found.push(SitemapEntry { url, changed });
        }
    }

    fn text(&mut self, text: &str) {
        if self.field.is_some() && self.text.len() < MAX_TEXT_BYTES {
            let mut end = text.len().min(MAX_TEXT_BYTES - self.text.len());
            while !text.is_char_boundary(end) {
                end += 1;
            }
            self.text.push_str(&text[..end]);
        }
    }

    fn end(self) -> Result<Sitemap, String> {
        match self.root {
            _ if self.depth > 0 => Err("is cut short".to_owned()),
            None => Err("is not XML".to_owned()),
            Some(SitemapRoot::Pages) => Ok(Sitemap::Pages(self.found)),
            Some(SitemapRoot::Index) => Ok(Sitemap::Index(self.found)),
        }
    }
}

/// The host of an absolute URL, in lower case and without port, and its target without fragment.
/// Characters beyond ASCII are percent-encoded, as browsers do. `None` if the scheme is not `http`
/// or `https`.
pub fn split_url(url: &str) -> Option<(String, String)> {
    let uri: http::Uri = encoded(url.split('#').next()?).parse().ok()?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return None;
    }
    // `http://:80/` has a host, but an empty one.
    let host = uri
        .host()
        .filter(|host| !host.is_empty())?
        .to_ascii_lowercase();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') {
        target.to_owned()
    } else {
        format!("/{target}")
    };
    Some((host, target))
}

/// The URL with its characters beyond ASCII percent-encoded.
fn encoded(url: &str) -> Cow<'_, str> {
    if url.is_ascii() {
        return url.into();
    }
    let mut out = String::with_capacity(url.len() + 16);
    for byte in url.bytes() {
        if byte.is_ascii() {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAX_BYTES: usize = 50 << 20;

    fn urls(entries: Vec<SitemapEntry>) -> Vec<String> {
        entries.into_iter().map(|entry| entry.url).collect()
    }

    fn pages(text: &str) -> Result<Vec<String>, String> {
        match parse(text.as_bytes(), MAX_BYTES)? {
            Sitemap::Pages(pages) => Ok(urls(pages)),
            Sitemap::Index(_) => Err("index".to_owned()),
        }
    }

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut packed = Vec::new();
        flate2::bufread::GzEncoder::new(bytes, flate2::Compression::best())
            .read_to_end(&mut packed)
            .unwrap();
        packed
    }

    #[test]
    fn pages_and_indexes_are_read() {
        let namespace = "xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\"";
        let text = format!(
            "<?xml version=\"1.0\"?>\n<urlset {namespace}><url><loc> http://a.example/ </loc><lastmod>2026-01-01</lastmod></url>\
             <url><priority>1</priority></url><url><loc>http://a.example/b?c=1&amp;d=2&#65;</loc></url>\
             <url><x><loc>http://a.example/inner</loc></x><s:loc><![CDATA[http://a.example/e]]></s:loc></url></urlset>"
        );
        assert_eq!(
            pages(&text).unwrap(),
            [
                "http://a.example/",
                "http://a.example/b?c=1&d=2A",
                "http://a.example/e"
            ]
        );
        let index = format!(
            "<sitemapindex {namespace}><sitemap><loc>http://a.example/1.xml</loc></sitemap></sitemapindex>"
        );
        let entry = SitemapEntry {
            url: "http://a.example/1.xml".to_owned(),
            changed: None,
        };
        assert_eq!(
            parse(index.as_bytes(), MAX_BYTES),
            Ok(Sitemap::Index(vec![entry.clone()]))
        );
        assert_eq!(
            parse(&packed(index.as_bytes()), MAX_BYTES),
            Ok(Sitemap::Index(vec![entry]))
        );
    }

    #[test]
    fn a_sitemap_may_be_text() {
        assert_eq!(
            pages("\u{feff}\n http://a.example/ \r\n\nHTTPS://a.example/ñ b\n").unwrap(),
            ["http://a.example/", "HTTPS://a.example/ñ b"]
        );
        assert_eq!(
            pages("http://a.example/\nsoon"),
            Err("has a line that is not a URL".to_owned())
        );
        assert_eq!(pages("a.example"), Err("is not XML".to_owned()));
        let many = "http://a.example/\n".repeat(MAX_SITEMAP_URLS + 1);
        assert_eq!(pages(&many).unwrap().len(), MAX_SITEMAP_URLS);
    }

    #[test]
    fn robots_txt_names_sitemaps() {
        let text = b"User-agent: *\nDisallow: /x\nSITEMAP : http://a.example/1.xml # new\nsitemap:https://a.example/2.xml\nSitemap: /3.xml\n\xff";
        let Ok(Sitemap::Index(found)) = parse_robots(text, MAX_BYTES) else {
            panic!("it names two");
        };
        assert_eq!(
            urls(found),
            ["http://a.example/1.xml", "https://a.example/2.xml"]
        );
        let none = parse_robots(b"User-agent: *\n", MAX_BYTES);
        assert_eq!(none, Err("names no sitemap".to_owned()));
        assert!(parse_robots(&[b' '; 11], 10).is_err());
    }

    #[test]
    fn urls_are_percent_encoded_as_browsers_do() {
        let split = |url| split_url(url).unwrap();
        assert_eq!(
            split("http://A.example/peluquería/año?q=ñ#x"),
            (
                "a.example".to_owned(),
                "/peluquer%C3%ADa/a%C3%B1o?q=%C3%B1".to_owned()
            )
        );
        assert_eq!(split("http://a/%C3%B1").1, "/%C3%B1");
        assert_eq!(split_url("http://españa.example/"), None);
    }

    #[test]
    fn lastmod_is_parsed_in_each_of_its_forms() {
        let check = |written: &str, expected: Option<i64>| {
            let text = format!(
                "<urlset><url><lastmod> {written}</lastmod><loc>http://a.example/</loc></url><url><loc>http://b/</loc></url></urlset>"
            );
            let Ok(Sitemap::Pages(pages)) = parse(text.as_bytes(), MAX_BYTES) else {
                panic!("{text}")
            };
            assert_eq!(
                pages[0].changed,
                expected.map(Timestamp::from_unix_secs),
                "{written}"
            );
            assert_eq!(pages[1].changed, None);
        };
        check("2026-01-05", Some(1_767_571_200));
        check("2026-01-05T00:00:00Z", Some(1_767_571_200));
        check("2026-01-04T21:00:00.5-03:00", Some(1_767_571_200));
        check("2026-01-04T21:00-03:00", Some(1_767_571_200));
        check("2026-13-05", None);
        check("yesterday", None);
        check("", None);
    }

    #[test]
    fn text_that_is_not_a_sitemap_is_refused_with_the_reason() {
        let check = |text: &str, expected: &str| {
            let error = parse(text.as_bytes(), MAX_BYTES).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("", "not XML");
        check("<html><body>404</body></html>", "is <html>, not a sitemap");
        check(
            "<!doctype HTML>\n<html><body><p>404</body></html>",
            "is HTML, not a sitemap",
        );
        check(
            "<urlset><url><loc>http://a.example/</loc></url>",
            "cut short",
        );
        check("<urlset><url></urlset>", "not XML");
        check("<urlset></urlset><urlset></urlset>", "two roots");
        check(
            "<!DOCTYPE x [<!ENTITY a \"b\">]><urlset><url><loc>&a;</loc></url></urlset>",
            "document type",
        );
        check(
            &format!("<urlset>{}", "<a>".repeat(1_000_000)),
            "nested too deeply",
        );
        assert!(parse(b"\xff\xfe", MAX_BYTES).unwrap_err().contains("UTF-8"));
        assert!(
            parse(&[b' '; 101], 100)
                .unwrap_err()
                .contains("larger than 100 bytes")
        );
    }

    #[test]
    fn broken_and_oversized_compressed_sitemaps_are_refused() {
        let check = |bytes: &[u8], expected: &str| {
            let error = parse(bytes, 1 << 20).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check(b"\x1f\x8b\x08", "not valid gzip");
        // 100 MiB of blanks in 100 KiB, and the same compressed twice.
        let bomb = packed(&vec![b' '; 100 << 20]);
        assert!(bomb.len() < 200 << 10, "{}", bomb.len());
        check(&bomb, "decompresses to more than 1048576 bytes");
        check(&packed(&bomb), "not UTF-8");
        let fits = format!("<urlset>{}</urlset>", " ".repeat((1 << 20) - 17));
        assert_eq!(
            parse(&packed(fits.as_bytes()), 1 << 20),
            Ok(Sitemap::Pages(Vec::new()))
        );
        // Several gzip members, as in concatenated files.
        let joined = [
            packed(b"<urlset><url><loc>http://a.example/"),
            packed(b"</loc></url></urlset>"),
        ]
        .concat();
        assert!(matches!(parse(&joined, 1 << 20), Ok(Sitemap::Pages(pages)) if pages.len() == 1));
    }

    #[test]
    fn an_overlong_location_is_left_out() {
        let long = "é".repeat(MAX_TEXT_BYTES);
        assert_eq!(
            pages(&format!(
                "<urlset><url><loc>http://a.example/{long}</loc></url></urlset>"
            )),
            Ok(vec![])
        );
    }

    #[test]
    fn pages_beyond_the_limit_are_left_out() {
        let entries: String = (0..MAX_SITEMAP_URLS + 10)
            .map(|page| format!("<url><loc>http://a.example/{page}</loc></url>"))
            .collect();
        assert_eq!(
            pages(&format!("<urlset>{entries}</urlset>")).unwrap().len(),
            MAX_SITEMAP_URLS
        );
    }

    #[test]
    fn urls_are_split_into_host_and_target() {
        let check = |url: &str, expected: Option<(&str, &str)>| {
            assert_eq!(
                split_url(url),
                expected.map(|(host, target)| (host.to_owned(), target.to_owned())),
                "{url}"
            );
        };
        check("http://A.Example:8080/b?c#d", Some(("a.example", "/b?c")));
        check("https://a.example", Some(("a.example", "/")));
        check("https://a.example?q=1", Some(("a.example", "/?q=1")));
        check("ftp://a.example/", None);
        check("/only/a/path", None);
        check("http://", None);
        check("http://:80/a", None);
        check("http://a.example/ b", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[<>/!?a-c \"'=&;-]{0,200}", url: String) {
            let _ = parse(text.as_bytes(), 100);
            let _ = split_url(&url);
        }
    }
}
