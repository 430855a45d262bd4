//! Sitemaps (<https://www.sitemaps.org/protocol.html>): which pages of a site one names. Read as what it is, text from outside:
//! every list has a bound, and what is wrong is told and left out.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

/// The largest sitemap, in bytes.
pub const MAX_SITEMAP_BYTES: usize = 10 * 1024 * 1024;

/// Pages that are taken from a sitemap and those that it lists, together.
pub const MAX_SITEMAP_URLS: usize = 50_000;

/// Sitemaps that are read from an index.
pub const MAX_SITEMAPS: usize = 50;

/// Levels of elements within elements: a sitemap has three, extensions some more.
const MAX_DEPTH: usize = 32;

/// No page has a longer URL.
const MAX_LOCATION_BYTES: usize = 4_096;

/// What a sitemap names, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sitemap {
    /// Pages.
    Pages(Vec<String>),
    /// Other sitemaps.
    Index(Vec<String>),
}

/// Reads a sitemap.
///
/// # Errors
/// Why this is none, for people.
pub fn parse(bytes: &[u8]) -> Result<Sitemap, String> {
    if bytes.len() > MAX_SITEMAP_BYTES {
        return Err("is larger than 10MiB".to_owned());
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return Err("is compressed".to_owned());
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "is not UTF-8".to_owned())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    reader.config_mut().expand_empty_elements = true;
    let mut walk = Walk::default();
    loop {
        match reader.read_event().map_err(|error| format!("is not XML: {error}"))? {
            Event::Start(element) => walk.enter(&element)?,
            Event::End(_) => walk.leave(),
            Event::Text(text) => walk.text(&text),
            Event::CData(text) => walk.text(&text),
            Event::GeneralRef(reference) => {
                let one = reference.resolve_char_ref().map_err(|error| format!("is not XML: {error}"))?;
                walk.text(one.map_or(predefined(&reference), |one| one.to_string()).as_str());
            }
            // It could only define entities, and nobody needs them here.
            Event::DocType(_) => return Err("has a document type".to_owned()),
            Event::Eof => return walk.end(),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) | Event::Empty(_) => {}
        }
    }
}

/// What one of XML's own five entities stands for.
fn predefined(name: &str) -> String {
    quick_xml::escape::resolve_predefined_entity(name).unwrap_or_default().to_owned()
}

/// Where the reader is, and what it has found. Names are compared without their namespace, which is often left out or mistyped.
#[derive(Default)]
struct Walk {
    depth: usize,
    root: Option<Root>,
    in_entry: bool,
    in_location: bool,
    location: String,
    found: Vec<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Pages,
    Index,
}

