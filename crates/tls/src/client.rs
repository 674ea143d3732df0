use crate::{ALPN, Error, provider, verifier};
use rustls::ClientConfig;
use rustls::client::{Resumption, UnbufferedClientConnection};
use rustls::pki_types::ServerName;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Whose certificates a client accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those that lead to a CA which this machine trusts.
    System,
    /// Those that lead to a certificate of this PEM file, or are in it.
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
            Trust::System => {
                builder.with_root_certificates(verifier::system()?).with_no_client_auth()
            }
            Trust::File(path) => {
                let verifier = Arc::new(verifier::given(path)?);
                builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth()
            }
            Trust::Anyone => {
                let verifier = Arc::new(verifier::Anyone::new());
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
