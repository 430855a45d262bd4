//! From the file to the checked [`Config`], or to everything that is wrong with it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::files::{BaseDir, read_text};
use super::keys::Section;
use super::mistakes::{ConfigErrors, Mistake, Mistakes, did_you_mean, place};
use super::raw::{self, RawEntry, RawKind, RawValue};
use super::reader::TableReader;
use super::sections::{
    AccessLog, Admin, Cache, ModuleSource, Plan, Policy, PolicyHost, SECTIONS, Server, Site,
};
use super::units;

/// The whole configuration. Only `serve` holds it; each part of the edge gets its own piece.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// `[server]`
    pub server: Server,
    /// `[admin]`
    pub admin: Admin,
    /// `[cache]`
    pub cache: Cache,
    /// `[access_log]`; none where the section is absent.
    pub access_log: Option<AccessLog>,
    /// `[policies]`: what holds for all policies together.
    pub policy_host: PolicyHost,
    /// `[[policy]]`, in the order written; names are unique.
    pub policies: Vec<Policy>,
    /// `[[site]]`; at least one. Names and hosts are unique.
    pub sites: Vec<Site>,
    /// `[[warm]]`; names are unique.
    pub plans: Vec<Plan>,
}

impl Config {
    /// Reads and checks the file at `path`. Paths in it are relative to its folder.
    ///
    /// # Errors
    /// Every mistake in the file, or one that says why it can't be read.
    pub fn load(path: &Path) -> Result<Config, ConfigErrors> {
        let file = path.display().to_string();
        match read_text(path) {
            Ok(text) => Config::parse(&text, &file, path.parent().unwrap_or(Path::new(""))),
            Err(mistake) => {
                let mistakes = Mistakes::of(&file, "");
                mistakes.add(&(0..0), "", mistake);
                Err(mistakes
                    .into_result()
                    .expect_err("a mistake was just added"))
            }
        }
    }

    /// Checks the `text` of a configuration. `file_name` is what mistakes call it; paths in it are
    /// relative to `base_dir`.
    ///
    /// # Errors
    /// Every mistake in the text.
    pub fn parse(text: &str, file_name: &str, base_dir: &Path) -> Result<Config, ConfigErrors> {
        let mistakes = Mistakes::of(file_name, text);
        let config = match raw::from_toml(text) {
            Ok(document) => Some(
                Loader {
                    text,
                    base_dir,
                    mistakes: &mistakes,
                }
                .config(&document, file_name),
            ),
            Err(errors) => {
                for error in errors {
                    let cure = "write it as TOML (https://toml.io)";
                    mistakes.add(&error.at, "", Mistake::new(error.problem, cure));
                }
                None
            }
        };
        mistakes.into_result()?;
        Ok(config.expect("what can't be read is a mistake"))
    }
}

/// What the loading of one file needs everywhere.
#[derive(Clone, Copy)]
pub struct Loader<'a> {
    /// The text of the file.
    pub text: &'a str,
    /// The folder that relative paths in the file start from.
    pub base_dir: &'a Path,
    /// Gathers what is wrong.
    pub mistakes: &'a Mistakes<'a>,
}

