//! The app of a shard, and what it keeps of each connection.

use crate::App;
use std::fmt;

pub(crate) struct Hosted<A: App> {
    pub(crate) app: A,
    states: States<A::State>,
}

impl<A: App> Hosted<A> {
    /// `room` is for how many connections.
    pub(crate) fn new(app: A, room: u32) -> Self {
        Self { app, states: States::new(room) }
    }

    /// Begins to keep the state of the connection at `index`.
    pub(crate) fn keep(&mut self, index: u32, state: A::State) {
        self.states.put(index, state);
    }

    /// Lends the app and its state of the connection at `index`, if there is one.
    pub(crate) fn tell(&mut self, index: u32, what: impl FnOnce(&mut A, &mut A::State)) {
        if let Some(state) = self.states.lend(index) {
            what(&mut self.app, state);
        }
    }

    /// Gives the state of the connection at `index` away.
    pub(crate) fn release(&mut self, index: u32) -> Option<A::State> {
        self.states.take(index)
    }
}

impl<A: App + fmt::Debug> fmt::Debug for Hosted<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hosted").field("app", &self.app).finish_non_exhaustive()
    }
}

/// One state for each connection, beside the sessions. States without size cannot be told from each
/// other: they lie on a heap where only their number counts, which costs no memory.
struct States<S> {
    by_index: Vec<Option<S>>,
    weightless: Vec<S>,
}

impl<S> States<S> {
    const IS_WEIGHTLESS: bool = size_of::<S>() == 0;

    fn new(room: u32) -> Self {
        let room = if Self::IS_WEIGHTLESS { 0 } else { room as usize };
        Self { by_index: Vec::with_capacity(room), weightless: Vec::new() }
    }

    fn put(&mut self, index: u32, state: S) {
        if Self::IS_WEIGHTLESS {
            return self.weightless.push(state);
        }
        let index = index as usize;
        if self.by_index.len() <= index {
            self.by_index.resize_with(index + 1, || None);
        }
        self.by_index[index] = Some(state);
    }

    fn lend(&mut self, index: u32) -> Option<&mut S> {
        if Self::IS_WEIGHTLESS {
            return self.weightless.last_mut();
        }
        self.by_index.get_mut(index as usize)?.as_mut()
    }

    fn take(&mut self, index: u32) -> Option<S> {
        if Self::IS_WEIGHTLESS {
            return self.weightless.pop();
        }
        self.by_index.get_mut(index as usize)?.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn each_connection_has_a_state_of_its_own() {
        let mut states = States::new(4);
        states.put(2, "two".to_owned());
        states.put(0, "zero".to_owned());
        states.lend(2).unwrap().push('!');
        assert_eq!(states.take(2).as_deref(), Some("two!"));
        assert_eq!((states.take(2), states.lend(1)), (None, None));
        assert_eq!(states.take(0).as_deref(), Some("zero"));
    }

    #[test]
    fn states_without_size_cost_nothing_and_are_dropped_one_by_one() {
        thread_local!(static DROPPED: Cell<u32> = const { Cell::new(0) });
        struct Mark;
        impl Drop for Mark {
            fn drop(&mut self) {
                DROPPED.set(DROPPED.get() + 1);
            }
        }
        let mut states = States::new(1 << 20);
        (0..3).for_each(|index| states.put(index, Mark));
        assert_eq!(states.by_index.capacity(), 0);
        assert!(states.lend(1).is_some());
        drop(states.take(1));
        assert_eq!(DROPPED.get(), 1);
        drop(states);
        assert_eq!(DROPPED.get(), 3);
    }
}
