//! Drivers that break the contract, each in one way, and the case of the suite that has to notice.
//!
//! A net that catches nothing looks like a sea without fish.

use fastrand::Rng;
use halfopen_driver::{Cause, Engine, Event, Heard, Op};
use halfopen_sim::Faults;
use halfopen_sim::contract::cases::{ending, naming, pausing, silence, streams, time, waking};
use halfopen_sim::contract::{Harness, Shim, Simulated};
use halfopen_wheel::Instant;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// A fault of a driver: changes what an engine is told, or swallows it.
trait Fault {
    fn tell(&mut self, now: Instant, event: Event<'_>, to: &mut dyn Engine, ops: &mut Vec<Op>) {
        to.on_event(now, event, ops);
    }

    fn heard(&mut self, _now: Instant, heard: Heard) -> Heard {
        heard
    }
}

struct Faulty<'a, F> {
    engine: &'a mut dyn Engine,
    fault: F,
}

impl<F: Fault> Engine for Faulty<'_, F> {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        self.fault.tell(now, event, self.engine, ops);
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        let heard = self.fault.heard(now, heard);
        self.engine.on_deadline(now, heard, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        self.engine.deadline()
    }
}

fn shim<F: Fault + Default + 'static>() -> Shim {
    |engine| Box::new(Faulty { engine, fault: F::default() })
}

/// The case holds over a sound driver, and over the one with the fault it panics with the words.
#[track_caller]
fn catches<F: Fault + Default + 'static>(case: fn(&dyn Harness), words: &str) {
    let sound =
        || Simulated::new(3, Faults { lost: 0.0, ..Faults::survivable(&mut Rng::with_seed(3)) });
    case(&sound());
    let faulty = sound().through(shim::<F>());
    let caught = catch_unwind(AssertUnwindSafe(|| case(&faulty)));
    let panic = caught.expect_err("the suite does not see the fault");
    let message = panic.downcast_ref::<String>().map_or("", String::as_str);
    assert!(message.contains(words), "it fails for another reason: {message}");
}

/// Of every piece that is longer than a byte.
#[derive(Default)]
struct DropsTheLastByte;

impl Fault for DropsTheLastByte {
    fn tell(&mut self, now: Instant, event: Event<'_>, to: &mut dyn Engine, ops: &mut Vec<Op>) {
        match event {
            Event::Received { id, bytes } if bytes.len() > 1 => {
                let len = bytes.len() - 1;
                to.on_event(now, Event::Received { id, bytes: &mut bytes[..len] }, ops);
            }
            event => to.on_event(now, event, ops),
        }
    }
}

#[test]
fn a_byte_lost_at_a_split_is_caught() {
    catches::<DropsTheLastByte>(
        pausing::pausing_and_resuming_at_every_turn_loses_nothing,
        "not stop",
    );
}

#[derive(Default)]
struct TurnsTwoBytesRound;

impl Fault for TurnsTwoBytesRound {
    fn tell(&mut self, now: Instant, mut event: Event<'_>, to: &mut dyn Engine, ops: &mut Vec<Op>) {
        if let Event::Received { bytes, .. } = &mut event
            && bytes.len() > 1
        {
            bytes.swap(0, 1);
        }
        to.on_event(now, event, ops);
    }
}

#[test]
fn bytes_out_of_order_are_caught() {
    let case = streams::every_byte_comes_back_in_order_however_the_stream_is_split;
    catches::<TurnsTwoBytesRound>(case, "clause 2");
}

/// Completions before timers, and no word of what still waits.
#[derive(Default)]
struct TakesTheClockForItsEars;

impl Fault for TakesTheClockForItsEars {
    fn heard(&mut self, now: Instant, _heard: Heard) -> Heard {
        Heard { until: now, busy_since: None }
    }
}

#[test]
fn a_claim_to_have_heard_is_caught() {
    let case = silence::nobody_who_answered_is_silent_after_a_stall;
    catches::<TakesTheClockForItsEars>(case, "clause 8");
}

/// A send that took long has failed, and its chunk is forgotten.
#[derive(Default)]
struct KeepsTheChunkOfAFailedSend;

impl Fault for KeepsTheChunkOfAFailedSend {
    fn tell(&mut self, now: Instant, event: Event<'_>, to: &mut dyn Engine, ops: &mut Vec<Op>) {
        let is_late = |at| now > at + Duration::from_millis(100);
        if !matches!(event, Event::Sent { at, .. } if is_late(at)) {
            to.on_event(now, event, ops);
        }
    }
}

#[test]
fn a_chunk_that_does_not_come_home_is_caught() {
    let case = ending::an_abort_brings_the_send_in_flight_home_first;
    catches::<KeepsTheChunkOfAFailedSend>(case, "clause 2");
}

#[derive(Default)]
struct ClosesTwice;

impl Fault for ClosesTwice {
    fn tell(&mut self, now: Instant, event: Event<'_>, to: &mut dyn Engine, ops: &mut Vec<Op>) {
        if let Event::Closed { id, .. } = event {
            to.on_event(now, Event::Closed { id, cause: Cause::Reset }, ops);
        }
        to.on_event(now, event, ops);
    }
}

#[test]
fn an_end_told_twice_is_caught() {
    catches::<ClosesTwice>(ending::an_abort_is_told_once_whatever_the_peer_does, "clause 2");
}

/// The names of connections are told without their generations.
#[derive(Default)]
struct ForgetsGenerations;

impl Fault for ForgetsGenerations {
    fn tell(&mut self, now: Instant, mut event: Event<'_>, to: &mut dyn Engine, ops: &mut Vec<Op>) {
        if let Event::Opened { id, .. } = &mut event {
            id.generation = 0;
        }
        to.on_event(now, event, ops);
    }
}

#[test]
fn a_name_used_twice_is_caught() {
    // Already the second user of an index is addressed by a name that nobody has opened.
    catches::<ForgetsGenerations>(naming::an_index_is_used_again_with_another_generation, "clause");
}

#[derive(Default)]
struct Drowsy;

impl Fault for Drowsy {
    fn tell(&mut self, now: Instant, event: Event<'_>, to: &mut dyn Engine, ops: &mut Vec<Op>) {
        if !matches!(event, Event::Woken) {
            to.on_event(now, event, ops);
        }
    }
}

#[test]
fn a_lost_wake_is_caught() {
    catches::<Drowsy>(waking::a_wake_before_the_start_is_heard, "not stop");
}

#[derive(Default)]
struct TurnsTheClockBack {
    calls: u64,
}

impl Fault for TurnsTheClockBack {
    fn tell(&mut self, now: Instant, event: Event<'_>, to: &mut dyn Engine, ops: &mut Vec<Op>) {
        self.calls += 1;
        to.on_event(now - Duration::from_secs(self.calls), event, ops);
    }
}

#[test]
fn a_clock_that_goes_back_is_caught() {
    catches::<TurnsTheClockBack>(time::deadlines_do_not_starve_arrivals, "clause 1");
}
