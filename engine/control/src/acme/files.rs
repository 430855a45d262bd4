//! What is kept of a directory in the state directory: the account, certificates with their keys,
//! and when each name may be tried again.
//!
//! ```text
//! acme/HOST-DIGEST/account.json           the account's key, with the mode 0600, as all here
//!                 /attempts.json          failures, and until when each of them holds orders back
//!                 /certificates/NAME.pem  a private key, then the certificate and its chain
//! ```
//!
//! Each directory has a folder of its own, so that a certificate of a staging directory is never
//! taken for one of the other. A key and its certificate are one file, so that they change together.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use instant_acme::AccountCredentials;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use tero_state::dir::{DirError, StateDir};
use tero_state::file::{self, FileError};
use tero_state::trusted;

/// A larger file can't be ours.
const MAX_ACCOUNT_BYTES: u64 = 64 << 10;
const MAX_ATTEMPTS_BYTES: u64 = 16 << 20;
const MAX_CERTIFICATE_BYTES: u64 = 256 << 10;

/// The files of one directory.
#[derive(Debug)]
pub(super) struct AcmeFiles {
    folder: PathBuf,
    /// Keeps the state directory locked.
    dir: Arc<StateDir>,
}

/// An account with what was told of it. The key is among the credentials.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredAccount {
    /// What the directory knows as the contact.
    pub(super) contact: Vec<String>,
    /// As the library keeps them.
    pub(super) credentials: AccountCredentials,
}

/// The failures in a row of a name, or of the directory as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FailureRecord {
    /// How many.
    pub(super) count: u32,
    /// When the last one was.
    pub(super) at_unix_secs: i64,
    /// Why.
    pub(super) reason: String,
    /// Until when nothing is asked.
    pub(super) until_unix_secs: i64,
}

/// The failures that hold orders back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FailureRecords {
    /// Those that concern every name.
    pub(super) directory: Option<FailureRecord>,
    /// By name.
    pub(super) names: BTreeMap<String, FailureRecord>,
}

impl AcmeFiles {
    /// Makes the folders that are missing.
    ///
    /// # Errors
    /// If they can't be made, or others may write there.
    pub(super) fn open(dir: &Arc<StateDir>, directory: &str) -> Result<AcmeFiles, DirError> {
        dir.folder("acme")?;
        let folder = dir.folder(&format!("acme/{}", folder_name(directory)))?;
        let below = |name: &str| format!("acme/{}/{name}", folder_name(directory));
        dir.folder(&below("certificates"))?;
        Ok(AcmeFiles {
            folder,
            dir: Arc::clone(dir),
        })
    }

    /// The account; `None` if there is none yet.
    ///
    /// # Errors
    /// If the file can't be read, or is not ours.
    pub(super) fn account(&self) -> Result<Option<StoredAccount>, FileError> {
        read(&self.account_path(), MAX_ACCOUNT_BYTES)
    }

    /// Keeps an account.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn keep_account(&self, account: &StoredAccount) -> Result<(), FileError> {
        self.dir.check_ours()?;
        let bytes = file::to_bytes(account)?;
        Ok(trusted::write(&self.account_path(), &[&bytes])?)
    }

    /// Moves an account away that the directory does not know any more.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn retire_account(&self) -> io::Result<()> {
        self.dir.check_ours().map_err(io::Error::other)?;
        fs::rename(self.account_path(), self.folder.join("account.json.gone"))
    }

    /// The failures that were kept. Those that can't be read are logged and forgotten.
    pub(super) fn failures(&self) -> FailureRecords {
        let path = self.failures_path();
        match read(&path, MAX_ATTEMPTS_BYTES) {
            Ok(records) => records.unwrap_or_default(),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "failed orders of certificates can't be read: they are forgotten");
                FailureRecords::default()
            }
        }
    }

    /// Keeps the failures.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn keep_failures(&self, records: &FailureRecords) -> Result<(), FileError> {
        self.dir.check_ours()?;
        let bytes = file::to_bytes(records)?;
        Ok(trusted::write(&self.failures_path(), &[&bytes])?)
    }

    /// The key and certificate of a name as PEM; `None` if there is none yet.
    ///
    /// # Errors
    /// If the file can't be read, or others could have written it.
    pub(super) fn certificate(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match trusted::read(&self.certificate_path(name), MAX_CERTIFICATE_BYTES) {
            Ok(pem) => Ok(Some(pem)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps the key and certificate of a name.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn keep_certificate(&self, name: &str, pem: &str) -> io::Result<()> {
        self.dir.check_ours().map_err(io::Error::other)?;
        trusted::write(&self.certificate_path(name), &[pem.as_bytes()])
    }

    fn account_path(&self) -> PathBuf {
        self.folder.join("account.json")
    }

    fn failures_path(&self) -> PathBuf {
        self.folder.join("attempts.json")
    }

    /// Names are letters, digits, hyphens and dots (see `tero_config`), and never begin with a dot.
    fn certificate_path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("certificates/{name}.pem"))
    }
}

