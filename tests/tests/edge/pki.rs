//! An authority with a folder, where everything that it has issued lies as operators have it.

use std::path::{Path, PathBuf};

use tero_tests::{folder, toml_string};

use crate::tls::authority::{Authority, Issued, Wanted, names, write};

/// An authority, and the folder of its files.
pub(crate) struct AuthorityFolder {
    authority: Authority,
    folder: tempfile::TempDir,
}

/// A certificate and its key, with their files.
pub(crate) struct IssuedFiles {
    pub(crate) issued: Issued,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl AuthorityFolder {
    /// An authority of this name.
    pub(crate) fn new(name: &str) -> AuthorityFolder {
        let (authority, folder) = (Authority::new(name), folder());
        write(folder.path(), "ca.pem", &authority.pem());
        AuthorityFolder { authority, folder }
    }

    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The file of the authority's certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Issues a certificate into files of this name.
    pub(crate) fn issue_as(&self, file: &str, wanted: Wanted<'_>) -> IssuedFiles {
        let issued = self.authority.issue(wanted);
        issued.write(self.folder.path(), file);
        IssuedFiles {
            issued,
            cert: self.folder.path().join(format!("{file}.pem")),
            key: self.folder.path().join(format!("{file}.key")),
        }
    }

    /// A certificate for these names that holds for a hundred years.
    pub(crate) fn issue(&self, file: &str, for_names: &[&str]) -> IssuedFiles {
        self.issue_as(file, names(for_names))
    }
}

impl IssuedFiles {
    /// As an entry of `certificates` in the configuration.
    pub(crate) fn to_toml(&self) -> String {
        let quoted = |path: &Path| toml_string(&path.display().to_string());
        format!(
            "{{ cert = {}, key = {} }}",
            quoted(&self.cert),
            quoted(&self.key)
        )
    }
}