impl Walk {
    fn enter(&mut self, element: &BytesStart<'_>) -> Result<(), String> {
        let name = element.local_name();
        let name = name.as_ref();
        self.depth += 1;
        match (self.depth, self.root, name) {
            (1, None, "urlset") => self.root = Some(Root::Pages),
            (1, None, "sitemapindex") => self.root = Some(Root::Index),
            (1, None, _) => return Err(format!("is no sitemap but <{}>", name.chars().take(32).collect::<String>())),
            (1, Some(_), _) => return Err("is not XML: it has two roots".to_owned()),
            (2, Some(Root::Pages), "url") | (2, Some(Root::Index), "sitemap") => self.in_entry = true,
            (3, _, "loc") => self.in_location = self.in_entry,
            (depth, _, _) if depth > MAX_DEPTH => return Err("has elements nested too deeply".to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn leave(&mut self) {
        match self.depth {
            2 => self.in_entry = false,
            3 if self.in_location => {
                self.in_location = false;
                let location = std::mem::take(&mut self.location);
                let location = location.trim();
                if !location.is_empty() && location.len() < MAX_LOCATION_BYTES && self.found.len() < self.limit() {
                    self.found.push(location.to_owned());
                }
            }
            _ => {}
        }
        self.depth = self.depth.saturating_sub(1);
    }

    fn text(&mut self, text: &str) {
        if self.in_location && self.location.len() < MAX_LOCATION_BYTES {
            let mut end = text.len().min(MAX_LOCATION_BYTES - self.location.len());
            while !text.is_char_boundary(end) {
                end += 1;
            }
            self.location.push_str(&text[..end]);
        }
    }

    fn limit(&self) -> usize {
        if self.root == Some(Root::Index) { MAX_SITEMAPS } else { MAX_SITEMAP_URLS }
    }

    fn end(self) -> Result<Sitemap, String> {
        match self.root {
            _ if self.depth > 0 => Err("is cut short".to_owned()),
            None => Err("is not XML".to_owned()),
            Some(Root::Pages) => Ok(Sitemap::Pages(self.found)),
            Some(Root::Index) => Ok(Sitemap::Index(self.found)),
        }
    }
}

/// Host and target of an absolute URL: lower case and without port; without fragment. None where it is not `http` or `https`.
pub fn split_url(url: &str) -> Option<(String, String)> {
    let uri: http::Uri = url.split('#').next()?.parse().ok()?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return None;
    }
    // `http://:80/` has a host, but an empty one.
    let host = uri.host().filter(|host| !host.is_empty())?.to_ascii_lowercase();
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    Some((host, target))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pages(text: &str) -> Result<Vec<String>, String> {
        match parse(text.as_bytes())? {
            Sitemap::Pages(pages) => Ok(pages),
            Sitemap::Index(_) => Err("index".to_owned()),
        }
    }

    #[test]
    fn pages_and_indexes_are_read() {
        let namespace = "xmlns=\"http://www.sitemaps.org/schemas/sitemap/0.9\"";
        let text = format!(
            "<?xml version=\"1.0\"?>\n<urlset {namespace}><url><loc> http://a.example/ </loc><lastmod>2026-01-01</lastmod></url>\
             <url><priority>1</priority></url><url><loc>http://a.example/b?c=1&amp;d=2&#65;</loc></url>\
             <url><x><loc>http://a.example/inner</loc></x><s:loc><![CDATA[http://a.example/e]]></s:loc></url></urlset>"
        );
        assert_eq!(pages(&text).unwrap(), ["http://a.example/", "http://a.example/b?c=1&d=2A", "http://a.example/e"]);
        let index = format!("<sitemapindex {namespace}><sitemap><loc>http://a.example/1.xml</loc></sitemap></sitemapindex>");
        assert_eq!(parse(index.as_bytes()), Ok(Sitemap::Index(vec!["http://a.example/1.xml".to_owned()])));
    }

    #[test]
    fn what_is_no_sitemap_is_refused_with_the_reason() {
        let check = |text: &str, expected: &str| {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{error}");
        };
        check("", "not XML");
        check("<html><body>404</body></html>", "no sitemap but <html>");
        check("<urlset><url><loc>http://a.example/</loc></url>", "cut short");
        check("<urlset><url></urlset>", "not XML");
        check("<urlset></urlset><urlset></urlset>", "two roots");
        check("<!DOCTYPE x [<!ENTITY a \"b\">]><urlset><url><loc>&a;</loc></url></urlset>", "document type");
        check(&format!("<urlset>{}", "<a>".repeat(1_000_000)), "nested too deeply");
        assert!(parse(b"\x1f\x8b\x08").unwrap_err().contains("compressed"));
        assert!(parse(b"\xff\xfe").unwrap_err().contains("UTF-8"));
        assert!(parse(&vec![b' '; MAX_SITEMAP_BYTES + 1]).unwrap_err().contains("10MiB"));
    }

    #[test]
    fn a_location_without_end_is_left_out() {
        let long = "é".repeat(MAX_LOCATION_BYTES);
        assert_eq!(pages(&format!("<urlset><url><loc>http://a.example/{long}</loc></url></urlset>")), Ok(vec![]));
    }

    #[test]
    fn no_more_pages_are_taken_than_the_limit() {
        let entries: String =
            (0..MAX_SITEMAP_URLS + 10).map(|page| format!("<url><loc>http://a.example/{page}</loc></url>")).collect();
        assert_eq!(pages(&format!("<urlset>{entries}</urlset>")).unwrap().len(), MAX_SITEMAP_URLS);
    }

    #[test]
    fn urls_are_split_into_host_and_target() {
        let check = |url: &str, expected: Option<(&str, &str)>| {
            assert_eq!(split_url(url), expected.map(|(host, target)| (host.to_owned(), target.to_owned())), "{url}");
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
        fn no_text_is_too_much(text in "[<>/!?a-c \"'=&;-]{0,200}", url: String) {
            let _ = parse(text.as_bytes());
            let _ = split_url(&url);
        }
    }
}
