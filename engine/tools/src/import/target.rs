//! What a configuration needs beside a static JSON policy file.

use tero_config::{Mistake, forms};

/// The application and the hosts of a site; the JSON file does not name them.
#[derive(Clone, Debug)]
pub struct ImportTarget {
    pub(super) origin: String,
    pub(super) hosts: Vec<String>,
}

impl ImportTarget {
    /// A site in front of `origin` (`http://HOST[:PORT]`) that answers for `hosts`.
    ///
    /// Without hosts, the site answers for `localhost` and for every other host: plans need a name
    /// to fetch pages under.
    ///
    /// # Errors
    /// The first malformed value, and what to write instead.
    pub fn new(origin: &str, hosts: &[String]) -> Result<ImportTarget, String> {
        let message = |Mistake { problem, cure }: Mistake| format!("{problem}; {cure}");
        forms::origin(origin).map_err(message)?;
        let hosts: Vec<String> = hosts
            .iter()
            .map(|host| forms::host(host))
            .collect::<Result<_, _>>()
            .map_err(message)?;
        let hosts = if hosts.is_empty() {
            vec!["localhost".to_owned(), "*".to_owned()]
        } else {
            hosts
        };
        Ok(ImportTarget {
            origin: origin.to_owned(),
            hosts,
        })
    }
}
