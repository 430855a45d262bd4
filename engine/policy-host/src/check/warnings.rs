//! What a configuration may say, and rarely means.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tero_config::calendars;
use tero_config::{
    Config, ConfigError, FilePosition, IpNet, OriginAddress, OriginEndpoint, PeerNetwork, Site,
    TableKind,
};
use tero_semantics::timestamp::Timestamp;

/// Warnings that are not mistakes:
///
/// - the current or coming years for which a policy's calendar has no data: their holidays would be
///   taken for working days;
/// - policies that no site asks;
/// - origins that may show any certificate;
/// - origins that are the edge itself: each request would be refused as a loop;
/// - cookies that `ignore_cookies` names in vain, since `pass_cookies` has them;
/// - `default_ttl_with_cookies` of a site that can't tell logged-in visitors;
/// - tables of countries that are not in the configuration, or have no networks as keys;
/// - networks that may purge and mean everybody, or a proxy;
/// - `trusted_proxies` and `trusted_edges` that mean everybody.
pub fn warnings(config: &Config, now: Timestamp) -> Vec<ConfigError> {
    let mut warnings = Vec::new();
    let warn = |place: FilePosition, key: &str, problem: String, cure: String| ConfigError {
        file: config.file.to_string(),
        line: place.line,
        column: place.column,
        key: key.to_owned(),
        problem,
        cure,
        at: 0..0,
    };
    let server = &config.server;
    for (key, networks, claim, peers) in [
        (
            "server.trusted_proxies",
            &server.trusted_proxies,
            "which address, scheme and host it has",
            "proxies",
        ),
        (
            "server.trusted_edges",
            &server.trusted_edges,
            "under which variant an answer is stored",
            "edges",
        ),
    ] {
        for network in ip_networks(networks).filter(|network| network.prefix_len() == 0) {
            warnings.push(warn(
                FilePosition::default(),
                key,
                format!("`{network}` means everybody: every client can say {claim}"),
                format!("name the networks of the {peers} in front"),
            ));
        }
    }
    for policy in &config.policies {
        let name = &policy.name;
        if !config.sites.iter().any(|site| site.policies.contains(name)) {
            warnings.push(warn(
                policy.place,
                "policy",
                format!("the policy `{name}` is asked by no site"),
                format!("write policies = [\"{name}\"] in a site, or remove it"),
            ));
        }
        let Some(Ok(calendar)) = policy.calendar.as_ref().map(calendars::load) else {
            continue;
        };
        warnings.extend(calendars::missing_years(&calendar, now).into_iter().map(|year| warn(
            policy.place,
            "policy.calendar",
            format!("the calendar of the policy `{name}` has no data for {year}, so its holidays will be taken for working days"),
            format!("add them in a calendar file, with years = [{year}] at its top"),
        )));
    }
    for site in &config.sites {
        let insecure = site.next_hops.iter();
        let insecure = insecure.filter(|origin| origin.insecure_accept_any_certificate);
        warnings.extend(insecure.map(|origin| {
            let problem = format!("the origin `{}` may show any certificate: whoever is between can read and change everything", origin.shown_name());
            let cure = "write `ca`, and `tls_name` if its certificate has another name".to_owned();
            warn(site.place, "site.origin.insecure_accept_any_certificate", problem, cure)
        }));
        let own = site.next_hops.iter().map(|origin| &origin.url);
        let own = own.filter(|origin| is_own(config, site, origin));
        warnings.extend(own.map(|origin| {
            let problem = format!("the origin `{origin}` is the edge itself, so each request would come back and be refused");
            let cure = "write the address of the application".to_owned();
            warn(site.place, "site.origins", problem, cure)
        }));
        if site.default_ttl_with_cookies
            && !site.default_ttl.is_empty()
            && site.pass_cookies.is_empty()
        {
            warnings.push(warn(
                site.place,
                "site.default_ttl_with_cookies",
                "`default_ttl` counts for the pages of logged-in visitors too, which others would get".to_owned(),
                "name the cookies of logged-in visitors in `pass_cookies`".to_owned(),
            ));
        }
        if let Some((problem, cure)) = country_table(config, site) {
            warnings.push(warn(site.place, "site.country.table", problem, cure));
        }
        let purgers = site.purge.iter().flat_map(|purge| &purge.from);
        warnings.extend(purgers.filter_map(|network| {
            let (problem, cure) = open_to_purge(config, network)?;
            Some(warn(site.place, "site.purge.from", problem, cure))
        }));
        for ignored in &site.ignore_cookies {
            if site
                .pass_cookies
                .iter()
                .any(|passing| passing.covers(ignored))
            {
                warnings.push(warn(
                    site.place,
                    "site.ignore_cookies",
                    format!("the cookie `{ignored}` is ignored in vain: `pass_cookies` names it too, which wins"),
                    "leave it in one of the two".to_owned(),
                ));
            }
        }
    }
    warnings
}

