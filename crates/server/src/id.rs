use halfopen_driver::ConnId;
use std::fmt;

/// The name of a connection, unique in its server: over all shards, and over time until its place
/// in the table has been used 2^32 times.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId {
    pub(crate) shard: u16,
    pub(crate) conn: ConnId,
}

impl PeerId {
    /// The number of its shard, from zero.
    pub fn shard(self) -> usize {
        self.shard.into()
    }

    /// Its name in its shard, which is the driver's.
    pub fn conn(self) -> ConnId {
        self.conn
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}.{}", self.shard, self.conn.index, self.conn.generation)
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
