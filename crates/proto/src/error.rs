use crate::CloseCode;

/// A fault of the peer, or a limit that it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Violation {}

impl Violation {
    /// The code of the Close frame that tells the peer.
    pub fn close_code(&self) -> CloseCode {
        todo!()
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, _f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        todo!()
    }
}

impl std::error::Error for Violation {}
