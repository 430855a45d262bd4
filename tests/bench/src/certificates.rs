//! Certificates of a server's own, made by openssl: one with an ECDSA key on P-256, and one with an
//! RSA key of 2,048 bits.

use std::path::Path;
use std::process::{Command, Stdio};

/// Writes `ecdsa.crt`, `ecdsa.key`, `rsa.crt` and `rsa.key` into the folder, and for HAProxy
/// `bench.pem.ecdsa` and `bench.pem.rsa`, each with certificate and key.
pub(crate) fn write(folder: &Path) -> Result<(), String> {
    for (name, key) in [
        (
            "ecdsa",
            &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"] as &[&str],
        ),
        ("rsa", &["rsa:2048"]),
    ] {
        let made = Command::new("openssl")
            .args(["req", "-x509", "-nodes", "-days", "30", "-newkey"])
            .args(key)
            .args(["-subj", "/CN=bench.example"])
            .args(["-addext", "subjectAltName=DNS:bench.example,IP:127.0.0.1"])
            .args(["-keyout", &format!("{name}.key")])
            .args(["-out", &format!("{name}.crt")])
            .current_dir(folder)
            .stderr(Stdio::null())
            .status();
        if !made.is_ok_and(|status| status.success()) {
            return Err("openssl could not make a certificate (is it installed?)".to_owned());
        }
        let both = ["crt", "key"]
            .iter()
            .map(|part| std::fs::read_to_string(folder.join(format!("{name}.{part}"))))
            .collect::<std::io::Result<String>>()
            .map_err(|error| error.to_string())?;
        std::fs::write(folder.join(format!("bench.pem.{name}")), both)
            .map_err(|error| error.to_string())?;
    }
    Ok(())
}
