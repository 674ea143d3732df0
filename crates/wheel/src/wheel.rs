//! A hashed timing wheel (Varghese and Lauck, 1987) of one level, with lazy deadlines.
//!
//! # Shape
//!
//! Time is cut into *ticks*; tick `k` fires at one instant, and slot `k mod slots` holds a doubly
//! linked list of the keys that wait for it. The wheel turns tick by tick and hands over the keys
//! of each list that has come due; an occupancy bitmap finds the next list in a few words, so an
//! idle owner sleeps until then.
//!
//! A key farther ahead than one turn is parked in the last slot of the turn, comes up there, and
//! is armed anew by its owner: 3 ns a turn, against a second level of wheels for everyone. A clock
//! that jumped over many turns at once finds every key due, and skips all turns but the last: no
//! key is visited once for each turn that nobody saw.
//!
//! A deadline that moves *later* costs nothing: the entry stays where it is, comes up early, and
//! the owner, who alone knows the true deadline, arms it again. A deadline that moves *earlier* is
//! unlinked and linked again, in constant time, because links go both ways.
//!
//! # Dither
//!
//! A timer that fires in step with the kernel's own tick is invisible to everything that the
//! kernel samples at that tick (435 ms of CPU once showed as 10). So tick `k` does not fire at
//! `k · tick` but within the last quarter of it, at a point drawn from a seed; three quarters of a
//! tick plus that quarter are the most that lies between two ticks.

use crate::Instant;
use std::time::Duration;

/// How a [`Wheel`] is laid out.
#[derive(Clone, Copy, Debug)]
pub struct WheelConfig {
    /// The longest time between two firings: no key comes later than this after its deadline
    /// (if its owner looks).
    pub tick: Duration,
    /// Ticks in one turn, rounded up to a power of two. Deadlines beyond a turn are visited once
    /// in each turn.
    pub slots: usize,
    /// Seeds the dither.
    pub seed: u64,
}

impl Default for WheelConfig {
    /// 8 ms × 4,096: a turn of 25 to 33 s, so that an interval of 20 s fits into one.
    fn default() -> Self {
        Self { tick: Duration::from_millis(8), slots: 4096, seed: 0 }
    }
}

/// A timing wheel over dense `u32` keys: twelve bytes a key, nothing allocated after the greatest
/// key was first armed.
///
/// The wheel promises that a key is handed over by [`pop`](Self::pop) not before the deadline it
/// was armed with, unless that lay more than a turn after the last `pop`; the owner compares with
/// the true deadline and arms again.
#[derive(Debug)]
pub struct Wheel {
    /// The heads of the lists.
    heads: Vec<u32>,
    /// One bit a slot: its list is not empty.
    occupied: Vec<u64>,
    entries: Vec<Entry>,
    origin: Instant,
    /// Nanoseconds from one tick's earliest firing to the next one's: 3/4 of the configured tick.
    stride: u64,
    /// The range of the dither: 1/4 of the configured tick.
    dither: u64,
    seed: u64,
    /// The first tick that has not been emptied.
    cursor: u64,
    len: usize,
}

/// One key's place in a list.
#[derive(Clone, Copy, Debug)]
struct Entry {
    next: u32,
    /// The key before, or `HEAD`.
    prev: u32,
    /// The list it is in. All that wait are less than one turn ahead of the cursor, so the slot
    /// tells the tick.
    slot: u32,
}

const _: () = assert!(size_of::<Entry>() == 12);

/// No key: the end of a list.
const NONE: u32 = u32::MAX;
/// In `prev`: the entry is the first of its list.
const HEAD: u32 = u32::MAX - 1;
/// In `prev`: the entry is in no list.
const FREE: u32 = u32::MAX - 2;

