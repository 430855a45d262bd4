//! From the file to the checked [`Config`], or to every mistake in it.
//!
//! `sections` reads each table; what is left here are the rules across keys and tables.

mod acme;
mod cluster;
mod listeners;
mod names;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::files::{BaseDir, read_text};
use crate::forms::certifiable_name;
use crate::keys::Section;
use crate::mistakes::{ConfigErrors, Mistake, Mistakes, did_you_mean};
use crate::raw::{self, RawEntry, RawKind, RawValue, find};
use crate::reader::TableReader;
use crate::sections::limit::MAX_LIMITS;
use crate::sections::webhook::MAX_WEBHOOKS;
use crate::sections::{
    AccessLog, AccessLogFormat, Acme, Admin, Cache, Cluster, Limit, LimitMemory, Listener,
    LocalTime, ModuleSource, Plan, Policy, PolicyHost, SECTIONS, Server, ShieldSource, Site,
    TableFile, Telemetry, Webhook,
};
use crate::units::show_size;
use tero_semantics::host_pattern::names_above;
use tero_semantics::rate_limit::BucketRate;

/// The whole configuration. Only `serve` holds it; each part of the edge gets its own piece.
#[derive(Clone, Debug)]
pub struct Config {
    /// The file, as it was named.
    pub file: Arc<str>,
    /// `[server]`
    pub server: Server,
    /// `[telemetry]`.
    pub telemetry: Telemetry,
    /// `[acme]`; `None` if no listener has certificates by ACME.
    pub acme: Option<Acme>,
    /// `[admin]`
    pub admin: Admin,
    /// `[cache]`
    pub cache: Cache,
    /// `[cluster]`; `None` if the section is absent.
    pub cluster: Option<Cluster>,
    /// `[access_log]`; `None` if the section is absent.
    pub access_log: Option<AccessLog>,
    /// `[time]`
    pub time: LocalTime,
    /// `[policies]`: settings for all policies together.
    pub policy_host: PolicyHost,
    /// `[[policy]]`, in the order written; names are unique.
    pub policies: Vec<Policy>,
    /// `[[table]]`, in the order written; names are unique.
    pub tables: Vec<TableFile>,
    /// `[[site]]`, at least one; names and hosts are unique.
    pub sites: Vec<Site>,
    /// `[limits]`: what all limits share.
    pub limit_memory: LimitMemory,
    /// `[[limit]]`, in the order written; names are unique.
    pub limits: Vec<Limit>,
    /// `[[warm]]`; names are unique.
    pub plans: Vec<Plan>,
    /// `[[webhook]]`; names are unique.
    pub webhooks: Vec<Webhook>,
}

impl Config {
    /// The names that certificates are ordered for by ACME, in the order of the sites; none without
    /// [`Config::acme`].
    pub fn acme_names(&self) -> Vec<Arc<str>> {
        let mut names: Vec<Arc<str>> = Vec::new();
        if self.acme.is_none() {
            return names;
        }
        let hosts = self.sites.iter().flat_map(|site| &site.hosts);
        for name in hosts.filter_map(|host| certifiable_name(host)) {
            if !names.iter().any(|known| **known == *name) {
                names.push(name.into());
            }
        }
        names
    }

    /// The site that answers for a host, which is in lower case and without port.
    pub fn site_of(&self, host: &str) -> Option<&Site> {
        let with = |wanted: &str| {
            let mut sites = self.sites.iter();
            sites.find(|site| site.hosts.iter().any(|own| own == wanted))
        };
        with(host)
            .or_else(|| names_above(host).find_map(|above| with(&format!("*{above}"))))
            .or_else(|| with("*"))
    }

    /// Reads and checks the file at `path`. Relative paths in the file start from its folder.
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

    /// Checks the `text` of a configuration. Mistakes call the file `file_name`; relative paths in
    /// the text start from `base_dir`.
    ///
    /// # Errors
    /// Every mistake in the text.
    pub fn parse(text: &str, file_name: &str, base_dir: &Path) -> Result<Config, ConfigErrors> {
        let mistakes = Mistakes::of(file_name, text);
        let loader = Loader {
            text,
            base_dir,
            mistakes: &mistakes,
        };
        let config = match raw::from_toml(text) {
            Ok(document) => Some(loader.config(&document, file_name)),
            Err(errors) => {
                for error in errors {
                    let cure = "write it as TOML (https://toml.io)";
                    mistakes.add(&error.at, "", Mistake::new(error.problem, cure));
                }
                None
            }
        };
        mistakes.into_result()?;
        Ok(config.expect("text that is not TOML is a mistake"))
    }
}

