//! What certificates by ACME need: an agreement, a place to be kept, and hosts with exact names.

use crate::forms::certifiable_name;
use crate::mistakes::{Mistake, Mistakes};
use crate::raw::RawEntry;
use crate::reader::TableReader;
use crate::sections::{Acme, Listener, PolicyHost};

/// Records what is missing, if a listener has certificates by ACME. Returns whether one has.
pub(super) fn check(
    reader: &TableReader<'_>,
    acme: &Acme,
    listeners: &[Listener],
    policy_host: &PolicyHost,
    mistakes: &Mistakes<'_>,
) -> bool {
    if acme.challenges.is_empty() {
        let cure = "write at least one, [\"http-01\"], or leave it out";
        reader.refuse("challenges", Mistake::new("the list is empty", cure));
    }
    let mut orders = listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref());
    if !orders.any(|tls| tls.acme) {
        return false;
    }
    if !acme.terms_agreed {
        let problem = "a listener has certificates by ACME, and nobody has agreed to its terms";
        let cure = "read the terms of the directory, and write terms_agreed = true into [acme]";
        reader.refuse("terms_agreed", Mistake::new(problem, cure));
    }
    if policy_host.state_dir.is_none() {
        let problem = "certificates by ACME have no place to be kept";
        let cure = "write state_dir = \"/var/lib/tero\" into [policies]";
        let mistake = Mistake::new(problem, cure);
        mistakes.add(reader.at(), "policies.state_dir", mistake);
    }
    true
}

/// Refuses hosts that stand for many: certificates by ACME are for exact names. A listener that has
/// certificates of its own may have one for the wildcard.
pub(super) fn check_hosts(sections: &[RawEntry], listeners: &[Listener], mistakes: &Mistakes<'_>) {
    let acme_alone = listeners
        .iter()
        .filter_map(|listener| listener.tls.as_ref())
        .any(|tls| tls.acme && tls.certificates.is_empty());
    if !acme_alone {
        return;
    }
    let (mut first, mut names) = (None, 0);
    for (host, at) in super::names::written_texts(sections, "site", "hosts") {
        if host.contains('*') {
            let problem = format!("no certificate can be ordered for `{host}` by ACME");
            let cure = "name each host, or give the listener a certificate for it: \
                        tls = { acme = true, certificates = [{ cert = \"…\", key = \"…\" }] }";
            mistakes.add(at, "site.hosts", Mistake::new(problem, cure));
        }
        names += usize::from(host.contains('*') || certifiable_name(host).is_some());
        first = first.or(Some(at));
    }
    if let Some(at) = first.filter(|_| names == 0) {
        let problem = "no site has a host that a certificate can be ordered for";
        let cure = "name a host that others know too, such as \"www.example.org\"";
        mistakes.add(at, "site.hosts", Mistake::new(problem, cure));
    }
}
