//! `[site.purge]`.

use std::fmt;

use ipnet::IpNet;

use crate::forms;
use crate::mistakes::Mistake;
use crate::reader::{TableReader, values};

section! {
    /// Purges by request: `PURGE`, as plugins of applications send it. Without this table such requests
    /// get 405. See operating.md.
    #[derive(Clone, PartialEq)]
    [site.purge]
    pub struct SitePurge in base_dir {
        /// The networks whose clients may purge the site. It is the client that a trusted proxy tells.
        from: Vec<IpNet> = [], Texts("a network such as `10.0.0.0/8`, or an address")
            by networks;
        /// The token of clients that may purge from anywhere: in `Authorization: Bearer` or
        /// `X-Purge-Token`.
        token: Option<String> = rule("none"), Text("16 to 4096 visible characters")
            => forms::secret,
            /// A file whose first line is the token. Use it instead of `token`.
            or token_file, Text("a path, relative to this file") => |path| {
                forms::secret(base_dir.read_text(path)?.lines().next().unwrap_or_default().trim())
            };
        /// Maximum number of purges per second; as many may come at once. Beyond it: 429.
        rate: usize = 50, Count(1, 10_000);
    }
}

impl fmt::Debug for SitePurge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "(hidden)");
        formatter
            .debug_struct("SitePurge")
            .field("from", &self.from)
            .field("token", &token)
            .field("rate", &self.rate)
            .finish()
    }
}

/// The networks. Without any, there must be a token.
fn networks(reader: &TableReader<'_>, key: &str) -> Option<Vec<IpNet>> {
    let networks = reader.texts_as(key, forms::network);
    reader.distinct(key, &networks);
    let has_token = ["token", "token_file"]
        .iter()
        .any(|key| reader.written(key).is_some());
    if networks.is_empty() && !has_token {
        let problem = "nobody may purge";
        let cure =
            "name the networks of the application, [\"10.0.0.5\"], or add token_file = \"…\"";
        reader.refuse(key, Mistake::new(problem, cure));
    }
    Some(values(networks))
}