/// Loads one file.
#[derive(Clone, Copy)]
pub struct Loader<'a> {
    /// The text of the file.
    pub text: &'a str,
    /// The folder that relative paths in the file start from.
    pub base_dir: &'a Path,
    /// Gathers the mistakes of the file.
    pub mistakes: &'a Mistakes<'a>,
}

impl<'a> Loader<'a> {
    /// Reads an entry with the keys of `[[policy]]`. If `module` is given, the one in the file is
    /// not looked at.
    pub fn policy(&self, reader: TableReader<'a>, module: Option<ModuleSource>) -> Policy {
        let Some(module) = module else {
            return Policy::read(&reader, self.base_dir());
        };
        Policy {
            module,
            ..Policy::read(&reader.ignoring("module"), self.base_dir())
        }
    }

    /// The entries of an array of tables, each ready to be read.
    pub fn list(
        &self,
        sections: &'a [RawEntry],
        section: &'static Section,
    ) -> Vec<TableReader<'a>> {
        let Some(value) = find(sections, section.name) else {
            return Vec::new();
        };
        let RawKind::List(items) = &value.kind else {
            let problem = format!(
                "a list of tables was expected, this is {}",
                value.describe()
            );
            let cure = format!("write {} with two pairs of brackets", section.header);
            let mistake = Mistake::new(problem, cure);
            self.mistakes.add(&value.at, section.name, mistake);
            return Vec::new();
        };
        items
            .iter()
            .map(|item| TableReader::of(section, item, self.mistakes))
            .collect()
    }

    fn config(&self, document: &'a RawValue, file_name: &str) -> Config {
        let RawKind::Table(sections) = &document.kind else {
            unreachable!("a TOML document is a table")
        };
        let base_dir = self.base_dir();
        self.refuse_unknown_sections(sections);
        let server = listeners::read_server(&self.section(sections, &Server::SECTION), base_dir);
        let public: Vec<_> = server.all_listeners();
        let policy_host = PolicyHost::read(&self.section(sections, &PolicyHost::SECTION), base_dir);
        let config = Config {
            file: file_name.into(),
            acme: self.acme(sections, &public, &policy_host),
            admin: self.admin(self.section(sections, &Admin::SECTION), &public),
            server,
            cache: self.cache(self.section(sections, &Cache::SECTION)),
            cluster: find(sections, Cluster::SECTION.name).map(|value| {
                let reader = TableReader::of(&Cluster::SECTION, value, self.mistakes);
                cluster::read(&reader, base_dir)
            }),
            access_log: find(sections, AccessLog::SECTION.name).map(|value| {
                self.access_log(TableReader::of(&AccessLog::SECTION, value, self.mistakes))
            }),
            telemetry: Telemetry::read(&self.section(sections, &Telemetry::SECTION), base_dir),
            time: LocalTime::read(&self.section(sections, &LocalTime::SECTION), base_dir),
            policy_host,
            policies: self.entries(sections, &Policy::SECTION, Policy::read),
            tables: self.entries(sections, &TableFile::SECTION, TableFile::read),
            sites: self.entries(sections, &Site::SECTION, Site::read_checked),
            limit_memory: LimitMemory::read(
                &self.section(sections, &LimitMemory::SECTION),
                base_dir,
            ),
            limits: self.limits(sections),
            plans: self.entries(sections, &Plan::SECTION, Plan::read),
            webhooks: self.webhooks(sections),
        };
        names::check(sections, self.mistakes);
        self.refuse_distrustful_shields(sections, &config);
        self.refuse_no_site(sections);
        config
    }

    fn base_dir(&self) -> BaseDir<'a> {
        BaseDir(self.base_dir)
    }

    fn section(&self, sections: &'a [RawEntry], section: &'static Section) -> TableReader<'a> {
        match find(sections, section.name) {
            Some(value) => TableReader::of(section, value, self.mistakes),
            None => TableReader::absent(section, self.mistakes),
        }
    }

    fn entries<T>(
        &self,
        sections: &'a [RawEntry],
        section: &'static Section,
        read: fn(&TableReader<'_>, BaseDir<'_>) -> T,
    ) -> Vec<T> {
        self.list(sections, section)
            .iter()
            .map(|reader| read(reader, self.base_dir()))
            .collect()
    }

    fn refuse_unknown_sections(&self, sections: &[RawEntry]) {
        // Tables within tables have a dot in their names, and are keys there.
        let names = SECTIONS.iter().map(|section| section.name);
        let names: Vec<&str> = names.filter(|name| !name.contains('.')).collect();
        for RawEntry { key, key_at, .. } in sections {
            if names.contains(&key.as_str()) {
                continue;
            }
            let cure = match did_you_mean(key, names.iter().copied()) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("the sections are {}", names.join(", ")),
            };
            let problem = format!("unknown section `{key}`");
            self.mistakes.add(key_at, key, Mistake::new(problem, cure));
        }
    }

    fn refuse_no_site(&self, sections: &[RawEntry]) {
        if find(sections, Site::SECTION.name).is_none() {
            let cure = "add [[site]] with name, hosts and origins";
            let mistake = Mistake::new("there is no site", cure);
            self.mistakes.add(&(0..0), Site::SECTION.name, mistake);
        }
    }

    /// A shield believes what edges tell only if it trusts them. What a fleet tells needs one.
    fn refuse_distrustful_shields(&self, sections: &'a [RawEntry], config: &Config) {
        let readers = self.list(sections, &Site::SECTION);
        let in_fleet = config.cluster.as_ref();
        let in_fleet = in_fleet.and_then(|cluster| cluster.shield.clone());
        for (reader, site) in readers.iter().zip(&config.sites) {
            let Some(shield) = &site.shield else {
                continue;
            };
            if shield.from.is_some() && config.cluster.is_none() {
                let problem = "there is no [cluster] to take shields from";
                let cure =
                    "add [cluster] with nats = [\"tls://…\"], or write nodes = [\"https://…\"]";
                reader.refuse("shield", Mistake::new(problem, cure));
            }
            let own = match shield.from {
                None => shield.this_node.as_ref().map(ToString::to_string),
                Some(ShieldSource::Cluster) => in_fleet.clone(),
            };
            if let Some(own) = own.filter(|_| config.server.trusted_edges.is_empty()) {
                let problem = format!("this node is the shield {own}, and trusts no edge");
                let cure = "add trusted_edges = [\"10.0.0.0/8\"] to [server], with the networks of the other nodes";
                reader.refuse("shield", Mistake::new(problem, cure));
            }
        }
    }

    /// Reads `[acme]`, with what its listeners and sites must be like.
    fn acme(
        &self,
        sections: &'a [RawEntry],
        listeners: &[Listener],
        policy_host: &PolicyHost,
    ) -> Option<Acme> {
        let reader = self.section(sections, &Acme::SECTION);
        let acme = Acme::read(&reader, self.base_dir());
        let is_used = acme::check(&reader, &acme, listeners, policy_host, self.mistakes);
        acme::check_hosts(sections, listeners, self.mistakes);
        is_used.then_some(acme)
    }

    /// Reads `[admin]`: without a token or certificates of clients it listens on a loopback address
    /// only, and never where visitors do.
    fn admin(&self, reader: TableReader<'a>, public: &[Listener]) -> Admin {
        let admin = Admin::read(&reader, self.base_dir());
        let listen = &admin.listen;
        let has_token = ["token", "token_file"]
            .iter()
            .any(|key| reader.written(key).is_some());
        let tls = admin.tls.as_ref();
        if let Some(tls) = tls.filter(|tls| tls.certificates.is_empty()) {
            let problem = match tls.acme {
                true => "certificates by ACME are for visitors",
                false => "there is no certificate",
            };
            let cure = "write tls = { certificates = [{ cert = \"…\", key = \"…\" }] }";
            reader.refuse("tls", Mistake::new(problem, cure));
        }
        let knows_clients = has_token || tls.is_some_and(|tls| tls.client_ca.is_some());
        if tls.is_some() && listen.unix().is_some() {
            let problem = "a Unix socket doesn't leave the machine: TLS means nothing on it";
            let cure = "leave tls out, or listen on an address";
            reader.refuse("tls", Mistake::new(problem, cure));
        }
        if !listen.is_local() && !knows_clients {
            let problem = format!("{listen} is not loopback, and there is no token");
            let cure = "add token_file = \"…\" (or token), or listen on 127.0.0.1";
            reader.refuse("listen", Mistake::new(problem, cure));
        }
        let is_public = public.iter().any(|public| public.address == *listen);
        let has_free_port = listen.tcp().is_some_and(|address| address.port() == 0);
        if !has_free_port && is_public {
            let problem = format!("{listen} is the public listener's address too");
            let cure = "give the operators a path or a port of their own";
            reader.refuse("listen", Mistake::new(problem, cure));
        }
        admin
    }

    /// Reads `[[limit]]`: what a client has used comes back within a day.
    fn limits(&self, sections: &'a [RawEntry]) -> Vec<Limit> {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        let readers = self.list(sections, &Limit::SECTION);
        if let Some(reader) = readers.get(MAX_LIMITS) {
            let problem = format!("these are {} limits", readers.len());
            let cure = format!("write at most {MAX_LIMITS}");
            reader.refuse("name", Mistake::new(problem, cure));
        }
        let limits = readers.iter().map(|reader| {
            let limit = Limit::read(reader, self.base_dir());
            let rate = BucketRate::new(limit.requests, limit.per, limit.burst);
            if rate.recovery() > DAY {
                let problem = "the whole burst takes more than 24 hours to come back";
                let cure = "make burst or per smaller, or requests larger";
                reader.refuse("burst", Mistake::new(problem, cure));
            }
            if limit.fetch_cost > limit.burst {
                let problem = format!("it is more than the burst, {}", limit.burst);
                let cure = "make it smaller, or burst larger";
                reader.refuse("fetch_cost", Mistake::new(problem, cure));
            }
            limit
        });
        limits.collect()
    }

    fn webhooks(&self, sections: &'a [RawEntry]) -> Vec<Webhook> {
        let readers = self.list(sections, &Webhook::SECTION);
        if let Some(reader) = readers.get(MAX_WEBHOOKS) {
            let problem = format!("these are {} webhooks", readers.len());
            let cure = format!("write at most {MAX_WEBHOOKS}");
            reader.refuse("name", Mistake::new(problem, cure));
        }
        let read = |reader: &TableReader<'a>| {
            let webhook = Webhook::read(reader, self.base_dir());
            let is_written = |key| reader.written(key).is_some();
            if !is_written("url") && !is_written("url_file") {
                let mistake = Mistake::new("it says nowhere where to", "write url or url_file");
                reader.refuse("url", mistake);
            }
            webhook
        };
        readers.iter().map(read).collect()
    }

    /// Reads `[access_log]`: only lines of JSON have fields to choose.
    fn access_log(&self, reader: TableReader<'a>) -> AccessLog {
        let log = AccessLog::read(&reader, self.base_dir());
        if log.format == AccessLogFormat::Combined && reader.written("fields").is_some() {
            let problem = "the combined format has its own fields";
            let cure = "write format = \"json\", or leave `fields` out";
            reader.refuse("fields", Mistake::new(problem, cure));
        }
        log
    }

    /// Reads `[cache]`: the largest object fits into the memory for fills, and the parts leave
    /// some memory to the rest.
    fn cache(&self, reader: TableReader<'a>) -> Cache {
        let cache = Cache::read(&reader, self.base_dir());
        if cache.fill_memory < cache.max_object {
            let problem = "the largest object would not fit into fill_memory";
            let largest = show_size(cache.max_object);
            let cure = format!("write at least {largest}, or make max_object smaller");
            reader.refuse("fill_memory", Mistake::new(problem, cure));
        }
        if cache.fill_memory.saturating_add(cache.warm_memory) >= cache.memory {
            let problem = "fill_memory and warm_memory leave nothing of memory";
            let cure = "make one of the two smaller, or memory larger";
            reader.refuse("warm_memory", Mistake::new(problem, cure));
        }
        cache
    }
}
