//! Proposals in the text of a configuration: what is changed is written where a person would write it,
//! and all else stays as it is.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

use super::plain::{is_plain_host, is_plain_name, is_plain_pattern};
use super::rule_text::{
    LIFETIMES, has_key, has_quoted_duration, quoted, raised, raised_value, shown, value_of,
    with_pattern_alone, without_entry, without_pattern,
};
use super::rules::SiteInText;

/// The key of a rule's stale window, and of a site's.
const STALE: &str = "stale_while_revalidate";

/// A change of a configuration.
#[derive(Clone, Debug, PartialEq)]
pub enum ConfigEdit {
    /// Responses below a pattern live at least this long, and may be stale for so long.
    Lifetime {
        /// The path pattern.
        pattern: String,
        /// The lifetime.
        ttl: Duration,
        /// How long it may be used stale while it is revalidated.
        stale: Duration,
    },
    /// These parameters of queries don't count.
    DropParameters {
        /// Their names, or how they begin: `utm_*`.
        names: Vec<String>,
    },
    /// Devices get the same responses below a pattern.
    NoVariants {
        /// The path pattern.
        pattern: String,
    },
    /// A table of the site, such as `[site.refresh_ahead]`.
    SiteTable {
        /// Its name without `site.`.
        name: String,
        /// Its keys and their values, as they are written.
        keys: Vec<(String, String)>,
    },
    /// A warming plan.
    Plan {
        /// Its name.
        name: String,
        /// The host under which it fetches pages; `None` for the one that visitors of the site request
        /// most.
        host: Option<String>,
        /// Its schedule: five fields.
        schedule: String,
        /// The zone of the schedule.
        zone: String,
        /// How many of the most popular pages it fetches.
        pages: usize,
    },
}

/// Why an edit isn't written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditRefusal {
    /// The configuration says it already, or says it in a way that can't be changed here, such as settings
    /// in a file of their own.
    Elsewhere,
    /// The rule is in a policy that another site has too.
    Shared {
        /// The policy.
        policy: String,
        /// The other site.
        site: String,
    },
}

impl fmt::Display for EditRefusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EditRefusal::Elsewhere => {
                formatter.write_str("the configuration says it already, or elsewhere")
            }
            EditRefusal::Shared { policy, site } => write!(
                formatter,
                "the rule is in the policy `{policy}`, which the site `{site}` has too: give the site a policy of its own"
            ),
        }
    }
}

/// The text of a configuration, and the site in it that is advised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigText {
    text: String,
    site: String,
}

impl ConfigText {
    /// The text of a valid configuration, and the name of one of its sites.
    pub fn new(text: &str, site: &str) -> ConfigText {
        ConfigText {
            text: text.to_owned(),
            site: site.to_owned(),
        }
    }