/// The failures that an edge with this state directory has kept, which may be running; none if they
/// can't be read.
pub(super) fn kept_failures(state_dir: &Path, directory: &str) -> FailureRecords {
    let path = state_dir.join(format!("acme/{}/attempts.json", folder_name(directory)));
    read(&path, MAX_ATTEMPTS_BYTES)
        .unwrap_or_default()
        .unwrap_or_default()
}

/// The folder of a directory: its host, so that people recognise it, and a digest of its URL.
fn folder_name(directory: &str) -> String {
    let uri = directory.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let plain = |character: char| match character {
        'a'..='z' | '0'..='9' | '.' | '-' => character,
        _ => '_',
    };
    let host = host.trim_start_matches('.').to_ascii_lowercase();
    let host: String = host.chars().map(plain).collect();
    let digest = Sha256::digest(directory);
    let digest: String = digest[..4]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{host}-{digest}")
}

fn read<T: DeserializeOwned>(path: &Path, max_bytes: u64) -> Result<Option<T>, FileError> {
    match trusted::read(path, max_bytes) {
        Ok(bytes) => file::parse(&bytes).map(Some),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

    use super::*;

    const DIRECTORY: &str = "https://acme.example/directory";

    fn files(top: &tempfile::TempDir) -> AcmeFiles {
        let dir = Arc::new(StateDir::open(top.path()).unwrap());
        AcmeFiles::open(&dir, DIRECTORY).unwrap()
    }

    #[test]
    fn a_certificate_is_kept_for_its_owner_alone() {
        let top = tempfile::tempdir().unwrap();
        let files = files(&top);
        assert_eq!(files.certificate("shop.example").unwrap(), None);
        files
            .keep_certificate("shop.example", "key and chain")
            .unwrap();
        let path = files.certificate_path("shop.example");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&files.folder).unwrap().mode() & 0o777, 0o700);
        let kept = files.certificate("shop.example").unwrap();
        assert_eq!(kept.as_deref(), Some(b"key and chain".as_slice()));
        // One that others could have written is not used.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert!(files.certificate("shop.example").is_err());
    }

    #[test]
    fn failures_are_known_after_a_restart_and_nonsense_is_forgotten() {
        let top = tempfile::tempdir().unwrap();
        let files = files(&top);
        let mut records = FailureRecords::default();
        let record = FailureRecord {
            count: 3,
            at_unix_secs: 10,
            reason: "refused".to_owned(),
            until_unix_secs: 20,
        };
        records.names.insert("shop.example".to_owned(), record);
        files.keep_failures(&records).unwrap();
        assert_eq!(files.failures(), records);
        for nonsense in ["", "{", "{\"version\":2,\"content\":{}}"] {
            fs::write(files.failures_path(), nonsense).unwrap();
            assert_eq!(files.failures(), FailureRecords::default(), "{nonsense}");
        }
    }

    #[test]
    fn each_directory_has_a_folder_of_its_own() {
        let (one, other) = (
            folder_name(DIRECTORY),
            folder_name("https://acme.example/other"),
        );
        assert!(
            one.starts_with("acme.example-") && one != other,
            "{one} {other}"
        );
        for strange in ["https://[::1]:14000/dir", "https://../..", "nonsense", ""] {
            let name = folder_name(strange);
            assert!(!name.contains('/') && !name.starts_with('.'), "{name}");
        }
    }
}
