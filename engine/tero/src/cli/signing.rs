//! `tero policy sign`, `tero policy verify`, and the same for data: signatures of minisign.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use minisign::{PublicKey, SecretKey, SecretKeyBox};

use super::{fail, print, used_wrongly};
use tero_config::{Config, TrustedKey};
use tero_policy_host::trust::{TrustedKeys, signature_beside, signature_path};

/// The variable with the password of a secret key.
const PASSWORD: &str = "TERO_KEY_PASSWORD";

const SIGN: &str = "\
Examples:
  minisign -G -p team.pub -s team.key        makes a pair of keys
  tero data sign team.key prices.csv

It writes FILE.minisig, in the format of minisign. The password of the key is
asked for, or read from TERO_KEY_PASSWORD.

Exit code: 0 if it is signed, 1 if not, 2 if the command is used wrongly.";

const VERIFY: &str = "\
Examples:
  tero policy verify hours.wasm --key team.pub
  tero data verify prices.csv --config tero.toml

It reads FILE.minisig.

Exit code: 0 if a trusted key signed exactly this file, 1 if not,
2 if the command is used wrongly.";

/// Signs a data table
#[derive(Debug, Args)]
#[command(after_help = SIGN)]
pub(super) struct SignCommand {
    /// The file of the secret key (minisign)
    key: PathBuf,
    /// The file to sign
    file: PathBuf,
}

/// Checks the signature of a module or a data table
#[derive(Debug, Args)]
#[command(after_help = VERIFY)]
pub(super) struct VerifyCommand {
    /// The signed file
    file: PathBuf,
    /// The file of a public key (minisign); may be repeated
    #[arg(long, value_name = "FILE", required_unless_present = "config")]
    key: Vec<PathBuf>,
    /// A configuration, whose `policies.trusted_keys` are taken
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    config: Option<PathBuf>,
}

impl SignCommand {
    pub(super) fn run(self) -> ExitCode {
        match std::fs::read(&self.file) {
            Ok(content) => sign(&self.key, &self.file, &content),
            Err(error) => used_wrongly(&format!("can't read {}: {error}", self.file.display())),
        }
    }
}

/// Writes the signature of a file with this content beside it.
pub(super) fn sign(key: &Path, file: &Path, content: &[u8]) -> ExitCode {
    let key = match secret_key(key) {
        Ok(key) => key,
        Err(message) => return used_wrongly(&message),
    };
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    // The trusted comment has one line.
    let comment = format!("file:{} hashed", name.escape_debug());
    // With its public key the signature is checked at once: a damaged key is noticed.
    let public = PublicKey::from_secret_key(&key);
    let signed =
        public.and_then(|it| minisign::sign(Some(&it), &key, content, Some(&comment), None));
    let signature = match signed {
        Ok(signature) => signature.into_string(),
        Err(error) => return fail(&format!("it can't be signed: {error}")),
    };
    let path = signature_path(file);
    match std::fs::write(&path, signature) {
        Ok(()) => print(&format!("{}\n", path.display())),
        Err(error) => fail(&format!("can't write {}: {error}", path.display())),
    }
}

impl VerifyCommand {
    pub(super) fn run(self) -> ExitCode {
        let keys = match self.keys() {
            Ok(keys) => keys,
            Err(message) => return used_wrongly(&message),
        };
        if keys.is_empty() {
            return used_wrongly("policies.trusted_keys of the configuration names no key");
        }
        let content = match std::fs::read(&self.file) {
            Ok(content) => content,
            Err(error) => {
                return used_wrongly(&format!("can't read {}: {error}", self.file.display()));
            }
        };
        match TrustedKeys::new(&keys).check_file(&self.file, &content) {
            Ok(()) => print(&format!(
                "{}: signed by a trusted key\n",
                self.file.display()
            )),
            Err(error) => fail(&format!(
                "{}: {error}; {}",
                self.file.display(),
                error.cure()
            )),
        }
    }

    fn keys(&self) -> Result<Vec<TrustedKey>, String> {
        if let Some(config) = &self.config {
            let config = Config::load(config).map_err(|errors| errors.to_string())?;
            return Ok(config.policy_host.trusted_keys);
        }
        let keys = self.key.iter().map(|path| {
            let key = TrustedKey::read(path);
            key.map_err(|mistake| format!("{}; {}", mistake.problem, mistake.cure))
        });
        keys.collect()
    }
}

/// The signature beside a file that is pushed. A file whose content `is_changed` on the way is no
/// longer what was signed.
pub(super) fn signature_to_send(path: &Path, is_changed: bool) -> Result<Option<String>, String> {
    let signature =
        signature_beside(path).map_err(|error| format!("{}: {error}", path.display()))?;
    if is_changed && signature.is_some() {
        return Err(format!(
            "{} is signed, and settings, cases or a forecast would change what was signed; sign the whole with `tero policy sign KEY FILE --settings … --out PACKAGE`, and push that",
            path.display()
        ));
    }
    Ok(signature)
}

fn secret_key(path: &Path) -> Result<SecretKey, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("can't read {}: {error}", path.display()))?;
    // Editors on Windows end lines in another way.
    let text = text.replace("\r\n", "\n");
    let no_key = |error: &dyn std::fmt::Display| {
        format!(
            "{} holds no secret key of minisign: {error}",
            path.display()
        )
    };
    let line = text.lines().nth(1).unwrap_or_default();
    let bytes = STANDARD.decode(line).map_err(|error| no_key(&error))?;
    // Keys without a password are taken as they are: minisign 0.11 leaves their checksum empty.
    let key = SecretKey::from_bytes(&bytes).map_err(|error| no_key(&error))?;
    if !key.is_encrypted() {
        return Ok(key);
    }
    let sealed = SecretKeyBox::from_string(&text).map_err(|error| no_key(&error))?;
    let opened = sealed.into_secret_key(std::env::var(PASSWORD).ok());
    opened.map_err(|error| {
        format!(
            "{} can't be opened: {error}; is the password right ({PASSWORD})?",
            path.display()
        )
    })
}
