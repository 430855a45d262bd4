//! The URLs of a site to ask about: those that its plans and the settings of its policies name.

use serde_json::Value;

use tero_config::{Config, Site};

/// The most URLs to ask about. Each takes about ten thousand questions for a week.
pub(super) const MAX_URLS: usize = 64;

/// A list of different URLs.
#[derive(Debug, Default)]
pub(super) struct Urls {
    pub(super) list: Vec<String>,
    /// How many URLs were left out because of [`MAX_URLS`].
    pub(super) left_out: usize,
}

/// The `wished` URLs, the home page, those of the site's plans, and one for each path pattern in
/// the settings of its policies: a text that begins with `/` or `*`, with `x` in place of each
/// star.
pub(super) fn of(config: &Config, site: &Site, wished: &[String]) -> Urls {
    let mut urls = Urls::default();
    let plans = config
        .plans
        .iter()
        .filter(|plan| plan.site == site.name)
        .flat_map(|plan| &plan.urls);
    for url in wished
        .iter()
        .map(String::as_str)
        .chain(["/"])
        .chain(plans.map(String::as_str))
    {
        urls.add(url.to_owned());
    }
    for policy in config
        .policies
        .iter()
        .filter(|policy| site.policies.contains(&policy.name))
    {
        if let Ok(settings) = serde_json::from_str(&policy.settings) {
            patterns(&settings, &mut |pattern| urls.add(example(pattern)));
        }
    }
    urls
}

impl Urls {
    fn add(&mut self, url: String) {
        if self.list.contains(&url) {
            return;
        }
        if self.list.len() < MAX_URLS {
            self.list.push(url);
        } else {
            self.left_out += 1;
        }
    }
}

fn patterns(settings: &Value, found: &mut impl FnMut(&str)) {
    match settings {
        Value::String(text) if is_pattern(text) => found(text),
        Value::Array(items) => items.iter().for_each(|item| patterns(item, found)),
        Value::Object(members) => members.values().for_each(|member| patterns(member, found)),
        _ => {}
    }
}

fn is_pattern(text: &str) -> bool {
    text.starts_with(['/', '*'])
        && text.len() <= 1_024
        && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A path that matches the pattern.
fn example(pattern: &str) -> String {
    let path = pattern.replace('*', "x");
    if path.starts_with('/') {
        path
    } else {
        format!("/{path}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_gives_a_path_that_matches_it() {
        for (pattern, path) in [
            ("/", "/"),
            ("/a/*", "/a/x"),
            ("*.css", "/x.css"),
            ("*", "/x"),
            ("/*/b/*.jpg", "/x/b/x.jpg"),
        ] {
            assert_eq!(example(pattern), path);
        }
        let mut found = Vec::new();
        let settings = serde_json::json!({"rules": [{"paths": ["/a/*", "no"], "name": "/ b"}], "zone": "UTC", "all": "*"});
        patterns(&settings, &mut |pattern| found.push(pattern.to_owned()));
        assert_eq!(found, ["*", "/a/*"]);
    }

    #[test]
    fn urls_beyond_the_limit_are_counted_and_left_out() {
        let mut urls = Urls::default();
        (0..100)
            .chain(0..10)
            .for_each(|number| urls.add(format!("/{number}")));
        assert_eq!((urls.list.len(), urls.left_out), (MAX_URLS, 100 - MAX_URLS));
    }
}