    /// The name of the site that is advised.
    pub fn site(&self) -> &str {
        &self.site
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the site has a table of this name, such as `refresh_ahead`.
    pub fn site_has_table(&self, name: &str) -> bool {
        let Some((start, _)) = self.site_keys() else {
            return false;
        };
        let lines = self.text.lines().take(self.site_end()).skip(start);
        lines.filter_map(header).any(|header| {
            header
                .strip_prefix("site.")
                .is_some_and(|table| table == name)
        })
    }

    /// Whether the site names a host, and not patterns such as `*` alone.
    pub fn site_has_host(&self) -> bool {
        SiteInText::of(&self.text, &self.site).has_host()
    }

    /// Whether a warming plan is for the site.
    pub fn has_plan(&self) -> bool {
        let named = quoted(&self.site);
        let mut table = "";
        self.text.lines().any(|line| {
            table = header(line).unwrap_or(table);
            table == "warm" && key_of(line) == Some("site") && line.contains(&named)
        })
    }

    /// The configuration with a change. Patterns and names with signs that mean something in a
    /// configuration are not written.
    ///
    /// # Errors
    /// Why nothing is changed.
    pub fn with(&self, edit: &ConfigEdit) -> Result<ConfigText, EditRefusal> {
        let text = match edit {
            ConfigEdit::Lifetime {
                pattern,
                ttl,
                stale,
            } if is_plain_pattern(pattern) => self.with_lifetime(pattern, *ttl, *stale)?,
            ConfigEdit::DropParameters { names } if names.iter().all(|name| is_droppable(name)) => {
                self.with_dropped(names)
            }
            ConfigEdit::NoVariants { pattern } if is_plain_pattern(pattern) => {
                self.without_variants(pattern)?
            }
            ConfigEdit::Lifetime { .. }
            | ConfigEdit::DropParameters { .. }
            | ConfigEdit::NoVariants { .. } => None,
            ConfigEdit::SiteTable { name, keys } => self.with_table(name, keys),
            ConfigEdit::Plan {
                name,
                host,
                schedule,
                zone,
                pages,
            } => Some(format!(
                "{}\n[[warm]]\nname = {}\nsite = {}\n{}schedule = {}\nzone = {}\npopular = {pages}\nrate = {:.1}\n",
                ended(&self.text),
                quoted(&self.free_name(name)),
                quoted(&self.site),
                host_line(host.as_deref()),
                quoted(schedule),
                quoted(zone),
                plan_rate(*pages)
            )),
        };
        let text = text.filter(|text| *text != self.text);
        let text = text.ok_or(EditRefusal::Elsewhere)?;
        let site = self.site.clone();
        Ok(ConfigText { text, site })
    }

    /// Raises a rule of the site's policies, or gives the origin's responses another `Cache-Control`
    /// where no policy has a rule.
    fn with_lifetime(
        &self,
        pattern: &str,
        ttl: Duration,
        stale: Duration,
    ) -> Result<Option<String>, EditRefusal> {
        let is_lifetime = |rule: &str| LIFETIMES.iter().any(|key| has_key(rule, key));
        if let Some(Range { start, end }) = self.rule(pattern, is_lifetime)? {
            let rule = &self.text[start..end];
            // Words such as `never` are for a person to weigh.
            let Some(raised) = raised(rule, ttl) else {
                return Ok(None);
            };
            let raised = self.with_stale(&raised, stale);
            if raised == rule {
                return Ok(None);
            }
            // The pattern gets a rule of its own, and the others keep what they have.
            let own = with_pattern_alone(&raised, pattern);
            let indent = indent_of(&self.text, start);
            let separator = match without_pattern(rule, pattern) {
                Some(others) => format!(",\n{indent}{others}"),
                None => String::new(),
            };
            return Ok(Some(format!(
                "{}{own}{separator}{}",
                &self.text[..start],
                &self.text[end..]
            )));
        }
        // Another table of the site names the pattern: what it means is for a person to weigh.
        if SiteInText::of(&self.text, &self.site).names(pattern) {
            return Ok(None);
        }
        let quoted = quoted(pattern);
        let keys = [
            ("match".to_owned(), format!("[{quoted}]")),
            (
                "cache_control".to_owned(),
                format!(
                    "\"public, max-age={}, stale-while-revalidate={}\"",
                    ttl.as_secs(),
                    stale.as_secs()
                ),
            ),
        ];
        Ok(Some(self.with_lines_after_site("[[site.route]]", &keys)))
    }

    fn with_dropped(&self, names: &[String]) -> Option<String> {
        let (first, last) = self.site_keys()?;
        let lines: Vec<&str> = self.text.lines().collect();
        let existing = (first..last).find(|line| key_of(lines[*line]) == Some("query"));
        let mut all: Vec<String> = Vec::new();
        if let Some(line) = existing {
            let (_, list) = lines[line].split_once("drop")?;
            let (list, _) = list.split_once('[')?.1.split_once(']')?;
            all.extend(list.split(',').filter_map(|name| {
                let name = name.trim().trim_matches('"');
                (!name.is_empty()).then(|| name.to_owned())
            }));
        }
        for name in names {
            if !all.contains(name) {
                all.push(name.clone());
            }
        }
        let quoted: Vec<String> = all.iter().map(|name| quoted(name)).collect();
        let written = format!("query = {{ drop = [{}] }}", quoted.join(", "));
        let mut out: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        match existing {
            Some(line) => out[line] = written,
            None => out.insert(last, written),
        }
        Some(joined(&out))
    }

    /// A rule whose stale window is at least so long. Where it has none, the site's counts.
    fn with_stale(&self, rule: &str, stale: Duration) -> String {
        let mut rule = rule.to_owned();
        if let Some((start, end)) = value_of(&rule, STALE) {
            let value = raised_value(&rule[start..end], stale);
            rule.replace_range(start..end, &value);
            return rule;
        }
        let of_site = SiteInText::of(&self.text, &self.site).duration(STALE);
        // A table of `ttl` may have the other keys in it.
        let others = || {
            LIFETIMES
                .iter()
                .filter_map(|key| value_of(&rule, key))
                .max()
        };
        let last = value_of(&rule, "ttl").or_else(others);
        if let Some((_, end)) = last
            && of_site.is_none_or(|of_site| of_site < stale)
        {
            let value = match has_quoted_duration(&rule) {
                true => format!("\"{}\"", shown(stale)),
                false => stale.as_secs().to_string(),
            };
            rule.insert_str(end, &format!(", {STALE} = {value}"));
        }
        rule
    }

    /// Takes a pattern out of the rules about devices of the site's policies: no variant names it any more. A variant that names no other goes.
    fn without_variants(&self, pattern: &str) -> Result<Option<String>, EditRefusal> {
        let mut edited = self.clone();
        while let Some(place) = edited.rule(pattern, |rule| has_key(rule, "devices"))? {
            let text = &edited.text;
            let (start, end) = (place.start, place.end);
            let rule = &text[start..end];
            let shorter = match without_pattern(rule, pattern) {
                Some(others) => Some(format!("{}{others}{}", &text[..start], &text[end..])),
                None => without_entry(text, place),
            };
            match shorter {
                // Each time the text gets shorter, so this comes to an end.
                Some(shorter) if shorter.len() < text.len() => edited.text = shorter,
                _ => return Ok(None),
            }
        }
        Ok((edited.text != self.text).then_some(edited.text))
    }

    fn with_table(&self, name: &str, keys: &[(String, String)]) -> Option<String> {
        (!self.site_has_table(name))
            .then(|| self.with_lines_after_site(&format!("[site.{name}]"), keys))
    }

    /// Adds a table at the end of those of the site.
    fn with_lines_after_site(&self, header: &str, keys: &[(String, String)]) -> String {
        let lines: Vec<&str> = self.text.lines().collect();
        let end = self.site_end();
        let mut out: Vec<String> = lines[..end].iter().map(|line| (*line).to_owned()).collect();
        while out.last().is_some_and(|line| line.trim().is_empty()) {
            out.pop();
        }
        out.push(String::new());
        out.push(header.to_owned());
        out.extend(keys.iter().map(|(key, value)| format!("{key} = {value}")));
        if end < lines.len() {
            out.push(String::new());
        }
        out.extend(lines[end..].iter().map(|line| (*line).to_owned()));
        joined(&out)
    }

    /// A name for a plan that no other has.
    fn free_name(&self, name: &str) -> String {
        let is_taken = |name: &str| self.text.contains(&quoted(name));
        match is_taken(name) {
            true => format!("{}-{name}", self.site),
            false => name.to_owned(),
        }
    }

    /// The lines with the site's own keys: after its header, before the first other table.
    fn site_keys(&self) -> Option<(usize, usize)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let named = quoted(&self.site);
        let mut starts = (0..lines.len()).filter(|line| header(lines[*line]) == Some("site"));
        starts.find_map(|start| {
            let mut end = start + 1;
            while end < lines.len() && header(lines[end]).is_none() {
                end += 1;
            }
            let is_named = lines[start + 1..end]
                .iter()
                .any(|line| key_of(line) == Some("name") && line.contains(&named));
            while end > start + 1 && lines[end - 1].trim().is_empty() {
                end -= 1;
            }
            is_named.then_some((start + 1, end))
        })
    }

