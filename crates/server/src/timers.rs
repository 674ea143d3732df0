//! The timers that an app has set, for itself and for its connections.
//!
//! They have a wheel of their own, which is made with the first of them: who sets none pays nothing.

use halfopen_wheel::{Instant, Wheel, WheelConfig};
use slab::Slab;
use std::collections::BTreeMap;

/// Whose timer it is, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    App(u32),
    /// The index of a connection, and its timer's number.
    Peer(u32, u8),
}

/// What was found on the wheel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Visit {
    Due(Timer),
    Early,
}

#[derive(Debug)]
pub(crate) struct Timers {
    config: WheelConfig,
    wheel: Option<Wheel>,
    entries: Slab<Entry>,
    names: BTreeMap<Timer, u32>,
}

#[derive(Debug)]
struct Entry {
    timer: Timer,
    at: Instant,
}

impl Timers {
    pub(crate) fn new(config: WheelConfig) -> Self {
        Self { config, wheel: None, entries: Slab::new(), names: BTreeMap::new() }
    }

    /// Has `timer` fire at `at`, and no more when it was set to before.
    pub(crate) fn set(&mut self, now: Instant, timer: Timer, at: Instant) {
        let entries = &mut self.entries;
        let insert = || entries.insert(Entry { timer, at }) as u32;
        let key = *self.names.entry(timer).or_insert_with(insert);
        self.entries[key as usize].at = at;
        self.wheel.get_or_insert_with(|| Wheel::new(self.config, now)).arm(key, at);
    }

    /// Whether `timer` was set.
    pub(crate) fn clear(&mut self, timer: Timer) -> bool {
        let Some(key) = self.names.remove(&timer) else { return false };
        self.entries.remove(key as usize);
        if let Some(wheel) = &mut self.wheel {
            wheel.disarm(key);
        }
        true
    }

    /// The connection at `index` is gone.
    pub(crate) fn forget(&mut self, index: u32) {
        let own = || Timer::Peer(index, u8::MIN)..=Timer::Peer(index, u8::MAX);
        while let Some(&timer) = self.names.range(own()).next().map(|(timer, _)| timer) {
            self.clear(timer);
        }
    }

    /// Looks at the next that comes up on the wheel; none if all have. It fires and is set no more,
    /// unless it came up before its time.
    pub(crate) fn visit(&mut self, now: Instant) -> Option<Visit> {
        let wheel = self.wheel.as_mut()?;
        let key = wheel.pop(now)?;
        let Entry { timer, at } = self.entries[key as usize];
        if at > now {
            wheel.arm(key, at);
            return Some(Visit::Early);
        }
        self.entries.remove(key as usize);
        self.names.remove(&timer);
        Some(Visit::Due(timer))
    }

    /// When to look again.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wheel.as_ref()?.next_wake()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const TICK: Duration = Duration::from_millis(8);
    const START: Instant = Instant::from_nanos(7_000_000_000_000);

    fn timers() -> Timers {
        Timers::new(WheelConfig { tick: TICK, slots: 64, seed: 1 })
    }

    /// What fires, and how many milliseconds after the start.
    fn fired(timers: &mut Timers, until_ms: u64) -> Vec<(Timer, u64)> {
        let end = START + Duration::from_millis(until_ms);
        let mut fired = Vec::new();
        while let Some(due) = timers.deadline().filter(|&due| due <= end) {
            while let Some(visit) = timers.visit(due) {
                let Visit::Due(timer) = visit else { continue };
                fired.push((timer, due.saturating_since(START).as_millis() as u64));
            }
        }
        fired
    }

    #[test]
    fn timers_fire_once_not_before_their_time_and_at_most_a_tick_after() {
        let mut timers = timers();
        assert_eq!(timers.deadline(), None);
        // Within a turn of the wheel, and far beyond one.
        let times = [1, 40, 39, 500, 20_000, 86_400_000];
        for (number, ms) in (0..).zip(times) {
            timers.set(START, Timer::App(number), START + Duration::from_millis(ms));
        }
        let fired = fired(&mut timers, 100_000_000);
        let mut order: Vec<(u64, u32)> = times.into_iter().zip(0..).collect();
        order.sort_unstable();
        assert_eq!(fired.len(), order.len());
        for ((timer, at), (ms, number)) in fired.into_iter().zip(order) {
            assert_eq!(timer, Timer::App(number));
            assert!((ms..=ms + 8).contains(&at), "{number} was set to {ms} and fired at {at}");
        }
        assert_eq!(timers.deadline(), None);
    }

    #[test]
    fn a_timer_that_is_set_again_fires_at_its_new_time_alone() {
        for (first, second) in [(10, 300), (300, 10)] {
            let mut timers = timers();
            let timer = Timer::Peer(7, 1);
            timers.set(START, timer, START + Duration::from_millis(first));
            timers.set(START, timer, START + Duration::from_millis(second));
            let fired = fired(&mut timers, 1_000);
            assert!(matches!(fired[..], [(_, at)] if (second..=second + 8).contains(&at)));
        }
    }

    #[test]
    fn a_connection_takes_its_timers_along() {
        let mut timers = timers();
        let at = START + TICK;
        for timer in [Timer::Peer(3, 0), Timer::Peer(3, 255), Timer::Peer(4, 0), Timer::App(3)] {
            timers.set(START, timer, at);
        }
        timers.forget(3);
        assert!(timers.clear(Timer::App(3)) && !timers.clear(Timer::App(3)));
        let fired: Vec<_> = fired(&mut timers, 100).into_iter().map(|(timer, _)| timer).collect();
        assert_eq!(fired, [Timer::Peer(4, 0)]);
        assert_eq!((timers.names.len(), timers.entries.len()), (0, 0));
    }
}
