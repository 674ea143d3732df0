//! A certificate of our own, in files.

use halfopen_tls::{ClientTls, ServerTls, Trust};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use tempfile::TempDir;

pub(crate) struct Identity {
    pub(crate) folder: TempDir,
}

impl Identity {
    /// For that name, issued by itself under a name of its own.
    pub(crate) fn of(name: &str) -> Self {
        Self::with(name, IsCa::NoCa)
    }

    /// As `openssl req -x509` makes it, which says of itself that it is a CA's.
    pub(crate) fn that_is_a_ca(name: &str) -> Self {
        Self::with(name, IsCa::Ca(BasicConstraints::Unconstrained))
    }

    fn with(name: &str, is_ca: IsCa) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let signing_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([name.to_owned()]).unwrap();
        params.is_ca = is_ca;
        params.distinguished_name.push(DnType::CommonName, folder.path().display().to_string());
        let cert = params.self_signed(&signing_key).unwrap();
        fs::write(folder.path().join("cert.pem"), cert.pem()).unwrap();
        fs::write(folder.path().join("key.pem"), signing_key.serialize_pem()).unwrap();
        Self { folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn server(&self) -> ServerTls {
        ServerTls::from_files(&self.file("cert.pem"), &self.file("key.pem")).unwrap()
    }

    /// A client that trusts it.
    pub(crate) fn client(&self) -> ClientTls {
        ClientTls::new("localhost", &Trust::File(self.file("cert.pem"))).unwrap()
    }
}

/// That of `localhost`.
pub(crate) static LOCALHOST: LazyLock<Identity> = LazyLock::new(|| Identity::of("localhost"));

/// A server with that of `localhost` which speaks one version only.
pub(crate) fn server_of(version: &'static SupportedProtocolVersion) -> ServerTls {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let cert = CertificateDer::from_pem_file(LOCALHOST.file("cert.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(LOCALHOST.file("key.pem")).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .unwrap();
    ServerTls::new(config).unwrap()
}

/// The versions that are spoken here.
pub(crate) const VERSIONS: [&SupportedProtocolVersion; 2] = [&TLS13, &TLS12];
