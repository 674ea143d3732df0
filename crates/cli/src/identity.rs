//! A certificate for one run: made by ourselves, for loopback alone, and gone with the run.

use crate::exit::Failure;
use crate::leftovers;
use rcgen::{CertificateParams, DnType, KeyPair};
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// A certificate and its key, in files that nobody else can read, for as long as this is held.
pub(crate) struct Identity {
    folder: TempDir,
}

impl Identity {
    /// For `localhost` and its addresses.
    pub(crate) fn of_loopback() -> Result<Self, Failure> {
        let failed = |what: &str, error: String| {
            Failure::run(format!("cannot {what} the certificate of this run: {error}"))
                .next("is there room in the folder for temporary files (TMPDIR)?")
        };
        let (cert, key) = make().map_err(|e| failed("make", e.to_string()))?;
        let folder = tempfile::tempdir().map_err(|e| failed("write", e.to_string()))?;
        leftovers::add(folder.path().to_owned());
        let identity = Self { folder };
        for (path, text) in [(identity.cert(), cert), (identity.key(), key)] {
            fs::write(path, text).map_err(|e| failed("write", e.to_string()))?;
        }
        Ok(identity)
    }

    /// The file of the certificate.
    pub(crate) fn cert(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    /// The file of its key.
    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }
}

fn make() -> Result<(String, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "halfopen, for one run");
    Ok((params.self_signed(&key)?.pem(), key.serialize_pem()))
}