/// Why the table of a site tells no country, and the cure.
fn country_table(config: &Config, site: &Site) -> Option<(String, String)> {
    let name = site.country.as_ref()?.table.as_ref()?;
    let Some(table) = config.tables.iter().find(|table| table.name == *name) else {
        let problem = format!(
            "the table `{name}` is not in the configuration: countries are unknown until it is pushed"
        );
        let cure = format!(
            "add a [[table]] of this name, or `tero data push --kind networks` it as `{name}`"
        );
        return Some((problem, cure));
    };
    if table.kind == TableKind::Networks {
        return None;
    }
    let problem = format!("the table `{name}` has texts as its keys, so no address is found in it");
    Some((
        problem,
        "write kind = \"networks\" in its [[table]]".to_owned(),
    ))
}

/// Why more may purge from a network than is meant, and the cure.
fn open_to_purge(config: &Config, network: &IpNet) -> Option<(String, String)> {
    if network.prefix_len() == 0 {
        let problem = format!("`{network}` means everybody: every client may purge");
        return Some((problem, "name the address of the application".to_owned()));
    }
    let server = &config.server;
    let mut proxies =
        ip_networks(&server.trusted_proxies).chain(ip_networks(&server.trusted_edges));
    let proxy = proxies.find(|proxy| proxy.contains(network) || network.contains(*proxy))?;
    let problem = format!(
        "`{network}` and the trusted proxies in `{proxy}` overlap: a request whose client such a proxy doesn't tell may purge"
    );
    let cure = "name the address of the application alone".to_owned();
    Some((problem, cure))
}

fn ip_networks(networks: &[PeerNetwork]) -> impl Iterator<Item = &IpNet> {
    networks.iter().filter_map(|peers| match peers {
        PeerNetwork::Ip(network) => Some(network),
        PeerNetwork::Unix => None,
    })
}

/// Whether an origin is where the edge listens, as far as addresses and names tell.
fn is_own(config: &Config, site: &Site, origin: &OriginAddress) -> bool {
    let OriginEndpoint::Tcp { host, port } = &origin.endpoint else {
        return false;
    };
    let listens = |met: &dyn Fn(IpAddr) -> bool| {
        let listeners = config.server.all_listeners();
        let mut addresses = listeners
            .iter()
            .filter_map(|listener| listener.address.tcp());
        addresses.any(|own: SocketAddr| own.port() == *port && met(own.ip()))
    };
    let address = match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical(),
        Err(_) if host.eq_ignore_ascii_case("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        // A name of the site leads its visitors here.
        Err(_) => {
            let mut hosts = site.hosts.iter();
            return hosts.any(|own| own.eq_ignore_ascii_case(host)) && listens(&|_| true);
        }
    };
    listens(&|own| own.to_canonical() == address || (own.is_unspecified() && address.is_loopback()))
}
