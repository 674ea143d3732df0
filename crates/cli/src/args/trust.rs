//! Whose certificates are accepted.

use clap::Args;
use std::path::PathBuf;

/// Flags of TLS, of `load` and `probe`.
#[derive(Debug, Args)]
pub(crate) struct TrustFlags {
    /// Of wss://: the CAs to trust, a PEM file [default: those of this machine]
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    pub cacert: Option<PathBuf>,
    /// Of wss://: accept any certificate
    #[arg(long)]
    pub insecure: bool,
}
