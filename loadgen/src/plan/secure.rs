//! `wss://`: whose certificate is accepted, and for which name.

use super::place::Place;
use super::{Asked, PlanError};
use halfopen_tls::{ClientTls, Error, Trust};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How a server is spoken to over TLS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secure {
    /// The name that its certificate has to be for: the host of the URL.
    pub name: String,
    /// The PEM file of the CAs that are trusted; none: those of this machine.
    pub cacert: Option<PathBuf>,
    /// Any certificate is accepted.
    pub insecure: bool,
}

impl Secure {
    /// What was asked for, if the URL wants TLS. Whatever is wrong with it is told here and not in
    /// the run.
    pub(super) fn resolve(asked: &Asked, place: &Place) -> Result<Option<Self>, PlanError> {
        if !place.is_secure {
            let is_meant = asked.cacert.is_some() || asked.insecure;
            let why = "--cacert and --insecure are for TLS, and the URL says ws://; use wss://";
            return if is_meant { Err(PlanError::Value(why.into())) } else { Ok(None) };
        }
        let name = place.host.clone();
        let secure = Self { name, cacert: asked.cacert.clone(), insecure: asked.insecure };
        secure.load()?;
        Ok(Some(secure))
    }

    /// What connections are made with.
    ///
    /// # Errors
    /// The certificates to trust cannot be had.
    pub fn load(&self) -> Result<ClientTls, Error> {
        ClientTls::new(&self.name, &self.trust())
    }

    fn trust(&self) -> Trust {
        match &self.cacert {
            _ if self.insecure => Trust::Anyone,
            Some(path) => Trust::File(path.clone()),
            None => Trust::System,
        }
    }

    /// Who is trusted, in a word for reports.
    pub fn trusts(&self) -> &'static str {
        match self.trust() {
            Trust::System => "system",
            Trust::File(_) => "cacert",
            Trust::Anyone => "any",
        }
    }
}