    /// The line after the last table of the site.
    fn site_end(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let Some((_, keys_end)) = self.site_keys() else {
            return lines.len();
        };
        (keys_end..lines.len())
            .find(|line| header(lines[*line]).is_some_and(|name| !name.starts_with("site.")))
            .unwrap_or(lines.len())
    }

    /// The place of the first rule of the site's policies that names a pattern, and for which `fits` says
    /// so.
    fn rule(
        &self,
        pattern: &str,
        fits: impl Fn(&str) -> bool,
    ) -> Result<Option<Range<usize>>, EditRefusal> {
        match SiteInText::of(&self.text, &self.site).rule(pattern, fits) {
            None => Ok(None),
            Some(rule) => match rule.other_site {
                None => Ok(Some(rule.place)),
                Some(site) => Err(EditRefusal::Shared {
                    policy: rule.policy,
                    site,
                }),
            },
        }
    }
}

/// Whether a parameter may be named: plainly, or as `utm_*`, which is not taken from a log.
fn is_droppable(name: &str) -> bool {
    name == "utm_*" || is_plain_name(name)
}

/// The line of a plan for its host, if it is plain.
fn host_line(host: Option<&str>) -> String {
    match host.filter(|host| is_plain_host(host)) {
        Some(host) => format!("host = {}\n", quoted(host)),
        None => String::new(),
    }
}

/// Fetches a second with which a plan is done some minutes before its half hour is over, with four
/// variants of each page.
fn plan_rate(pages: usize) -> f64 {
    (pages as f64 * 4.0 / 150.0).ceil().max(1.0) / 10.0
}

/// The table of a header line, `[name]` or `[[name]]`.
fn header(line: &str) -> Option<&str> {
    let line = line.trim();
    let name = line.strip_prefix('[')?.trim_start_matches('[');
    // An array of values in a line of its own is not a header.
    let end = name.find(']')?;
    let name = &name[..end];
    (!name.is_empty() && !name.contains(['"', ',', ' ', '{', '='])).then_some(name)
}

/// The key of a line.
fn key_of(line: &str) -> Option<&str> {
    let (key, _) = line.split_once('=')?;
    Some(key.trim())
}

/// The white space before a place, on its line.
fn indent_of(text: &str, at: usize) -> String {
    let line = text[..at].rsplit('\n').next().unwrap_or_default();
    line.chars()
        .take_while(|char| char.is_whitespace())
        .collect()
}

fn ended(text: &str) -> String {
    if text.is_empty() || text.ends_with('\n') {
        text.to_owned()
    } else {
        format!("{text}\n")
    }
}

fn joined(lines: &[String]) -> String {
    let mut text = lines.join("\n");
    text.push('\n');
    text
}
