//! What a static JSON policy file does not say.

use tero_config::{Mistake, forms};

/// What the JSON file does not say: the application, and the hosts that the site answers for.
#[derive(Clone, Debug)]
pub struct ImportTarget {
    pub(super) origin: String,
    pub(super) hosts: Vec<String>,
}

impl ImportTarget {
    /// A site in front of `origin` (`http://HOST[:PORT]`) that answers for `hosts`, or for
    /// `localhost` and every host if there are none: plans need a name to fetch pages under.
    ///
    /// # Errors
    /// What is wrong with one of them, and what to write instead.
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
