//! Data tables, which the operator or a push provides.

/// A data table that the manifest names. Its rows don't change during a call.
///
/// ```
/// use tero_policy::{Manifest, provide_table, table};
///
/// let manifest = Manifest::new().on_request().table("redirects");
/// provide_table("redirects", [("/old", "/new")]);
/// assert_eq!(table("redirects").get("/old").as_deref(), Some("/new"));
/// # assert_eq!(manifest.tables, ["redirects"]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Table<'n>(&'n str);

/// A row that was found.
///
/// ```
/// use tero_policy::{provide_table, table};
///
/// provide_table("owners", [("/shop/", "ana"), ("/", "berta")]);
/// let row = table("owners").longest_prefix("/shop/42").unwrap();
/// assert_eq!((row.key.as_str(), row.value.as_str()), ("/shop/", "ana"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TableRow {
    /// Its key.
    pub key: String,
    /// Its value.
    pub value: String,
}

/// The data table with this name, one of the manifest's. Where there is none, it has no rows.
///
/// There are no tables yet while the policy is configured.
///
/// ```
/// assert_eq!(tero_policy::table("nothing").get("/"), None);
/// ```
pub fn table(name: &str) -> Table<'_> {
    Table(name)
}

impl Table<'_> {
    /// The value of a key.
    ///
    /// ```
    /// # use tero_policy::{provide_table, table};
    /// provide_table("prices", [("apple", "3")]);
    /// assert_eq!(table("prices").get("apple").as_deref(), Some("3"));
    /// ```
    pub fn get(self, key: &str) -> Option<String> {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::tables::get(self.0, key);
        #[cfg(not(target_arch = "wasm32"))]
        provided::get(self.0, key)
    }

    /// The row with the longest key that `text` begins with. In a table of networks, `text` is an
    /// address or a network, and the row is that of the smallest network that contains it.
    ///
    /// ```
    /// # use tero_policy::{provide_networks, table};
    /// provide_networks("offices", [("203.0.113.0/24", "cordoba"), ("203.0.0.0/8", "other")]);
    /// assert_eq!(table("offices").longest_prefix("203.0.113.7").unwrap().value, "cordoba");
    /// ```
    pub fn longest_prefix(self, text: &str) -> Option<TableRow> {
        #[cfg(target_arch = "wasm32")]
        return crate::bindings::tables::longest_prefix(self.0, text).map(|row| TableRow {
            key: row.key,
            value: row.value,
        });
        #[cfg(not(target_arch = "wasm32"))]
        provided::longest_prefix(self.0, text)
    }
}

/// Provides a data table for the tests of this thread, in place of one of the same name.
///
/// ```
/// # use tero_policy::{provide_table, table};
/// provide_table("prices", [("apple", "3")]);
/// assert_eq!(table("prices").get("pear"), None);
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub fn provide_table<K: Into<String>, V: Into<String>>(
    name: &str,
    rows: impl IntoIterator<Item = (K, V)>,
) {
    provided::provide(name, provided::Kind::Keys, rows);
}

/// Provides a table of networks for the tests of this thread; see [`provide_table`].
///
/// ```
/// # use tero_policy::{provide_networks, table};
/// provide_networks("offices", [("2001:db8::/32", "cordoba")]);
/// assert!(table("offices").longest_prefix("2001:db8:1::/48").is_some());
/// assert!(table("offices").longest_prefix("2001:db9::1").is_none());
/// ```
#[cfg(not(target_arch = "wasm32"))]
pub fn provide_networks<K: Into<String>, V: Into<String>>(
    name: &str,
    rows: impl IntoIterator<Item = (K, V)>,
) {
    provided::provide(name, provided::Kind::Networks, rows);
}

/// The tables of a test.
#[cfg(not(target_arch = "wasm32"))]
mod provided {
    use std::cell::RefCell;
    use std::collections::HashMap;
    use std::net::IpAddr;

    use super::TableRow;

    #[derive(Clone, Copy, PartialEq, Eq)]
    pub(super) enum Kind {
        Keys,
        Networks,
    }

    struct Provided {
        kind: Kind,
        rows: Vec<(String, String)>,
    }

    thread_local! {
        static TABLES: RefCell<HashMap<String, Provided>> = RefCell::default();
    }

    pub(super) fn provide<K: Into<String>, V: Into<String>>(
        name: &str,
        kind: Kind,
        rows: impl IntoIterator<Item = (K, V)>,
    ) {
        let rows = rows
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()));
        let table = Provided {
            kind,
            rows: rows.collect(),
        };
        TABLES.with_borrow_mut(|tables| tables.insert(name.to_owned(), table));
    }

    pub(super) fn get(name: &str, key: &str) -> Option<String> {
        TABLES.with_borrow(|tables| {
            let mut rows = tables.get(name)?.rows.iter();
            let (_, value) = rows.find(|(known, _)| known == key)?;
            Some(value.clone())
        })
    }

    pub(super) fn longest_prefix(name: &str, text: &str) -> Option<TableRow> {
        TABLES.with_borrow(|tables| {
            let table = tables.get(name)?;
            let length = |key: &str| match table.kind {
                Kind::Keys => text.starts_with(key).then_some(key.len()),
                Kind::Networks => bits_in_common(key, text),
            };
            let found = table
                .rows
                .iter()
                .filter_map(|row| Some((length(&row.0)?, row)));
            let (_, (key, value)) = found.max_by_key(|(length, _)| *length)?;
            Some(TableRow {
                key: key.clone(),
                value: value.clone(),
            })
        })
    }

    /// The bits of a network, if it contains an address or another network.
    fn bits_in_common(network: &str, text: &str) -> Option<usize> {
        let (network, bits) = parse(network)?;
        let (asked, of_asked) = parse(text)?;
        let shift = |address: IpAddr| match address {
            IpAddr::V4(address) => (4, u128::from(address.to_bits()) << 96),
            IpAddr::V6(address) => (6, address.to_bits()),
        };
        let ((family, network), (of_family, asked)) = (shift(network), shift(asked));
        let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
        let is_in = family == of_family && of_asked >= bits && network & mask == asked & mask;
        is_in.then_some(usize::try_from(bits).unwrap_or(0))
    }

    fn parse(text: &str) -> Option<(IpAddr, u32)> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address.parse().ok()?, Some(bits.parse().ok()?)),
            None => (text.parse::<IpAddr>().ok()?, None),
        };
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(most);
        (bits <= most).then_some((address, bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_key_and_the_smallest_network_are_found() {
        provide_table("paths", [("/", "a"), ("/shop", "b"), ("/shop/x", "c")]);
        let found = |text: &str| table("paths").longest_prefix(text).map(|row| row.value);
        assert_eq!(found("/shop/y").as_deref(), Some("b"));
        assert_eq!(found("shop"), None);
        provide_networks(
            "nets",
            [("0.0.0.0/0", "a"), ("203.0.113.0/24", "b"), ("::/0", "c")],
        );
        let found = |text: &str| table("nets").longest_prefix(text).map(|row| row.value);
        assert_eq!(found("203.0.113.1").as_deref(), Some("b"));
        assert_eq!(found("203.0.113.0/25").as_deref(), Some("b"));
        assert_eq!(found("203.0.0.0/16").as_deref(), Some("a"));
        assert_eq!(found("2001:db8::1").as_deref(), Some("c"));
        assert_eq!(found("not an address"), None);
    }
}
