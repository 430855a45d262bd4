//! Data tables of the fleet, in the same way as policies.

use std::collections::{BTreeMap, BTreeSet};

use super::{FleetVersionsError, SyncAttempt, SyncReport, SyncWay, VersionSync};
use crate::cluster::shared_versions::{SharedTable, SharedTableVersion, SharedVersions};
use crate::data::table_record::{TableNumber, TableVersion};
use tero_config::{TableFormat, TableKind};

/// What this node has of a table.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LocalTable {
    /// The version that decides, as far as it was pushed.
    active: Option<(String, TableFormat, TableKind)>,
    /// Whether versions were pushed.
    has_pushed: bool,
}

/// What this node and the fleet had when they last agreed on a table.
#[derive(Clone, Debug)]
pub(super) struct TableBase {
    change: u64,
    local: Option<LocalTable>,
}

/// Whether this node follows the fleet, or tells it something, or neither.
fn is_told(
    base: Option<&TableBase>,
    local: Option<&LocalTable>,
    shared: Option<&SharedTable>,
) -> Option<bool> {
    let change = shared.map_or(0, |shared| shared.mark.change);
    let is_touched = |local: &LocalTable| local.has_pushed;
    match base {
        None if shared.is_some() => Some(false),
        None => local.is_some_and(is_touched).then_some(true),
        Some(base) if base.change != change && shared.is_some() => Some(false),
        Some(base) if base.local.as_ref() == local => None,
        Some(base) => {
            let was_touched = base.local.as_ref().is_some_and(is_touched);
            (was_touched || local.is_some_and(is_touched)).then_some(true)
        }
    }
}

impl VersionSync {
    pub(super) fn look_at_tables(
        &mut self,
        shared: &SharedVersions,
        changed: &mut SharedVersions,
        report: &mut SyncReport,
    ) -> Result<BTreeMap<String, TableBase>, FleetVersionsError> {
        let here = self.local_tables();
        let bases = self.tables.clone();
        let mut names: BTreeSet<&String> = here.keys().collect();
        names.extend(shared.tables.keys());
        names.extend(bases.keys());
        let mut told = BTreeMap::new();
        for name in names {
            let (local, of_fleet) = (here.get(name), shared.tables.get(name));
            let base = bases.get(name);
            match is_told(base, local, of_fleet) {
                None if base.is_some_and(|base| base.local.as_ref() == local) => {}
                None => self.agree_on_table(name, of_fleet),
                Some(true) => {
                    let tell = |sync: &VersionSync| sync.told_table(name, of_fleet, local);
                    let attempt = SyncAttempt {
                        kind: "table",
                        name,
                        change: of_fleet.map_or(0, |table| table.mark.change),
                        way: SyncWay::Tell,
                    };
                    let Some(next) = self.attempt(&attempt, report, tell)? else {
                        continue;
                    };
                    let base = TableBase {
                        change: next.mark.change,
                        local: local.cloned(),
                    };
                    changed.tables.insert(name.clone(), next);
                    told.insert(name.clone(), base);
                }
                Some(false) => {
                    let table = of_fleet.expect("a node follows what the fleet has");
                    let follow = |sync: &VersionSync| sync.follow_table(name, local, table);
                    let attempt = SyncAttempt {
                        kind: "table",
                        name,
                        change: table.mark.change,
                        way: SyncWay::Follow,
                    };
                    if self.attempt(&attempt, report, follow)?.is_some() {
                        self.agree_on_table(name, of_fleet);
                    }
                }
            }
        }
        Ok(told)
    }

    /// Whether a table was changed here, and the fleet was not told.
    pub(super) fn has_tables_apart(&self) -> bool {
        let here = self.local_tables();
        let mut tables = self.tables.iter();
        tables.any(|(name, base)| {
            let is_touched = |local: &LocalTable| local.has_pushed;
            let local = here.get(name);
            let was_touched = base.local.as_ref().is_some_and(is_touched);
            base.local.as_ref() != local && (was_touched || local.is_some_and(is_touched))
        })
    }

    fn agree_on_table(&mut self, name: &str, of_fleet: Option<&SharedTable>) {
        let local = self.local_tables().remove(name);
        let change = of_fleet.map_or(0, |table| table.mark.change);
        self.tables
            .insert(name.to_owned(), TableBase { change, local });
    }

    fn local_tables(&self) -> BTreeMap<String, LocalTable> {
        let state = self.data.state();
        let tables = state.entries().map(|(name, entry)| {
            let record = entry.record();
            let local = LocalTable {
                active: active_version(record.active, &record.versions)
                    .map(|version| (version.digest.clone(), version.format, version.kind)),
                has_pushed: !record.versions.is_empty(),
            };
            (name.to_string(), local)
        });
        tables.collect()
    }

