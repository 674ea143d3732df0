use super::Wave;
use serde::Serialize;
use std::collections::BTreeMap;

/// What a wave has done, and what became of it.
#[derive(Clone, Debug, Serialize)]
pub struct Tally {
    /// What was planned.
    #[serde(flatten)]
    pub plan: Wave,
    /// Connects that succeeded.
    pub connected: u64,
    /// Connects that did not, by what the kernel said.
    pub refused: BTreeMap<String, u64>,
    /// The most that were open at once.
    pub open_max: u64,
    /// How they ended; `Aborted` is by the flood itself.
    pub ended: BTreeMap<String, u64>,
    /// Pieces sent.
    pub sent: u64,
    /// Bytes in them.
    pub bytes_sent: u64,
    /// Bytes of the answers to all pieces that were due, where nobody reads them: what the server
    /// would hold of them without bounds, beside what its kernel does.
    pub unread_bytes: u64,
    /// Pieces that were due and not sent: the piece before had not left.
    pub held: u64,
}

impl Tally {
    pub(super) fn new(plan: Wave) -> Self {
        Self {
            plan,
            connected: 0,
            refused: BTreeMap::new(),
            open_max: 0,
            ended: BTreeMap::new(),
            sent: 0,
            bytes_sent: 0,
            unread_bytes: 0,
            held: 0,
        }
    }
}