impl Wheel {
    /// An empty wheel whose time begins at `origin`.
    ///
    /// # Panics
    /// If the tick is shorter than 1 µs or longer than an hour, or there are fewer than 2 or more
    /// than 2^24 slots.
    pub fn new(config: WheelConfig, origin: Instant) -> Self {
        let tick = config.tick.as_nanos();
        assert!((1_000..=3_600_000_000_000).contains(&tick), "a tick is 1 µs to 1 h");
        assert!((2..=1 << 24).contains(&config.slots), "a wheel has 2 to 2^24 slots");
        let tick = tick as u64;
        let slots = config.slots.next_power_of_two();
        Self {
            heads: vec![NONE; slots],
            occupied: vec![0; slots.div_ceil(64)],
            entries: Vec::new(),
            origin,
            stride: tick - tick / 4,
            dither: tick / 4,
            seed: config.seed,
            cursor: 0,
            len: 0,
        }
    }

    /// Makes room for the keys below `keys` at once, so that nothing is left behind by growing.
    pub fn reserve(&mut self, keys: u32) {
        self.entries.reserve_exact((keys as usize).saturating_sub(self.entries.len()));
    }

    /// Has `key` handed over at `at` or up to one tick later.
    ///
    /// A key that is armed already is moved if `at` is earlier than where it waits; if later it
    /// stays, comes up early, and the owner arms it again. A deadline that has passed is due at
    /// once: an owner that arms it anew in a loop of `pop`s gets it anew in the same loop.
    ///
    /// # Panics
    /// If `key` is one of the three greatest numbers, which mark the ends of lists.
    pub fn arm(&mut self, key: u32, at: Instant) {
        assert!(key < FREE, "the greatest keys mark the ends of lists");
        self.grow_to(key);
        let tick = self.tick_of(at).clamp(self.cursor, self.cursor + self.last_offset());
        if self.is_armed(key) {
            if self.waits_for(key) <= tick {
                return;
            }
            self.unlink(key);
        }
        self.link(key, tick);
    }

    /// Has `key` handed over at `at` or up to one tick later, even where it waited for an earlier
    /// moment. For whom the earlier moment has lost its meaning: a visit that finds nothing to do
    /// costs more than this does while the key's neighbours are in the cache.
    ///
    /// # Panics
    /// As [`arm`](Self::arm).
    pub fn rearm(&mut self, key: u32, at: Instant) {
        self.disarm(key);
        self.arm(key, at);
    }

    /// Takes `key` out. No effect if it is not armed.
    pub fn disarm(&mut self, key: u32) {
        if self.is_armed(key) {
            self.unlink(key);
        }
    }

    /// Whether `key` waits.
    pub fn is_armed(&self, key: u32) -> bool {
        self.entries.get(key as usize).is_some_and(|entry| entry.prev != FREE)
    }

    /// How many keys wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no key waits.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// When the next key will be handed over, or none if no key waits.
    pub fn next_wake(&self) -> Option<Instant> {
        Some(self.fires_at(self.next_occupied()?))
    }

    /// One key that is due at `now`, taken out; none when all that were due have been handed over.
    ///
    /// Keys come in the order of their ticks. Time that jumped ahead costs a scan of the bitmap,
    /// not a visit of each tick.
    pub fn pop(&mut self, now: Instant) -> Option<u32> {
        self.skip_turns(now);
        let due = self.next_occupied().filter(|&tick| self.fires_at(tick) <= now);
        let Some(tick) = due else {
            // Nothing to pass over: the cursor only follows the clock.
            self.cursor = self.cursor.max(self.first_after(now));
            return None;
        };
        self.cursor = tick;
        let key = self.heads[self.slot(tick)];
        self.unlink(key);
        Some(key)
    }

    /// As many calls of [`pop`](Self::pop) as `keys` has places, or fewer if less is due: how many
    /// keys were handed over. Of a list the time is worked out once. `foresee` is told of each as
    /// it is found, and may have fetched what belongs to it while the next is sought.
    pub fn pop_many(
        &mut self,
        now: Instant,
        keys: &mut [u32],
        mut foresee: impl FnMut(u32),
    ) -> usize {
        let mut count = 0;
        while count < keys.len() {
            let Some(key) = self.pop(now) else { break };
            foresee(key);
            keys[count] = key;
            count += 1;
            count += self.pop_list(&mut keys[count..], &mut foresee);
        }
        count
    }

