//! When a peer is pinged, and when it is dead: a pure policy.
//!
//! # The states of a beat
//!
//! ```text
//!          due                    the chunk came home           timeout, and we listened
//!   Quiet ─────▶ Leaving ────────────────────────────▶ Asked ────────────────────────────▶ dead
//!     ▲             │ a byte came                        │
//!     │             ▼                                    │ a byte came
//!     └───── LeavingHeard (by whether it came after) ────┘
//! ```
//!
//! Every inbound byte is life: it costs two stores, and the deadline that waits on the wheel is left
//! where it is. While a ping is unanswered no second one is sent, and the clock of the answer starts
//! when the ping has left for the kernel: a ping that waits behind a send in flight is not yet a
//! question, and the output's own deadline judges there.

use crate::rtt::{RoundTrip, Rtt};
use fastrand::Rng;
use halfopen_driver::Heard;
use halfopen_wheel::Instant;
use std::time::Duration;

/// How a server asks its peers whether they live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    /// What makes a ping due.
    pub policy: Policy,
    /// The time from one ping to the next (periodic), or of silence before a ping (idle).
    pub interval: Duration,
    /// How long a peer has to answer, from when the ping was handed to the kernel.
    pub timeout: Duration,
}

/// What makes a ping due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Each interval, whatever else is said. The first ping comes at a random moment of the first
    /// interval, so that a crowd that came together is not asked together.
    Periodic,
    /// After an interval without an inbound byte. Each wait is drawn anew from 90 to 100 % of the
    /// interval: one broadcast, answered by all, does not line them up, and nobody waits longer
    /// than was said.
    Idle,
}

impl Policy {
    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Periodic => "periodic",
            Self::Idle => "idle",
        }
    }
}

impl Default for Heartbeat {
    /// Periodic, 20 s and 20 s: what most servers do.
    fn default() -> Self {
        let time = Duration::from_secs(20);
        Self { policy: Policy::Periodic, interval: time, timeout: time }
    }
}

impl Heartbeat {
    /// The shortest time from a ping to the next ping.
    pub(crate) fn pause_min(&self) -> Duration {
        match self.policy {
            Policy::Periodic => self.interval,
            Policy::Idle => self.interval - self.interval / 10,
        }
    }

    /// From a ping (or from silence) to the next ping.
    fn pause(&self, rng: &mut Rng) -> Duration {
        match self.policy {
            Policy::Periodic => self.interval,
            Policy::Idle => self.interval - below(self.interval / 10, rng),
        }
    }

    /// From the opening to the first ping.
    fn phase(&self, rng: &mut Rng) -> Duration {
        match self.policy {
            Policy::Periodic => below(self.interval, rng),
            Policy::Idle => self.pause(rng),
        }
    }
}

/// The heartbeat of one connection.
#[derive(Clone, Copy, Debug)]
pub struct Beat {
    last_heard: Instant,
    /// When the last ping left; if `Asked`, it is the oldest that no byte has answered.
    asked: Instant,
    next_ping: Instant,
    state: State,
    round_trip: RoundTrip,
}

// There are a million of them.
const _: () = assert!(size_of::<Beat>() == 32);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Every ping was answered.
    Quiet,
    /// A ping is due, and on its way to the kernel.
    Leaving,
    /// As `Leaving`, and a byte has come meanwhile.
    LeavingHeard,
    /// A ping has left, and no byte has come since.
    Asked,
}

/// What [`Beat::check`] finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing to do before [`Beat::deadline`].
    Wait,
    /// Send a ping now.
    Ping,
    /// The deadline has passed, but the driver has not listened until then: look again soon.
    Unheard,
    /// The peer has not answered in time.
    Silent,
}

impl Beat {
    /// The beat of a connection that is never pinged.
    pub fn off(now: Instant) -> Self {
        let never = Instant::FAR;
        Self {
            last_heard: now,
            asked: now,
            next_ping: never,
            state: State::Quiet,
            round_trip: RoundTrip::UNKNOWN,
        }
    }

