//! Why a session failed: a name for counters, and words with a next step for people.

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use std::fmt;

/// Why a session failed.
#[derive(Debug)]
pub struct Failure(Error);

impl Failure {
    pub(crate) fn new(error: Error) -> Self {
        Self(error)
    }

    /// A name for counters: `tls_certificate` where the peer's certificate was not accepted, else
    /// `tls`.
    pub fn reason(&self) -> &'static str {
        match self.0 {
            Error::InvalidCertificate(_) | Error::NoCertificatesPresented => "tls_certificate",
            _ => "tls",
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Error::InvalidCertificate(error) => certificate(error, f),
            Error::InvalidMessage(InvalidMessage::InvalidContentType) => f.write_str(
                "what came is not TLS: does the peer speak it on this port, or is it plain ws://?",
            ),
            Error::AlertReceived(alert) => alert_received(*alert, f),
            other => write!(
                f,
                "TLS failed: {other}; `openssl s_client -connect HOST:PORT` shows what the server speaks"
            ),
        }
    }
}

fn certificate(error: &CertificateError, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str("the server's certificate is not trusted: ")?;
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            write!(f, "{error}; use a name that it is for in the URL, or --insecure to accept any")
        }
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => {
            write!(f, "{error}; have it renewed, check this machine's clock, or --insecure to accept any")
        }
        CertificateError::Revoked => f.write_str("it was revoked; --insecure accepts any"),
        // A CA of the same name and another key shows itself by many kinds of bad signatures.
        _ => f.write_str(
            "nobody whom we trust has issued it; give the CA, or the certificate itself, with --cacert FILE, \
             or --insecure to accept any",
        ),
    }
}

fn alert_received(alert: AlertDescription, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let name = alert.as_str().unwrap_or("of an unknown kind");
    write!(f, "the peer ended TLS with the alert {name}")?;
    match alert {
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown => {
            f.write_str(": it does not trust our certificate")
        }
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure => {
            f.write_str(": it speaks no version or cipher that we speak (TLS 1.3 and 1.2)")
        }
        AlertDescription::UnrecognisedName => f.write_str(": it serves no such name"),
        AlertDescription::NoApplicationProtocol => {
            f.write_str(": it does not speak http/1.1 on this port")
        }
        AlertDescription::CertificateRequired => {
            f.write_str(": it wants a certificate of the client, which cannot be given here")
        }
        _ => f.write_str("; its own log may tell why"),
    }
}
