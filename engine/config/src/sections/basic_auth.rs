//! `[site.route.auth]`.

use std::fmt;

use crate::files::BaseDir;
use crate::forms;
use crate::mistakes::Mistake;

/// The most users of one table.
const MAX_USERS: usize = 10_000;

section! {
    /// Asks clients for a name and a password (RFC 7617), also for what is stored. The origin is not
    /// told them, and responses are stored as if no password were needed.
    #[derive(Clone, Debug, PartialEq)]
    [site.route.auth]
    pub struct BasicAuth in base_dir {
        /// What browsers name when they ask for the password.
        realm: String = "restricted", Text("1 to 64 visible ASCII characters and spaces")
            => forms::realm;
        /// Those who may use the route. A hash is of bcrypt (`htpasswd -nB NAME`) or SHA-crypt
        /// (`openssl passwd -6`).
        users: Vec<Credential> = [], Texts("`NAME:HASH`") => credential, distinct(),
            /// A file with a `NAME:HASH` on each line, as `htpasswd -B` writes it. Use it instead of
            /// `users`. It is read when the configuration is.
            or users_file, Text("a path, relative to this file") => |path| users_file(path, base_dir);
    }
}

/// A user and the hash of the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// The name of the user.
    pub name: String,
    /// The hash, in the modular crypt format.
    pub hash: String,
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}:…", self.name)
    }
}

/// `NAME:HASH`. Mistakes never repeat the hash.
fn credential(text: &str) -> Result<Credential, Mistake> {
    let form = "write \"NAME:HASH\", as `htpasswd -nB NAME` prints it";
    let (name, hash) = text
        .split_once(':')
        .ok_or_else(|| Mistake::new("this is not a name and a hash", form))?;
    let is_name = (1..=256).contains(&name.len()) && !name.chars().any(char::is_control);
    if !is_name {
        return Err(Mistake::new("this is not the name of a user", form));
    }
    forms::password_hash(hash).map_err(|mistake| {
        Mistake::new(
            format!("the user `{name}`: {}", mistake.problem),
            mistake.cure,
        )
    })?;
    Ok(Credential {
        name: name.to_owned(),
        hash: hash.to_owned(),
    })
}

fn users_file(path: &str, base_dir: BaseDir<'_>) -> Result<Vec<Credential>, Mistake> {
    let text = base_dir.read_text(path)?;
    let mut users: Vec<Credential> = Vec::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let in_line = |problem: &str| format!("`{path}`, line {}: {problem}", index + 1);
        let user = credential(line)
            .map_err(|mistake| Mistake::new(in_line(&mistake.problem), mistake.cure))?;
        if users.len() == MAX_USERS {
            let cure = "ask for passwords in the application instead";
            return Err(Mistake::new(
                in_line("there are more than 10000 users"),
                cure,
            ));
        }
        users.push(user);
    }
    Ok(users)
}
