use crate::pem::{self, Error};
use crate::{ALPN, provider};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Whose certificates a client accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that lead to a CA which this machine trusts.
    System,
    /// Those that lead to a certificate of this PEM file.
    File(PathBuf),
    /// Any: nobody is sure who the server is.
    Anyone,
}

/// How a client speaks TLS: to whom, and whom it trusts. Clones share it.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl ClientTls {
    /// To `host`, a DNS name, which is sent to the server (SNI, RFC 6066 §3), or an address, which is
    /// not.
    ///
    /// # Errors
    /// The host is neither, or the certificates to trust cannot be had.
    pub fn new(host: &str, trust: &Trust) -> Result<Self, Error> {
        let name =
            ServerName::try_from(host.to_owned()).map_err(|_| Error::Name { host: host.into() })?;
        let builder = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(Error::Setup)?;
        let mut config = match trust {
            Trust::System => builder.with_root_certificates(system()?).with_no_client_auth(),
            Trust::File(path) => builder.with_root_certificates(file(path)?).with_no_client_auth(),
            Trust::Anyone => {
                let verifier = Arc::new(Anyone(provider().signature_verification_algorithms));
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
        };
        config.alpn_protocols = vec![ALPN.into()];
        config.resumption = Resumption::disabled();
        let config = Arc::new(config);
        // Once for all connections, so that none can fail by it.
        UnbufferedClientConnection::new(config.clone(), name.clone()).map_err(Error::Setup)?;
        Ok(Self { config, name })
    }

    pub(crate) fn connection(&self) -> UnbufferedClientConnection {
        UnbufferedClientConnection::new(self.config.clone(), self.name.clone())
            .expect("one was made with it before")
    }
}

impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls").field("name", &self.name).finish_non_exhaustive()
    }
}

fn system() -> Result<RootCertStore, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // A machine has some hundred of them, and one that is odd spoils nothing.
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let detail = found.errors.first().map_or(String::new(), |error| format!(" ({error})"));
        return Err(Error::NoRoots { detail });
    }
    Ok(roots)
}

fn file(path: &Path) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    for certificate in pem::certificates(path)? {
        roots.add(certificate).map_err(|error| Error::Anchor { path: path.into(), error })?;
    }
    Ok(roots)
}

/// Accepts every certificate. That the server has its key is looked at all the same.
#[derive(Debug)]
struct Anyone(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