    /// What is left of the list at the cursor, from which a key was just popped.
    fn pop_list(&mut self, keys: &mut [u32], mut foresee: impl FnMut(u32)) -> usize {
        let slot = self.slot(self.cursor);
        for (count, place) in keys.iter_mut().enumerate() {
            let key = self.heads[slot];
            if key == NONE {
                return count;
            }
            foresee(key);
            self.unlink(key);
            *place = key;
        }
        keys.len()
    }

    /// Moves the cursor on by whole turns, which changes no slot, as long as every tick of the turn
    /// that it then stands in has fired.
    fn skip_turns(&mut self, now: Instant) {
        let slots = self.heads.len() as u64;
        let passed = now.as_nanos().saturating_sub(self.origin.as_nanos());
        if passed < (self.cursor + 2 * slots).saturating_mul(self.stride) {
            return;
        }
        // Every tick before this one has fired, wherever its dither put it.
        let fired = passed / self.stride;
        self.cursor += ((fired - self.cursor) / slots - 1) * slots;
    }

    /// The first tick that fires at `at` or later: a key armed for it is never early.
    fn tick_of(&self, at: Instant) -> u64 {
        let nanos = at.as_nanos().saturating_sub(self.origin.as_nanos());
        let tick = nanos / self.stride;
        if self.fires_at(tick) >= at { tick } else { tick + 1 }
    }

    /// The first tick that fires later than `now`.
    fn first_after(&self, now: Instant) -> u64 {
        self.tick_of(now + Duration::from_nanos(1))
    }

    /// When `tick` fires: strictly increasing in `tick`, because the dither is less than a stride.
    fn fires_at(&self, tick: u64) -> Instant {
        // The upper half of a product is a fraction of `dither`, and no division.
        let dither = (u128::from(mix(self.seed ^ tick)) * u128::from(self.dither)) >> 64;
        let dither = dither as u64;
        self.origin + Duration::from_nanos(tick.saturating_mul(self.stride).saturating_add(dither))
    }

    /// The earliest tick from the cursor on whose list is not empty.
    fn next_occupied(&self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        let slots = self.heads.len();
        let start = self.slot(self.cursor);
        let words = self.occupied.len();
        // The word of the cursor is looked at twice: first from the cursor on, at last up to it.
        let mut word = start / 64;
        let mut bits = self.occupied[word] & (u64::MAX << (start % 64));
        for _ in 0..=words {
            if bits != 0 {
                let slot = word * 64 + bits.trailing_zeros() as usize;
                let ahead = (slot + slots - start) % slots;
                return Some(self.cursor + ahead as u64);
            }
            word = (word + 1) % words;
            bits = self.occupied[word];
        }
        unreachable!("{} keys wait, and no slot is occupied", self.len)
    }

    fn grow_to(&mut self, key: u32) {
        if self.entries.len() <= key as usize {
            let free = Entry { next: NONE, prev: FREE, slot: 0 };
            self.entries.resize(key as usize + 1, free);
        }
    }

    fn link(&mut self, key: u32, tick: u64) {
        let slot = self.slot(tick);
        let next = std::mem::replace(&mut self.heads[slot], key);
        if next != NONE {
            self.entries[next as usize].prev = key;
        }
        self.entries[key as usize] = Entry { next, prev: HEAD, slot: slot as u32 };
        self.occupied[slot / 64] |= 1 << (slot % 64);
        self.len += 1;
    }

