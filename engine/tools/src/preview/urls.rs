//! Which URLs of a site to ask about: those that its plans and the settings of its policies name.

use serde_json::Value;

use tero_config::{Config, Site};

/// So many are asked about; each costs some ten thousand questions a week.
pub(super) const MAX_URLS: usize = 64;

/// URLs without doubles.
#[derive(Debug, Default)]
pub(super) struct Urls {
    pub(super) list: Vec<String>,
    /// How many there were beyond [`MAX_URLS`].
    pub(super) left_out: usize,
}

/// Those that are wished for, the home page, those of the site's plans, and one for each path
/// pattern that the settings of its policies hold: a text that begins with `/` or `*`, with `x` in
/// the place of stars.
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
        } else if self.list.len() < MAX_URLS {
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

/// A path that the pattern fits.
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
    fn a_pattern_is_asked_about_by_a_path_that_fits() {
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
    fn there_are_so_many_and_no_more() {
        let mut urls = Urls::default();
        (0..100)
            .chain(0..10)
            .for_each(|number| urls.add(format!("/{number}")));
        assert_eq!((urls.list.len(), urls.left_out), (MAX_URLS, 100 - MAX_URLS));
    }
}