impl<'a> Loader<'a> {
    fn base_dir(&self) -> BaseDir<'a> {
        BaseDir(self.base_dir)
    }

    fn config(&self, document: &'a RawValue, file_name: &str) -> Config {
        let RawKind::Table(sections) = &document.kind else {
            unreachable!("a TOML document is a table")
        };
        self.refuse_unknown_sections(sections);
        let server = Server::read(&self.section(sections, &Server::SECTION), self.base_dir());
        let config = Config {
            file: file_name.into(),
            admin: self.admin(self.section(sections, &Admin::SECTION), &server.listen),
            server,
            cache: self.cache(self.section(sections, &Cache::SECTION)),
            access_log: find(sections, "access_log").map(|value| {
                let reader = TableReader::of(&AccessLog::SECTION, value, self.mistakes);
                AccessLog::read(&reader, self.base_dir())
            }),
            policy_host: PolicyHost::read(
                &self.section(sections, &PolicyHost::SECTION),
                self.base_dir(),
            ),
            policies: self
                .list(sections, &Policy::SECTION)
                .into_iter()
                .map(|reader| self.policy(reader, None))
                .collect(),
            sites: self
                .list(sections, &Site::SECTION)
                .into_iter()
                .map(|reader| Site::read(&reader, self.base_dir()))
                .collect(),
            plans: self
                .list(sections, &Plan::SECTION)
                .into_iter()
                .map(|reader| Plan::read(&reader, self.base_dir()))
                .collect(),
        };
        self.check_names(sections);
        self.check_hosts(sections);
        self.check_references(sections);
        if find(sections, "site").is_none() {
            let cure = "add [[site]] with name, hosts and origins";
            self.mistakes
                .add(&(0..0), "site", Mistake::new("there is no site", cure));
        }
        config
    }

    fn refuse_unknown_sections(&self, sections: &[RawEntry]) {
        let names = || {
            SECTIONS
                .iter()
                .map(|section| section.name)
                .filter(|name| !name.contains('.'))
        };
        for entry in sections
            .iter()
            .filter(|entry| !names().any(|name| name == entry.key))
        {
            let cure = match did_you_mean(&entry.key, names()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!(
                    "the sections are {}",
                    names().collect::<Vec<_>>().join(", ")
                ),
            };
            self.mistakes.add(
                &entry.key_at,
                &entry.key,
                Mistake::new(format!("unknown section `{}`", entry.key), cure),
            );
        }
    }

    fn section(&self, sections: &'a [RawEntry], section: &'static Section) -> TableReader<'a> {
        match find(sections, section.name) {
            Some(value) => TableReader::of(section, value, self.mistakes),
            None => TableReader::absent(section, self.mistakes),
        }
    }

    /// The entries of an array of tables.
    pub fn list(
        &self,
        sections: &'a [RawEntry],
        section: &'static Section,
    ) -> Vec<TableReader<'a>> {
        let Some(value) = find(sections, section.name) else {
            return Vec::new();
        };
        let RawKind::List(items) = &value.kind else {
            let cure = format!("write {} with two pairs of brackets", section.header);
            self.mistakes.add(
                &value.at,
                section.name,
                Mistake::new("a list of tables was expected, this is one", cure),
            );
            return Vec::new();
        };
        items
            .iter()
            .map(|item| TableReader::of(section, item, self.mistakes))
            .collect()
    }

    fn admin(&self, reader: TableReader<'a>, public: &[SocketAddr]) -> Admin {
        let admin = Admin::read(&reader, self.base_dir());
        let listen = admin.listen;
        let wants_token =
            reader.written("token").is_none() && reader.written("token_file").is_none();
        if !listen.ip().is_loopback() && wants_token {
            let cure = "add token_file = \"…\" (or token), or listen on 127.0.0.1";
            reader.refuse(
                "listen",
                Mistake::new(
                    format!("{listen} is not loopback, and there is no token"),
                    cure,
                ),
            );
        }
        if listen.port() != 0 && public.contains(&listen) {
            let cure = "give the operators a port of their own";
            reader.refuse(
                "listen",
                Mistake::new(
                    format!("{listen} is the public listener's address too"),
                    cure,
                ),
            );
        }
        admin
    }

    fn cache(&self, reader: TableReader<'a>) -> Cache {
        let cache = Cache::read(&reader, self.base_dir());
        if cache.fill_memory < cache.max_object {
            let cure = format!(
                "write at least {}, or make max_object smaller",
                units::show_size(cache.max_object)
            );
            reader.refuse(
                "fill_memory",
                Mistake::new("the largest object would not fit into fill_memory", cure),
            );
        }
        if cache.fill_memory.saturating_add(cache.warm_memory) >= cache.memory {
            let cure = "make one of the two smaller, or memory larger";
            reader.refuse(
                "warm_memory",
                Mistake::new("fill_memory and warm_memory leave nothing of memory", cure),
            );
        }
        cache
    }

    /// Reads an entry with the keys of `[[policy]]`. Where `module` is given, it takes the place of
    /// the one in the file, which is not looked at.
    pub fn policy(&self, reader: TableReader<'a>, module: Option<ModuleSource>) -> Policy {
        let Some(module) = module else {
            return Policy::read(&reader, self.base_dir());
        };
        Policy {
            module,
            ..Policy::read(&reader.ignoring("module"), self.base_dir())
        }
    }

    /// Names are unique among the entries of a section.
    fn check_names(&self, sections: &[RawEntry]) {
        for section in [&Policy::SECTION, &Site::SECTION, &Plan::SECTION] {
            let mut first = HashMap::new();
            for (name, at) in written_texts(sections, section.name, "name") {
                if let Some(line) = first.insert(name, place(self.text, at.start).line) {
                    let problem = format!("`{name}` is the name of the entry in line {line} too");
                    self.mistakes.add(
                        at,
                        &format!("{}.name", section.name),
                        Mistake::new(problem, "give each its own name"),
                    );
                }
            }
        }
    }

    /// A host belongs to one site.
    fn check_hosts(&self, sections: &[RawEntry]) {
        let mut first = HashMap::new();
        for (host, at) in written_texts(sections, "site", "hosts") {
            if let Some(line) =
                first.insert(host.to_ascii_lowercase(), place(self.text, at.start).line)
            {
                let problem = format!("`{host}` is named in line {line} already");
                self.mistakes.add(
                    at,
                    "site.hosts",
                    Mistake::new(problem, "name each host once, in one site"),
                );
            }
        }
    }

    /// Sites name policies that exist, and plans sites that exist.
    fn check_references(&self, sections: &[RawEntry]) {
        let references = [
            ("site", "policies", "policy", "[[policy]]"),
            ("warm", "site", "site", "[[site]]"),
            ("admin", "ready_after", "warm", "[[warm]]"),
        ];
        for (from, key, to, header) in references {
            let known: Vec<&str> = written_texts(sections, to, "name")
                .map(|(name, _)| name)
                .collect();
            for (name, at) in
                written_texts(sections, from, key).filter(|(name, _)| !known.contains(name))
            {
                let cure = match did_you_mean(name, known.iter().copied()) {
                    Some(meant) => format!("did you mean \"{meant}\"?"),
                    None => format!("add {header} with name = \"{name}\""),
                };
                self.mistakes.add(
                    at,
                    &format!("{from}.{key}"),
                    Mistake::new(format!("there is no {to} `{name}`"), cure),
                );
            }
        }
    }
}

fn find<'a>(entries: &'a [RawEntry], key: &str) -> Option<&'a RawValue> {
    entries
        .iter()
        .find(|entry| entry.key == key)
        .map(|entry| &entry.value)
}

/// The texts that the entries of `section` write for `key`, alone or in lists, good or not, with
/// their places.
fn written_texts<'a>(
    sections: &'a [RawEntry],
    section: &str,
    key: &'a str,
) -> impl Iterator<Item = (&'a str, &'a Range<usize>)> {
    let entries = match find(sections, section) {
        Some(RawValue {
            kind: RawKind::List(entries),
            ..
        }) => entries.as_slice(),
        Some(table) => std::slice::from_ref(table),
        None => &[],
    };
    let values = entries.iter().filter_map(move |entry| match &entry.kind {
        RawKind::Table(keys) => find(keys, key),
        _ => None,
    });
    let items = values.flat_map(|value| match &value.kind {
        RawKind::List(items) => items.as_slice(),
        _ => std::slice::from_ref(value),
    });
    items.filter_map(|item| match &item.kind {
        RawKind::Text(text) => Some((text.as_str(), &item.at)),
        _ => None,
    })
}
