//! What purges mean on a disk: things, as hashes or texts, and the records that they are compared
//! with.

use tero_semantics::key;

use super::super::ledger::{PurgeSubject, PurgedThing};
use super::super::url_and_path;
use super::Disk;
use crate::store::purge::scope::PurgeScope;
use crate::store::stored::StoredHead;

/// What a record is of. `hash` is that of the store.
pub(in crate::store::disk) fn subject<'k>(
    of: &'k [u8],
    head: &StoredHead,
    site: &str,
    hash: impl Fn(&[u8]) -> u64,
) -> PurgeSubject<'k> {
    let (url, path) = url_and_path(of);
    let own = hash(&site_bytes(site));
    let mut hashes = vec![hash(&url_bytes(url)), own];
    for tag in head.fields.tags() {
        hashes.extend([None, Some(site)].map(|site| hash(&tag_bytes(site, tag))));
    }
    PurgeSubject {
        hashes,
        url,
        path,
        site: own,
    }
}

impl Disk {
    /// What a purge means.
    pub(super) fn purged_things(&self, scope: &PurgeScope) -> Vec<PurgedThing> {
        let name = |index: usize| self.site_name(index as u32);
        let hash = |bytes: Vec<u8>| self.records.hash(&bytes);
        match scope {
            PurgeScope::Keys(keys) => {
                let urls = keys.iter().map(|key| hash(url_bytes(key::url_of(key))));
                let mut hashes: Vec<u64> = urls.collect();
                hashes.sort_unstable();
                hashes.dedup();
                hashes.into_iter().map(PurgedThing::Hash).collect()
            }
            PurgeScope::Tag { site, tag } => {
                let hash = match site {
                    None => Some(hash(tag_bytes(None, tag))),
                    Some(site) => name(*site).map(|site| hash(tag_bytes(Some(&site), tag))),
                };
                hash.into_iter().map(PurgedThing::Hash).collect()
            }
            PurgeScope::Prefix(prefix) => vec![PurgedThing::Prefix(prefix.as_str().into())],
            PurgeScope::Site(site) => name(*site)
                .map(|site| PurgedThing::Hash(hash(site_bytes(&site))))
                .into_iter()
                .collect(),
            PurgeScope::Paths { site, patterns } => {
                let site = name(*site).map(|site| hash(site_bytes(&site)));
                let thing = |site| {
                    patterns.iter().map(move |pattern| PurgedThing::Paths {
                        site,
                        pattern: pattern.as_str().into(),
                    })
                };
                site.into_iter().flat_map(thing).collect()
            }
        }
    }
}

fn url_bytes(url: &str) -> Vec<u8> {
    [b"url\n", url.as_bytes()].concat()
}

fn site_bytes(site: &str) -> Vec<u8> {
    [b"site\n", site.as_bytes()].concat()
}

fn tag_bytes(site: Option<&str>, tag: &str) -> Vec<u8> {
    let scope = site.map_or(String::new(), |site| format!("{site}\n"));
    [b"tag\n", scope.as_bytes(), b"\n", tag.as_bytes()].concat()
}
