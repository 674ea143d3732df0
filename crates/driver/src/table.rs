//! The table of connections: indices dense from zero, used again with another generation.

use crate::{ConnId, prefetch};

pub(crate) struct Table<T> {
    entries: Vec<Entry<T>>,
    free: Vec<u32>,
    max: u32,
}

struct Entry<T> {
    generation: u32,
    item: Option<T>,
}

impl<T> Table<T> {
    /// A table for at most `max` items. Memory that is reserved and not touched weighs nothing; what
    /// a growing table leaves behind at each doubling does.
    pub(crate) fn new(max: u32) -> Self {
        Self { entries: Vec::with_capacity(max as usize), free: Vec::new(), max }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.free.is_empty() && self.entries.len() >= self.max as usize
    }

    pub(crate) fn len(&self) -> u32 {
        (self.entries.len() - self.free.len()) as u32
    }

    /// Takes `item` in under a new name, or gives it back where there is no room.
    pub(crate) fn insert(&mut self, item: T) -> Result<ConnId, T> {
        if self.is_full() {
            return Err(item);
        }
        let index = self.free.pop().unwrap_or_else(|| {
            self.entries.push(Entry { generation: 0, item: None });
            self.entries.len() as u32 - 1
        });
        let entry = &mut self.entries[index as usize];
        entry.generation = entry.generation.wrapping_add(1);
        entry.item = Some(item);
        Ok(ConnId { index, generation: entry.generation })
    }

    /// The item of that name, if it is still here.
    pub(crate) fn at(&mut self, id: ConnId) -> Option<&mut T> {
        let entry = self.entries.get_mut(id.index as usize)?;
        entry.item.as_mut().filter(|_| entry.generation == id.generation)
    }

    /// The item of that name is wanted soon.
    pub(crate) fn foresee(&self, id: ConnId) {
        if let Some(entry) = self.entries.get(id.index as usize) {
            prefetch(entry);
        }
    }

    pub(crate) fn remove(&mut self, id: ConnId) -> Option<T> {
        self.at(id)?;
        self.free.push(id.index);
        self.entries[id.index as usize].item.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_used_again_under_another_generation() {
        let mut table = Table::new(2);
        let first = table.insert('a').unwrap();
        let second = table.insert('b').unwrap();
        assert_eq!((first.index, second.index, table.len()), (0, 1, 2));
        assert_eq!(table.insert('c'), Err('c'));
        assert_eq!(table.remove(first), Some('a'));
        let third = table.insert('c').unwrap();
        assert_eq!(third.index, 0);
        assert_ne!(third.generation, first.generation);
        assert_eq!(table.at(first), None);
        assert_eq!(table.remove(first), None);
        assert_eq!(table.at(third), Some(&mut 'c'));
    }
}
