//! Which sites are being worked on, in a file of the state directory, so that a restart goes on with
//! it. An unreadable file is logged and ignored.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use tero_edge::request::Edge;
use tero_edge::request::maintenance::MaintenanceOrder;
use tero_semantics::timestamp::Timestamp;
use tero_state::dir::StateDir;
use tero_state::file::{FileError, StateFile};

const FILE_NAME: &str = "maintenance.json";

/// A larger file can't be ours: an order has at most some thousand bytes.
const MAX_FILE_BYTES: u64 = 16 << 20;

/// The orders by site, and the file that keeps them. Without a file, a restart forgets them.
#[derive(Debug, Default)]
pub struct MaintenanceMemory {
    file: Option<StateFile>,
    orders: Mutex<BTreeMap<String, SavedOrder>>,
}

/// An order as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SavedOrder {
    message: String,
    until_unix_secs: Option<i64>,
    serve_stored: bool,
    exempt: Vec<String>,
}

impl MaintenanceMemory {
    /// Reads the file in the state directory `dir`.
    pub fn open(dir: Option<&Arc<StateDir>>) -> MaintenanceMemory {
        let file = dir.map(|dir| StateFile::new(dir, FILE_NAME, MAX_FILE_BYTES));
        let orders = file.as_ref().and_then(read).unwrap_or_default();
        MaintenanceMemory {
            file,
            orders: Mutex::new(orders),
        }
    }

    /// Whether a restart goes on with what is begun.
    pub fn survives_restart(&self) -> bool {
        self.file.is_some()
    }

    /// Goes on with the orders that were saved. Those of sites that are not configured wait for them.
    pub fn restore(&self, edge: &Edge) {
        let now = edge.clock.wall();
        let sites = edge.sites.load();
        for (name, saved) in self.lock().iter() {
            let order = saved.order();
            let is_over = order.until.is_some_and(|until| now >= until);
            if let Some(site) = sites.named(name).filter(|_| !is_over) {
                site.maintenance.begin(order);
                tracing::warn!(site = %name, "the site is still in maintenance");
            }
        }
    }

    /// Begins the maintenance of a site, and saves that.
    ///
    /// # Errors
    /// [`FileError`] if it can't be saved; then nothing has changed.
    pub fn begin(&self, edge: &Edge, name: &str, order: MaintenanceOrder) -> Result<(), FileError> {
        let mut orders = self.lock();
        let mut new = orders.clone();
        new.insert(name.to_owned(), SavedOrder::of(&order));
        self.save(&new)?;
        *orders = new;
        if let Some(site) = edge.sites.load().named(name) {
            site.maintenance.begin(order);
        }
        Ok(())
    }

    /// Ends the maintenance of a site, and saves that. Whether it was on.
    ///
    /// # Errors
    /// [`FileError`] if it can't be saved; then nothing has changed.
    pub fn end(&self, edge: &Edge, name: &str) -> Result<bool, FileError> {
        let mut orders = self.lock();
        let mut new = orders.clone();
        if new.remove(name).is_some() {
            self.save(&new)?;
            *orders = new;
        }
        let sites = edge.sites.load();
        let site = sites.named(name);
        Ok(site.is_some_and(|site| site.maintenance.end(edge.clock.wall())))
    }

    fn save(&self, orders: &BTreeMap<String, SavedOrder>) -> Result<(), FileError> {
        self.file
            .as_ref()
            .map_or(Ok(()), |file| file.replace(orders))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, SavedOrder>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SavedOrder {
    fn of(order: &MaintenanceOrder) -> SavedOrder {
        SavedOrder {
            message: order.message.clone(),
            until_unix_secs: order.until.map(Timestamp::unix_secs),
            serve_stored: order.serves_stored,
            exempt: order.exempt.iter().map(ToString::to_string).collect(),
        }
    }

    /// The order; networks that can't be read match no client.
    fn order(&self) -> MaintenanceOrder {
        let networks = self.exempt.iter();
        MaintenanceOrder {
            message: self.message.clone(),
            until: self.until_unix_secs.map(Timestamp::from_unix_secs),
            serves_stored: self.serve_stored,
            exempt: networks
                .filter_map(|network| network.parse().ok())
                .collect(),
        }
    }
}

fn read(file: &StateFile) -> Option<BTreeMap<String, SavedOrder>> {
    file.read().unwrap_or_else(|error| {
        tracing::warn!(file = %file.path().display(), %error, "which sites are in maintenance can't be read: none is");
        None
    })
}
