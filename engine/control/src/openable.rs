//! Whether an edge could open what its configuration names: addresses and files. Nothing is kept: no
//! address stays bound, and no file or folder is made.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use tero_config::{self as config, Config, ConfigErrors, ListenAddress, Mistake, Mistakes};
use tero_edge::origin::{self, OriginTlsError};
use tero_edge::server::unix_socket;

/// What can't be opened now, because another process has it.
#[derive(Debug)]
pub struct AddressInUse {
    /// The key of the configuration.
    pub key: &'static str,
    /// The address or path.
    pub address: ListenAddress,
}

/// Tries to open everything that `tero serve` opens. `text` is that of the configuration's file.
/// Returns the addresses that another process has: a running edge, as a rule.
///
/// # Errors
/// A mistake for each that can't be opened.
pub fn check_openable(config: &Config, text: &str) -> Result<Vec<AddressInUse>, ConfigErrors> {
    let mistakes = Mistakes::of(&config.file, text);
    let refuse = |key: &str, mistake: Mistake| mistakes.add(&place_of(text, key), key, mistake);
    let mut in_use = Vec::new();
    let plain = config.server.listen.iter().copied();
    let plain = plain.map(|address| ("server.listen", address));
    let listeners = config.server.listeners.iter();
    let listeners = listeners.filter_map(|listener| listener.address.tcp());
    let listeners = listeners.map(|address| ("server.listener.address", address));
    let admin = config.admin.listen.tcp();
    let admin = admin.map(|address| ("admin.listen", address));
    for (key, address) in plain.chain(listeners).chain(admin) {
        match TcpListener::bind(address) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                in_use.push(AddressInUse {
                    key,
                    address: address.into(),
                });
            }
            Err(error) => refuse(key, unusable(&address, &error)),
        }
    }
    let listeners = config.server.listeners.iter();
    let sockets = listeners.map(|listener| ("server.listener.address", &listener.address));
    for (key, address) in sockets.chain([("admin.listen", &config.admin.listen)]) {
        let Some(path) = address.unix() else {
            continue;
        };
        match can_make_socket(path) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let address = address.clone();
                in_use.push(AddressInUse { key, address });
            }
            Err(error) => {
                let problem = format!("can't listen on {address}: {error}");
                let cure = "write the path of a socket in a folder that tero may write to";
                refuse(key, Mistake::new(problem, cure));
            }
        }
    }
    if let Some(log) = &config.access_log
        && log.path != Path::new("-")
        && let Err(problem) = can_append(&log.path)
    {
        let cure = "write the path of a file in a folder that exists and that tero may write to";
        refuse("access_log.path", Mistake::new(problem, cure));
    }
    if let Some(folder) = &config.policy_host.state_dir
        && let Err(problem) = can_make(folder)
    {
        let cure = "write the path of a folder that tero may make or write to";
        refuse("policies.state_dir", Mistake::new(problem, cure));
    }
    for site in &config.sites {
        for hop in &site.next_hops {
            if let Err(error) = origin::check(hop) {
                let problem = format!("{}: {error}{}", hop.shown_name(), reason_of(&error));
                let cure =
                    "write the path of a PEM file that tero may read and that fits the others";
                let mistake = Mistake::new(problem, cure);
                mistakes.add(&place_of_hop(text, hop), "site.origin", mistake);
            }
        }
        for hop in site.shield.iter().flat_map(config::Shield::hops) {
            if let Err(error) = origin::check(&hop) {
                let problem = format!("{}: {error}{}", hop.shown_name(), reason_of(&error));
                let cure =
                    "write the path of a PEM file that tero may read and that fits the others";
                refuse("site.shield", Mistake::new(problem, cure));
            }
        }
    }
    mistakes.into_result().map(|()| in_use)
}

fn unusable(address: &SocketAddr, error: &io::Error) -> Mistake {
    let cure = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "write a port from 1024 on, or let tero bind lower ones (CAP_NET_BIND_SERVICE)"
        }
        _ => "write an address of this machine, or 0.0.0.0 or [::] for all",
    };
    Mistake::new(format!("can't listen on {address}: {error}"), cure)
}

/// Whether a socket could be made at this path, as far as that shows without making one.
fn can_make_socket(path: &Path) -> io::Result<()> {
    unix_socket::refuse_taken(path)?;
    let folder = path.parent().unwrap_or(Path::new("/"));
    access(folder, Access::WRITE_OK | Access::EXEC_OK)?;
    Ok(())
}

/// Whether a file can be appended to.
fn can_append(path: &Path) -> Result<(), String> {
    if path.is_dir() {
        return Err(format!("{} is a folder", path.display()));
    }
    if path.exists() {
        return writable(path);
    }
    let folder = path.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(format!("there is no folder {}", folder.display()));
    }
    writable(folder)
}

/// Whether a folder is there and can be written to, or can be made.
fn can_make(folder: &Path) -> Result<(), String> {
    let mut there: PathBuf = folder.to_owned();
    while !there.exists() {
        there = match there.parent() {
            Some(parent) if parent != Path::new("") => parent.to_owned(),
            _ => PathBuf::from("."),
        };
    }
    if !there.is_dir() {
        return Err(format!("{} is not a folder", there.display()));
    }
    writable(&there)
}

fn writable(path: &Path) -> Result<(), String> {
    access(path, Access::WRITE_OK)
        .map_err(|error| format!("{} can't be written to: {error}", path.display()))
}

/// What stands behind an error.
fn reason_of(error: &OriginTlsError) -> String {
    std::error::Error::source(error).map_or(String::new(), |source| format!(": {source}"))
}

/// The line with the URL of an origin; the beginning of the file if it is not found.
fn place_of_hop(text: &str, hop: &config::Origin) -> std::ops::Range<usize> {
    let url = hop.url.to_string();
    let line = text.lines().find(|line| line.contains(&url));
    line.map_or(0..0, |line| {
        // The line is a part of the text.
        let start = line.as_ptr() as usize - text.as_ptr() as usize;
        start..start + line.len()
    })
}

/// The line of a key; the beginning of the file if it is not found.
fn place_of(text: &str, key: &str) -> std::ops::Range<usize> {
    let (table, name) = key.rsplit_once('.').unwrap_or(("", key));
    let table = text.find(&format!("[{table}]")).unwrap_or(0);
    let line = text[table..].lines().find(|line| {
        let rest = line.trim_start().strip_prefix(name);
        rest.is_some_and(|rest| rest.trim_start().starts_with('='))
    });
    let Some(line) = line else { return 0..0 };
    // The line is a part of the text.
    let start = line.as_ptr() as usize - text.as_ptr() as usize;
    start..start + line.len()
}
