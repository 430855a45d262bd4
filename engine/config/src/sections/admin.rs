//! `[admin]`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::listener::{self, ListenAddress};
use super::listener_tls::ListenerTls;
use crate::forms;

section! {
    /// The operators' listener: health, metrics, purges, warming.
    #[derive(Clone)]
    [admin]
    pub struct Admin in base_dir {
        /// The address that operators connect to, or the path of a Unix socket. An address that is
        /// not loopback requires a token, or `client_ca` in `tls`.
        listen: ListenAddress = "127.0.0.1:9090", Text("`ADDRESS:PORT`, or `unix:/PATH`")
            => listener::listen_address;
        /// The permissions of a Unix socket: who may write to it may do what operators do.
        unix_mode: u32 = "0600", Text("octal digits, `0660`") => listener::file_mode;
        /// The bearer token that requests must carry, except those for `/health` and `/ready`.
        token: Option<String> = rule("none"), Text("16 to 4096 visible characters")
            => forms::secret,
            /// A file whose first line is the token. Use it instead of `token`.
            or token_file, Text("a path, relative to this file") => |path| {
                forms::secret(base_dir.read_text(path)?.lines().next().unwrap_or_default().trim())
            };
        /// TLS, of the same form as `[server.listener.tls]`, but for `acme`. With `client_ca`, clients
        /// need a certificate of it: with `client_certificate = "optional"` for all but `/health` and
        /// `/ready`.
        tls: Option<ListenerTls> = rule("none: plain HTTP"), Nested(ListenerTls);
        /// Plans that run when the edge starts. `/ready` answers 503 until they have run.
        ready_after: Vec<Arc<str>> = [], Texts("the name of a `[[warm]]`")
            => forms::name, distinct();
        /// Maximum time after the start for which `/ready` waits for those plans.
        ready_within: Duration = "5min", Duration("1s", "1h");
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = self.token.as_ref().map(|_| "(hidden)");
        formatter
            .debug_struct("Admin")
            .field("listen", &self.listen)
            .field("token", &token)
            .finish_non_exhaustive()
    }
}