    /// The beat of a connection that opens now.
    pub fn start(now: Instant, heartbeat: &Heartbeat, rng: &mut Rng) -> Self {
        Self { next_ping: now + heartbeat.phase(rng), ..Self::off(now) }
    }

    /// A byte has come. Whether that answered a ping, so that the deadline is another.
    pub fn heard(&mut self, now: Instant) -> bool {
        self.last_heard = now;
        match self.state {
            State::Asked => {
                self.state = State::Quiet;
                true
            }
            State::Leaving => {
                self.state = State::LeavingHeard;
                false
            }
            State::Quiet | State::LeavingHeard => false,
        }
    }

    /// The ping was handed to the kernel at `at`.
    pub fn left(&mut self, at: Instant, heartbeat: &Heartbeat, rng: &mut Rng) {
        let answered = self.state == State::LeavingHeard && self.last_heard >= at;
        self.state = if answered { State::Quiet } else { State::Asked };
        self.asked = at;
        self.next_ping = at + heartbeat.pause(rng);
    }

    /// We did not listen to the peer until now: an open question is asked anew.
    pub fn excuse(&mut self, now: Instant) {
        if self.state == State::Asked {
            self.asked = now;
        }
    }

    /// What is due. After [`Verdict::Ping`] the ping is on its way until [`left`](Self::left).
    pub fn check(
        &mut self,
        now: Instant,
        heard: Heard,
        heartbeat: &Heartbeat,
        rng: &mut Rng,
    ) -> Verdict {
        if self.deadline(heartbeat) > now {
            return Verdict::Wait;
        }
        match self.state {
            State::Leaving | State::LeavingHeard => Verdict::Wait,
            State::Asked if heard.silent_since(now, self.asked, heartbeat.timeout) => {
                Verdict::Silent
            }
            State::Asked => Verdict::Unheard,
            State::Quiet if self.is_fresh(now, heartbeat) => {
                self.next_ping = self.last_heard + heartbeat.pause(rng);
                if self.next_ping > now { Verdict::Wait } else { self.leave() }
            }
            State::Quiet => self.leave(),
        }
    }

    /// When [`check`](Self::check) will find something to do; far, while a ping is on its way.
    pub fn deadline(&self, heartbeat: &Heartbeat) -> Instant {
        match self.state {
            State::Quiet => self.next_ping,
            State::Leaving | State::LeavingHeard => Instant::FAR,
            State::Asked => self.asked + heartbeat.timeout,
        }
    }

    /// When to look at it next: not after its deadline, nor after the next ping would be due if the
    /// answer came. So the answer, which comes almost always, changes nothing.
    pub fn look(&self, heartbeat: &Heartbeat) -> Instant {
        match self.state {
            State::Asked => self.next_ping.min(self.asked + heartbeat.timeout),
            _ => self.deadline(heartbeat),
        }
    }

    /// When the next ping is due, if the last one is answered.
    pub fn next_ping(&self) -> Instant {
        self.next_ping
    }

    /// When the ping left that no byte has answered.
    pub fn asked(&self) -> Option<Instant> {
        (self.state == State::Asked).then_some(self.asked)
    }

    /// A pong came that carried our stamp.
    pub fn measured(&mut self, rtt: Duration) {
        self.round_trip.add(rtt);
    }

    /// The round trips of this connection so far; none before the first pong.
    pub fn rtt(&self) -> Option<Rtt> {
        self.round_trip.read()
    }

    /// When the last byte came.
    pub fn last_heard(&self) -> Instant {
        self.last_heard
    }

    /// The idle policy leaves a peer alone that was heard within the shortest wait.
    fn is_fresh(&self, now: Instant, heartbeat: &Heartbeat) -> bool {
        heartbeat.policy == Policy::Idle && self.last_heard + heartbeat.pause_min() > now
    }

    fn leave(&mut self) -> Verdict {
        self.state = State::Leaving;
        Verdict::Ping
    }
}

/// A random time shorter than `limit`.
fn below(limit: Duration, rng: &mut Rng) -> Duration {
    let nanos = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    if nanos == 0 { Duration::ZERO } else { Duration::from_nanos(rng.u64(0..nanos)) }
}
