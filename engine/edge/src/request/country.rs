//! The country of a client, for policies that ask: from a field of trusted proxies, or from a table of
//! networks.

use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use tero_config::CountrySource;
use tero_policy_host::tables::{TableSet, TableSlot};
use tero_semantics::country::Country;

/// Where a site learns the country of clients from.
#[derive(Debug)]
pub struct CountryLookup {
    field: Option<HeaderName>,
    table: Option<Arc<TableSlot>>,
    /// Whether a policy asks.
    is_needed: bool,
}

impl CountryLookup {
    /// The look-up that the configuration names. `is_needed` says whether a policy asks for it.
    pub fn new(source: &CountrySource, tables: &TableSet, is_needed: bool) -> CountryLookup {
        CountryLookup {
            field: source.field.clone(),
            table: source.table.as_deref().map(|name| tables.slot(name)),
            is_needed,
        }
    }

    /// The country of a client, which a trusted proxy may tell. To be asked before the fields of
    /// proxies are taken out: most of those that tell a country are among them.
    #[cold]
    pub(super) fn of(
        &self,
        headers: &HeaderMap,
        client: Option<IpAddr>,
        is_of_trusted_peer: bool,
    ) -> Option<Country> {
        if !self.is_needed {
            return None;
        }
        if let Some(field) = &self.field {
            let told = headers.get(field).filter(|_| is_of_trusted_peer)?;
            return Country::parse(told.to_str().ok()?);
        }
        let slot = self.table.as_ref()?;
        let address = client?.to_canonical().to_string();
        let table = slot.table()?;
        Country::parse(&table.longest_prefix(&address)?.value)
    }

    /// Removes the field of a client that is not a trusted proxy: neither policies nor origins are
    /// told what it made up.
    #[cold]
    pub(super) fn remove_untrusted(&self, headers: &mut HeaderMap) {
        if let Some(field) = &self.field {
            headers.remove(field);
        }
    }
}