    fn unlink(&mut self, key: u32) {
        let Entry { next, prev, slot } = self.entries[key as usize];
        if next != NONE {
            self.entries[next as usize].prev = prev;
        }
        if prev == HEAD {
            let slot = slot as usize;
            self.heads[slot] = next;
            if next == NONE {
                self.occupied[slot / 64] &= !(1 << (slot % 64));
            }
        } else {
            self.entries[prev as usize].next = next;
        }
        self.entries[key as usize].prev = FREE;
        self.len -= 1;
    }

    /// The tick that an armed `key` waits for.
    fn waits_for(&self, key: u32) -> u64 {
        let slot = u64::from(self.entries[key as usize].slot);
        self.cursor + (slot.wrapping_sub(self.cursor) & self.last_offset())
    }

    fn slot(&self, tick: u64) -> usize {
        tick as usize & (self.heads.len() - 1)
    }

    /// The farthest that a key can wait, in ticks from the cursor.
    fn last_offset(&self) -> u64 {
        self.heads.len() as u64 - 1
    }
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
fn mix(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn wheel(tick: Duration, slots: usize, origin: u64) -> Wheel {
        Wheel::new(WheelConfig { tick, slots, seed: 7 }, Instant::from_nanos(origin))
    }

    fn drain(wheel: &mut Wheel, now: Instant) -> Vec<u32> {
        std::iter::from_fn(|| wheel.pop(now)).collect()
    }

    #[test]
    fn ticks_fire_in_order_and_at_most_one_tick_apart() {
        for tick in [Duration::from_micros(1), Duration::from_millis(8), SECOND] {
            let wheel = wheel(tick, 4, 5);
            for k in (0..1000).chain((1 << 32) - 500..(1 << 32) + 500) {
                let apart = wheel.fires_at(k + 1).saturating_since(wheel.fires_at(k));
                assert!(apart > Duration::ZERO && apart <= tick, "tick {k} of {tick:?}: {apart:?}");
            }
        }
    }

    #[test]
    fn the_tick_of_a_moment_is_the_first_that_fires_then_or_later() {
        let wheel = wheel(Duration::from_micros(1), 4, 1 << 40);
        for nanos in (1 << 40) - 10..(1 << 40) + 20_000 {
            let at = Instant::from_nanos(nanos);
            let tick = wheel.tick_of(at);
            assert!(wheel.fires_at(tick) >= at);
            assert!(tick == 0 || wheel.fires_at(tick - 1) < at, "tick {tick} for {nanos}");
        }
    }

    #[test]
    fn different_seeds_fire_at_different_points_of_the_tick() {
        let point = |seed| {
            let config = WheelConfig { seed, ..WheelConfig::default() };
            Wheel::new(config, Instant::default()).fires_at(100)
        };
        assert_ne!(point(1), point(2));
    }

    #[test]
    fn many_are_popped_in_the_order_of_one_by_one() {
        for places in [1, 3, 8, 100] {
            let [mut one, mut many] = [0, 0].map(|_| wheel(Duration::from_millis(8), 64, 0));
            for key in 0..50 {
                let at = Instant::default() + Duration::from_millis(u64::from(key % 7) * 30);
                one.arm(key, at);
                many.arm(key, at);
            }
            for now in [50, 60, 100, 300].map(|ms| Instant::default() + Duration::from_millis(ms)) {
                let (mut popped, mut keys) = (Vec::new(), vec![0; places]);
                let mut foreseen = Vec::new();
                while let count @ 1.. = many.pop_many(now, &mut keys, |key| foreseen.push(key)) {
                    popped.extend_from_slice(&keys[..count]);
                }
                assert_eq!(popped, drain(&mut one, now));
                assert_eq!(popped, foreseen);
                assert_eq!((many.len(), many.next_wake()), (one.len(), one.next_wake()));
            }
            assert!(many.is_empty());
        }
    }

    #[test]
    fn a_later_deadline_leaves_the_key_where_it_is_and_an_earlier_one_moves_it() {
        let mut wheel = wheel(Duration::from_millis(8), 4096, 0);
        let at = |seconds| Instant::default() + seconds * SECOND;
        wheel.arm(1, at(10));
        let first = wheel.next_wake().unwrap();
        wheel.arm(1, at(15));
        assert_eq!(wheel.next_wake(), Some(first));
        wheel.arm(1, at(5));
        assert!(wheel.next_wake().unwrap() < first);
        assert_eq!(wheel.len(), 1);
    }

    #[test]
    fn a_key_that_is_armed_anew_waits_for_that_moment_and_no_other() {
        let mut wheel = wheel(Duration::from_millis(8), 4096, 0);
        let at = |seconds| Instant::default() + seconds * SECOND;
        for seconds in [10, 15, 5, 15] {
            wheel.rearm(1, at(seconds));
            let wake = wheel.next_wake().unwrap();
            assert!(wake >= at(seconds) && wake < at(seconds) + Duration::from_millis(8));
            assert_eq!(wheel.len(), 1);
        }
        assert_eq!(drain(&mut wheel, at(20)), [1]);
    }

    #[test]
    fn links_hold_when_the_first_the_middle_or_the_last_of_a_list_leaves() {
        for gone in 0..3 {
            let mut wheel = wheel(Duration::from_millis(8), 64, 0);
            let at = Instant::default() + Duration::from_millis(100);
            (0..3).for_each(|key| wheel.arm(key, at));
            wheel.disarm(gone);
            wheel.disarm(gone);
            let mut left = drain(&mut wheel, at + SECOND);
            left.sort_unstable();
            assert_eq!(left, (0..3).filter(|&key| key != gone).collect::<Vec<_>>());
            assert!(wheel.is_empty() && wheel.next_wake().is_none());
            assert!(wheel.occupied.iter().all(|&word| word == 0));
        }
    }

    #[test]
    fn a_key_parked_beyond_the_turn_comes_up_early_and_a_close_armed_meanwhile_comes_on_time() {
        let tick = Duration::from_millis(8);
        let mut wheel = wheel(tick, 64, 0);
        let hours = Instant::default() + 7200 * SECOND;
        wheel.arm(3, hours);
        assert!(wheel.next_wake().unwrap() < Instant::default() + 64 * tick);
        let close = Instant::default() + Duration::from_millis(50);
        wheel.arm(3, close);
        let wake = wheel.next_wake().unwrap();
        assert!(wake >= close && wake < close + tick);
        assert_eq!(wheel.pop(wake), Some(3));
    }

    #[test]
    fn a_jump_over_a_million_turns_visits_no_key_more_than_three_times() {
        let tick = Duration::from_millis(8);
        let mut wheel = wheel(tick, 64, 0);
        (0..100).for_each(|key| wheel.arm(key, Instant::default() + SECOND));
        let now = Instant::default() + 500_000 * SECOND;
        let mut visits = 0;
        while let Some(key) = wheel.pop(now) {
            visits += 1;
            wheel.arm(key, now + Duration::from_millis(100));
        }
        assert!(visits <= 300, "{visits}");
        assert_eq!(wheel.len(), 100);
        assert!(wheel.next_wake().unwrap() >= now + Duration::from_millis(100));
    }

    #[test]
    fn a_deadline_that_never_comes_does_not_overflow() {
        let mut wheel = wheel(Duration::from_micros(1), 2, u64::MAX - 1000);
        wheel.arm(0, Instant::FAR);
        assert!(wheel.next_wake().unwrap() <= Instant::FAR);
        assert_eq!(drain(&mut wheel, Instant::FAR), [0]);
        wheel.arm(0, Instant::default());
        assert_eq!(drain(&mut wheel, Instant::FAR), [0]);
    }

    #[test]
    #[should_panic(expected = "mark the ends of lists")]
    fn a_key_that_is_a_mark_is_refused() {
        wheel(SECOND, 2, 0).arm(FREE, Instant::default());
    }
}
