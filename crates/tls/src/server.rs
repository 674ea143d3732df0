use crate::pem::{self, Error};
use crate::{ALPN, provider};
use rustls::ServerConfig;
use rustls::server::{NoServerSessionStorage, UnbufferedServerConnection};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// How a server speaks TLS: with which certificate. Clones share it.
#[derive(Clone)]
pub struct ServerTls(Arc<ServerConfig>);

impl ServerTls {
    /// With the certificates of one PEM file, the server's own first and then those that lead to its
    /// CA, and the private key of another (or of the same). TLS 1.3 and 1.2.
    ///
    /// # Errors
    /// A file cannot be read, has nothing of the kind in it, or the two do not go together.
    pub fn from_files(cert: &Path, key: &Path) -> Result<Self, Error> {
        let (chain, secret) = (pem::certificates(cert)?, pem::private_key(key)?);
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .map_err(Error::Setup)?
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| Error::Identity { cert: cert.into(), key: key.into(), error })?;
        config.alpn_protocols = vec![ALPN.into()];
        // Nothing is resumed, so nothing is remembered, and no tickets are handed out.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Self::new(config)
    }

    /// As `config` says. Early data is never taken, whatever it says.
    ///
    /// # Errors
    /// Something in it does not make sense.
    pub fn new(mut config: ServerConfig) -> Result<Self, Error> {
        config.max_early_data_size = 0;
        let config = Arc::new(config);
        // Once for all connections, so that none can fail by it.
        UnbufferedServerConnection::new(config.clone()).map_err(Error::Setup)?;
        Ok(Self(config))
    }

    pub(crate) fn connection(&self) -> UnbufferedServerConnection {
        UnbufferedServerConnection::new(self.0.clone()).expect("one was made with it before")
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").finish_non_exhaustive()
    }
}
