//! The connections: what the driver remembers of each, and their names.

use crate::{Cause, ConnId};

/// A multishot request of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arm {
    Off,
    On,
    /// It was cancelled, and its last completion is still to come.
    Ending,
}

/// A request that is made once in a life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Once {
    No,
    /// It waits for the send in flight.
    Wanted,
    Asked,
    Done,
}

/// A connection. The chunk in flight is not kept here: an idle connection has none.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its direct descriptor. The kernel may use the number anew as soon as it is closed, before
    /// we have heard the end of what was armed for it: so it is never a name.
    pub(super) slot: u32,
    /// Set when it has ended; then nothing more is begun.
    pub(super) end: Option<Cause>,
    pub(super) receive: Arm,
    /// The watch for the end while it is paused.
    pub(super) poll: Arm,
    pub(super) sending: bool,
    pub(super) paused: bool,
    /// Its receive ended because no buffer was free; it stands in a queue to be armed again.
    pub(super) starved: bool,
    pub(super) v6: bool,
    pub(super) shutdown: Once,
    pub(super) close: Once,
}

impl Connection {
    fn new(slot: u32, v6: bool) -> Self {
        Self {
            slot,
            end: None,
            receive: Arm::Off,
            poll: Arm::Off,
            sending: false,
            paused: false,
            starved: false,
            v6,
            shutdown: Once::No,
            close: Once::No,
        }
    }

    /// Whether the engine still wants its bytes.
    pub(super) fn is_heard(&self) -> bool {
        self.end.is_none()
    }

    /// Whether the kernel has nothing under way for it.
    pub(super) fn is_idle(&self) -> bool {
        !self.sending && self.receive == Arm::Off && self.poll == Arm::Off
    }
}

/// Indices dense from zero, used again with another generation.
pub(super) struct Table {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

struct Entry {
    generation: u32,
    connection: Option<Connection>,
}

impl Table {
    /// A table with room for `connections`. Memory that is reserved and not touched weighs nothing;
    /// what a growing table leaves behind at each doubling does.
    pub(super) fn new(connections: u32) -> Self {
        Self { entries: Vec::with_capacity(connections as usize), free: Vec::new() }
    }

    pub(super) fn len(&self) -> u32 {
        (self.entries.len() - self.free.len()) as u32
    }

    pub(super) fn insert(&mut self, slot: u32, v6: bool) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, connection: None });
            self.entries.len() as u32 - 1
        });
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.connection = Some(Connection::new(slot, v6));
        ConnId { index, generation: entry.generation }
    }

    /// The connection of that name, if it is still here.
    pub(super) fn at(&mut self, id: ConnId) -> Option<&mut Connection> {
        let entry = self.entries.get_mut(id.index as usize)?;
        entry.connection.as_mut().filter(|_| entry.generation == id.generation)
    }

    pub(super) fn remove(&mut self, id: ConnId) {
        if self.at(id).is_some() {
            self.entries[id.index as usize].connection = None;
            self.free.push(id.index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_used_again_under_another_generation() {
        let mut table = Table::new(4);
        let first = table.insert(7, false);
        let second = table.insert(8, false);
        assert_eq!((first.index, second.index, table.len()), (0, 1, 2));
        table.remove(first);
        let third = table.insert(9, false);
        assert_eq!((third.index, table.len()), (0, 2));
        assert_ne!(third.generation, first.generation);
        assert!(table.at(first).is_none());
        table.remove(first);
        assert_eq!(table.at(third).unwrap().slot, 9);
    }

    #[test]
    fn a_connection_takes_less_than_thirty_two_bytes() {
        assert!(size_of::<Entry>() <= 28, "{}", size_of::<Entry>());
    }
}
