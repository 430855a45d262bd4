//! `[site.shield]`.

use std::path::PathBuf;

use super::origin::{Origin, OriginHttp2};
use crate::forms::{self, OriginAddress, OriginEndpoint};
use crate::mistakes::Mistake;
use crate::reader::TableReader;
use tero_semantics::authority::Scheme;

section! {
    /// The shields in front of the site's origins: nodes of tero, of which each URL has one. All
    /// requests of this node go there, and the shield asks the origins. See tiers.md.
    #[derive(Clone, Debug, PartialEq)]
    [site.shield]
    pub struct Shield in base_dir {
        /// Where the shields listen. Write the same list on all nodes: it decides which shield a URL
        /// has.
        nodes: Vec<OriginAddress> = [],
            Texts("`http://HOST[:PORT]`, `https://HOST[:PORT]` or `unix:/PATH`")
            => forms::origin,
            at_least_one("write the shields, [\"https://shield-1.internal\"]"),
            distinct();
        /// In place of `nodes`: the nodes of the fleet that name a `shield` in `[cluster]`. Those that come
        /// and go are followed; without NATS the last ones stay.
        from: Option<ShieldSource> = rule("`nodes`"), OneOf("cluster" => ShieldSource::Cluster);
        /// Which of `nodes` this node is. It asks the origins itself for the URLs that it has.
        this_node: Option<OriginAddress>
            = rule("the one whose host is the name of this machine, alone or with a domain", of_this_machine(&nodes)),
            Text("one of `nodes`") => forms::origin;
        /// Whether this node asks the origins itself where no shield can be reached.
        fall_back: bool = true, Flag;
        /// Requests under way at a shield up to which it gets all requests for its URLs. Beyond it, a
        /// shield gets at most a quarter more than its share; the others go to the URL's next shield.
        spill_above: usize = 32, Count(0, 100_000);
        /// The name that certificates of shields must be for, and that they are asked for (SNI).
        tls_name: Option<String> = rule("the host of each URL"), Text("a host name")
            => forms::server_name;
        /// A file with the certificates of the authorities that may have signed theirs.
        ca: Option<PathBuf> = rule("the authorities that the system trusts"),
            Text("a path of a PEM file, relative to this file")
            => |path| base_dir.file(path, "a PEM file with certificates");
        /// The certificate that this node shows to shields, with its chain.
        client_cert: Option<PathBuf> = rule("none"),
            Text("a path of a PEM file, relative to this file")
            => |path| base_dir.file(path, "a PEM file with a certificate");
        /// The private key of `client_cert`.
        client_key: Option<PathBuf> = rule("none"),
            Text("a path of a PEM file, relative to this file")
            => |path| base_dir.file(path, "a PEM file with a private key");
        /// Whether shields are asked by HTTP/2; see `[[site.origin]]`.
        http2: OriginHttp2 = "off",
            OneOf(
                "off" => OriginHttp2::Off,
                "negotiate" => OriginHttp2::Negotiate,
                "prior-knowledge" => OriginHttp2::PriorKnowledge
            );
    }
}

/// Where the shields are told, if not in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShieldSource {
    /// By the nodes of the fleet.
    Cluster,
}

impl Shield {
    /// How the shield at an address is reached.
    pub fn hop(&self, url: OriginAddress) -> Origin {
        let is_secure = url.scheme == Scheme::Https;
        let with_tls = |file: &Option<PathBuf>| file.clone().filter(|_| is_secure);
        Origin {
            tls_name: self.tls_name.clone().filter(|_| is_secure),
            ca: with_tls(&self.ca),
            client_cert: with_tls(&self.client_cert),
            client_key: with_tls(&self.client_key),
            http2: match self.http2 {
                OriginHttp2::Negotiate if !is_secure => OriginHttp2::Off,
                http2 => http2,
            },
            ..Origin::at(url)
        }
    }

    /// How each of `nodes` is reached.
    pub fn hops(&self) -> Vec<Origin> {
        self.nodes.iter().map(|url| self.hop(url.clone())).collect()
    }

    /// Refuses keys that contradict each other, and a shield that trusts no edge.
    pub(super) fn check(&self, reader: &TableReader<'_>) {
        reader.refuse_both("from", "nodes");
        reader.refuse_both("from", "this_node");
        if reader.is_table() && self.from.is_none() && reader.written("nodes").is_none() {
            let cure = "write nodes = [\"https://shield-1.internal\"], or from = \"cluster\"";
            reader.refuse("nodes", Mistake::new("`nodes` is missing", cure));
        }
        if let Some(own) = &self.this_node
            && !self.nodes.contains(own)
        {
            let problem = "this node is not one of `nodes`";
            let cure = "write it as it is in `nodes`, or leave `this_node` out";
            reader.refuse("this_node", Mistake::new(problem, cure));
        }
        if self.client_cert.is_some() != self.client_key.is_some() {
            let (there, missing) = match self.client_cert {
                Some(_) => ("client_cert", "client_key"),
                None => ("client_key", "client_cert"),
            };
            let problem = format!("`{there}` is written without `{missing}`");
            reader.refuse(there, Mistake::new(problem, "write both or neither"));
        }
        let has_tls =
            self.from.is_some() || self.nodes.iter().any(|url| url.scheme == Scheme::Https);
        for key in ["tls_name", "ca", "client_cert", "client_key"] {
            if !has_tls && reader.written(key).is_some() {
                let problem = format!("`{key}` means nothing without TLS");
                let cure = "write https URLs in `nodes`, or leave the key out";
                reader.refuse(key, Mistake::new(problem, cure));
            }
        }
    }
}

/// The node whose host is the name of this machine.
fn of_this_machine(nodes: &[OriginAddress]) -> Option<OriginAddress> {
    if nodes.is_empty() {
        return None;
    }
    named(nodes, &machine_name()?).cloned()
}

fn machine_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    let name = name.trim().to_ascii_lowercase();
    (!name.is_empty()).then_some(name)
}

fn named<'n>(nodes: &'n [OriginAddress], name: &str) -> Option<&'n OriginAddress> {
    let is_own = |host: &str| {
        let domain = host.strip_prefix(name);
        domain.is_some_and(|domain| domain.is_empty() || domain.starts_with('.'))
    };
    let mut nodes = nodes.iter();
    nodes.find(|node| match &node.endpoint {
        OriginEndpoint::Tcp { host, .. } => is_own(host),
        OriginEndpoint::Unix(_) => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_finds_itself_by_its_name_alone_or_with_a_domain() {
        let urls = [
            "http://tero-10.tero:8080",
            "http://tero-1.tero:8080",
            "http://other",
            "unix:/tero-1",
        ];
        let nodes = urls.map(|url| OriginAddress::parse(url).unwrap());
        let found = |name| named(&nodes, name).map(ToString::to_string);
        assert_eq!(found("tero-1").as_deref(), Some("tero-1.tero:8080"));
        assert_eq!(found("tero-1.tero").as_deref(), Some("tero-1.tero:8080"));
        assert_eq!(found("other").as_deref(), Some("other"));
        assert_eq!(found("tero"), None);
    }
}