    fn told_table(
        &self,
        name: &str,
        of_fleet: Option<&SharedTable>,
        local: Option<&LocalTable>,
    ) -> Result<SharedTable, FleetVersionsError> {
        let before = of_fleet.map(|table| table.mark.clone()).unwrap_or_default();
        let mark = self.next_mark(&before);
        let Some(local) = local.filter(|local| local.has_pushed) else {
            return Ok(SharedTable {
                mark,
                active: None,
                removed: true,
            });
        };
        let active = match &local.active {
            None => None,
            Some((digest, format, kind)) => {
                let (content, signature) = self.data.pushed_content(name, digest)?;
                self.bus.keep_content(digest, &content)?;
                Some(SharedTableVersion {
                    digest: digest.clone(),
                    format: *format,
                    kind: *kind,
                    signature,
                })
            }
        };
        Ok(SharedTable {
            mark,
            active,
            removed: false,
        })
    }

    fn follow_table(
        &self,
        name: &str,
        local: Option<&LocalTable>,
        of_fleet: &SharedTable,
    ) -> Result<(), FleetVersionsError> {
        if of_fleet.removed {
            if local.is_some_and(|local| local.has_pushed) {
                self.data.remove(name, &self.users_of(name))?;
            }
            return Ok(());
        }
        let Some(wanted) = &of_fleet.active else {
            if local.is_some_and(|local| local.active.is_some()) {
                let configured = TableNumber::Configured.to_string();
                self.data.roll_back(name, Some(&configured))?;
            }
            return Ok(());
        };
        let key = (wanted.digest.clone(), wanted.format, wanted.kind);
        if local.is_some_and(|local| local.active.as_ref() == Some(&key)) {
            return Ok(());
        }
        let state = self.data.state();
        let versions = state.entry(name).ok().map(|entry| &entry.record().versions);
        let known = versions.into_iter().flatten().find(|version| {
            (&version.digest, version.format, version.kind) == (&key.0, key.1, key.2)
        });
        if let Some(known) = known {
            self.data.roll_back(name, Some(&known.number.to_string()))?;
            return Ok(());
        }
        let content = self.content(&wanted.digest)?;
        let signature = wanted.signature.as_deref();
        let (format, kind) = (wanted.format, Some(wanted.kind));
        self.data.push(name, &content, format, kind, signature)?;
        Ok(())
    }

    /// The policies of sites that need a table.
    fn users_of(&self, table: &str) -> Vec<String> {
        let state = self.rollout.state();
        let users = state.policies().filter(|(name, versions)| {
            versions.reads_table(table) && !state.sites_of(name).is_empty()
        });
        users.map(|(name, _)| name.to_string()).collect()
    }
}

/// The pushed version that decides.
fn active_version(active: TableNumber, versions: &[TableVersion]) -> Option<&TableVersion> {
    let TableNumber::Pushed(number) = active else {
        return None;
    };
    versions.iter().find(|version| version.number == number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::shared_versions::ChangeMark;

    fn local(digest: Option<&str>, has_pushed: bool) -> LocalTable {
        LocalTable {
            active: digest
                .map(|digest| (digest.to_owned(), TableFormat::Csv, TableKind::default())),
            has_pushed,
        }
    }

    #[test]
    fn tables_are_told_followed_or_left_alone() {
        let shared = |change| SharedTable {
            mark: ChangeMark {
                change,
                ..ChangeMark::default()
            },
            ..SharedTable::default()
        };
        let (old, new) = (local(None, false), local(Some("a"), true));
        let base = |local: &LocalTable| TableBase {
            change: 3,
            local: Some(local.clone()),
        };
        let agreed = base(&old);
        assert_eq!(is_told(Some(&agreed), Some(&old), Some(&shared(3))), None);
        assert_eq!(
            is_told(Some(&agreed), Some(&new), Some(&shared(3))),
            Some(true)
        );
        assert_eq!(
            is_told(Some(&agreed), Some(&new), Some(&shared(4))),
            Some(false)
        );
        assert_eq!(is_told(None, Some(&new), Some(&shared(1))), Some(false));
        assert_eq!(is_told(None, Some(&new), None), Some(true));
        assert_eq!(is_told(None, Some(&old), None), None);
        // Removed here; a table of the configuration that a reload takes off is not.
        assert_eq!(
            is_told(Some(&base(&new)), None, Some(&shared(3))),
            Some(true)
        );
        assert_eq!(is_told(Some(&base(&old)), None, Some(&shared(3))), None);
    }
}
