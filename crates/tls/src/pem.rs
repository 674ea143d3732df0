//! Certificates and keys out of files, and what can be wrong with them.

use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Why TLS cannot be spoken as it was asked for, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {}: {error}; check the path and who may read it", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// The kernel's word.
        error: io::Error,
    },
    /// A file without what it was given for.
    #[error(
        "{} holds no {what} in PEM: it should have a line -----BEGIN {label}-----; \
         `openssl {convert} -in FILE` tells what is in it, and with -inform der it converts",
        path.display()
    )]
    Missing {
        /// The file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// What the line says.
        label: &'static str,
        /// The command of openssl.
        convert: &'static str,
    },
    /// A file that begins well and goes on badly.
    #[error("{} is damaged: {error}; copy it anew, whole lines and all", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: pem::Error,
    },
    /// A key that is locked.
    #[error(
        "the private key in {} is encrypted: `openssl pkey -in FILE -out PLAIN` asks for its password and writes it without",
        path.display()
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
    },
    /// A key and a certificate that do not belong together, or that nobody can use.
    #[error(
        "the certificate in {} and the key in {} do not go together: {error}; the key has to be the one that the first certificate of the file was made for",
        cert.display(), key.display()
    )]
    Identity {
        /// The certificate's file.
        cert: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
    /// Certificates that cannot be trusted anchors.
    #[error(
        "a certificate in {} cannot be used: {error}; give the CA's certificate, as its makers publish it",
        path.display()
    )]
    Anchor {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        error: rustls::Error,
    },
    /// This machine has no list of whom to trust.
    #[error(
        "this machine has no CA certificates to trust{detail}: install them (Debian: apt-get install ca-certificates), \
         give the server's CA with --cacert FILE, or accept any certificate with --insecure"
    )]
    NoRoots {
        /// What was tried, if something went wrong; begins with a blank.
        detail: String,
    },
    /// A host that no certificate can be for.
    #[error("`{host}` is no name that a certificate can be for: use a DNS name or an address")]
    Name {
        /// The host.
        host: String,
    },
    /// What rustls refuses of its own configuration.
    #[error("TLS cannot be set up: {0}")]
    Setup(rustls::Error),
}

/// All certificates of a file, in their order.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let damaged = |error| Error::Damaged { path: path.into(), error };
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(damaged)?;
    if found.is_empty() {
        let (what, label) = ("certificate", "CERTIFICATE");
        return Err(Error::Missing { path: path.into(), what, label, convert: "x509" });
    }
    Ok(found)
}

/// The first private key of a file.
pub(crate) fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(path)?;
    match PrivateKeyDer::from_pem_slice(&text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if is_encrypted(&text) => {
            Err(Error::Encrypted { path: path.into() })
        }
        Err(pem::Error::NoItemsFound) => {
            let (what, label) = ("private key", "PRIVATE KEY");
            Err(Error::Missing { path: path.into(), what, label, convert: "pkey" })
        }
        Err(error) => Err(Error::Damaged { path: path.into(), error }),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Read { path: path.into(), error })
}

fn is_encrypted(text: &[u8]) -> bool {
    let label = b"-----BEGIN ENCRYPTED PRIVATE KEY-----";
    text.windows(label.len()).any(|window| window == label)
}
