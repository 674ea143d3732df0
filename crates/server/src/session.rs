use crate::heartbeat::Beat;
use crate::output::{Pool, Work};
use crate::probe::first_look;
use crate::{Config, End, Heartbeat};
use halfopen_driver::ConnId;
use halfopen_proto::{Connection, Role};
use halfopen_wheel::Instant;
use std::time::Duration;

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// No connection has this index.
    Vacant,
    /// The request is on its way.
    Handshake,
    /// As `Handshake`, but the answer will be that there is no room.
    Refusing,
    /// Messages go both ways.
    Open,
    /// We sent Close, and wait for the peer's.
    Closing,
    /// Our last bytes and our FIN are on their way; what comes is dropped.
    Ending,
    /// We aborted, and wait to be told that it is gone.
    Aborted,
}

/// Whether our FIN goes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fin {
    /// Not yet.
    No,
    /// When all has been given to the driver.
    Wanted,
    /// The driver was told.
    Said,
}

/// How long a request may take that is refused for want of a place: others wait to be refused, and
/// hold nothing meanwhile but their patience.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// One connection. A million of them stand in a row, so what is rare is in a box.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Session {
    pub(crate) generation: u32,
    pub(crate) phase: Phase,
    /// How it ended, where we know better than the driver's word.
    pub(crate) end: Option<End>,
    /// Pings given to the driver whose pong has not come: no pong is measured twice.
    pub(crate) pongs_due: u8,
    /// A chunk is with the driver.
    pub(crate) in_flight: bool,
    /// That chunk holds a ping of ours.
    pub(crate) ping_aboard: bool,
    /// A ping is due.
    pub(crate) ping_wanted: bool,
    /// More than pings was sent since the last ping.
    pub(crate) spoke: bool,
    /// More than pings was sent before the last ping, and no pong proves yet that it arrived.
    pub(crate) spoke_before: bool,
    /// We do not read from it.
    pub(crate) paused: bool,
    pub(crate) fin: Fin,
    /// It takes a place of the admission.
    pub(crate) admitted: bool,
    /// The app knows it.
    pub(crate) opened: bool,
    pub(crate) beat: Beat,
    pub(crate) conn: Connection,
    pub(crate) work: Option<Box<Work>>,
    /// The deadline of the phase: of the handshake, of the next message, of a closing that nothing
    /// holds up.
    pub(crate) until: Instant,
    /// When the chunk in flight was given to the driver. While we close and none is in flight: when
    /// there was nothing more to say.
    pub(crate) sent_at: Instant,
    /// When the wheel will hand it over at the latest; far, if it does not wait there. So an event
    /// that brings no earlier deadline leaves the wheel's memory alone.
    pub(crate) armed: Instant,
}

// Two lines of the cache, no third that is begun. With the wheel's 12 bytes and the driver's entry
// it has to stay under 192.
const _: () = assert!(size_of::<Session>() <= 128);

impl Session {
    pub(crate) fn vacant() -> Self {
        let zero = Instant::from_nanos(0);
        Self {
            generation: 0,
            phase: Phase::Vacant,
            end: None,
            pongs_due: 0,
            in_flight: false,
            ping_aboard: false,
            ping_wanted: false,
            spoke: false,
            spoke_before: false,
            paused: false,
            fin: Fin::No,
            admitted: false,
            opened: false,
            beat: Beat::off(zero),
            conn: Connection::new(Role::Server),
            work: None,
            until: Instant::FAR,
            sent_at: zero,
            armed: Instant::FAR,
        }
    }

    pub(crate) fn opened(id: ConnId, phase: Phase, now: Instant, config: &Config) -> Self {
        let admitted = phase == Phase::Handshake;
        let mut session = Self { generation: id.generation, phase, admitted, ..Self::vacant() };
        session.until = now + session.patience(config).0;
        session
    }

    /// What it has to keep while it is not idle.
    pub(crate) fn work(&mut self, pool: &mut Pool) -> &mut Work {
        self.work.get_or_insert_with(|| pool.lend_work())
    }

    /// How many bytes wait to be given to the driver.
    pub(crate) fn queued(&self) -> usize {
        self.work.as_ref().map_or(0, |work| work.queued())
    }

    /// How long the phase may last, and how it ends if it lasts longer.
    pub(crate) fn patience(&self, config: &Config) -> (Duration, End) {
        match self.phase {
            Phase::Open => (config.idle_timeout.unwrap_or(Duration::MAX), End::Idle),
            Phase::Closing | Phase::Ending => (config.close_timeout, End::CloseTimeout),
            Phase::Refusing => {
                (config.handshake_timeout.min(REFUSAL_TIMEOUT), End::HandshakeTimeout)
            }
            _ => (config.handshake_timeout, End::HandshakeTimeout),
        }
    }

    /// The earliest moment at which something may have to be done without being told.
    pub(crate) fn deadline(&self, config: &Config) -> Instant {
        if matches!(self.phase, Phase::Vacant | Phase::Aborted) {
            return Instant::FAR;
        }
        let beat = self.heartbeat(config).map_or(Instant::FAR, |beat| match self.ping_aboard {
            // The look after the one that the ping's leaving will ask for: so that changes nothing.
            true => self.sent_at + beat.pause_min().min(beat.timeout),
            false => self.beat.look(beat),
        });
        let wait = self.wait(config).map_or(Instant::FAR, |wait| wait.deadline);
        self.phase_deadline().min(beat).min(wait).min(self.message_deadline(config))
    }

    /// Nothing is said, wanted or kept, and nothing that was said may still be on its way.
    pub(crate) fn is_at_rest(&self) -> bool {
        let says = self.in_flight || self.ping_wanted || self.conn.owes_pong();
        let said = self.spoke || self.spoke_before;
        self.phase == Phase::Open && !self.paused && !says && !said && self.work.is_none()
    }

    /// When the phase has lasted long enough. A peer that we do not read from is not idle.
    pub(crate) fn phase_deadline(&self) -> Instant {
        if self.phase == Phase::Open && self.paused { Instant::FAR } else { self.until }
    }

    /// We read from it again: for as long as we did not, it was not silent, idle or slow.
    pub(crate) fn unpause(&mut self, now: Instant, config: &Config) {
        self.paused = false;
        self.beat.excuse(now);
        if let Some(idle) = config.idle_timeout.filter(|_| self.phase == Phase::Open) {
            self.until = now + idle;
        }
        if let Some(work) = &mut self.work {
            work.message_since = work.message_since.map(|_| now);
        }
    }

    /// The heartbeat, while it alone judges. It does not judge a peer that we do not read from,
    /// nor one that may be busy with what we sent.
    pub(crate) fn heartbeat<'a>(&self, config: &'a Config) -> Option<&'a Heartbeat> {
        config.heartbeat.as_ref().filter(|_| self.beats() && !self.is_asked_amid_output())
    }

    /// Whether we listen to it as to somebody who lives.
    fn beats(&self) -> bool {
        self.phase == Phase::Open && !self.paused
    }

    /// A ping is out, and it may be queued behind other bytes in a kernel.
    fn is_asked_amid_output(&self) -> bool {
        self.beat.asked().is_some() && (self.spoke || self.spoke_before)
    }

    /// When the message that is on its way has to be whole.
    pub(crate) fn message_deadline(&self, config: &Config) -> Instant {
        let work = self.work.as_ref().filter(|_| self.beats());
        let since = work.and_then(|work| work.message_since);
        since.map_or(Instant::FAR, |since| since + config.message_timeout)
    }

    /// Whether what we have said, or still say, is the last.
    pub(crate) fn is_parting(&self) -> bool {
        matches!(self.phase, Phase::Closing | Phase::Ending)
    }

    /// What the peer owes us beside a plain answer: the answer to a ping that may be queued behind
    /// other output, else that it takes the chunk in flight, and after the last that it goes.
    pub(crate) fn wait(&self, config: &Config) -> Option<Wait> {
        if self.phase == Phase::Aborted {
            return None;
        }
        let (about, timeout, end) = if self.beats() && self.is_asked_amid_output() {
            (self.beat.asked()?, config.heartbeat?.timeout, End::Silent)
        } else if self.in_flight {
            (self.sent_at, config.output_timeout, End::OutputStuck)
        } else if self.is_parting() {
            (self.sent_at, config.close_timeout, End::CloseTimeout)
        } else {
            return None;
        };
        let probe = self.work.as_ref().and_then(|work| work.probe);
        let deadline = match probe {
            Some(probe) if probe.about == about => probe.again,
            _ => first_look(about, timeout),
        };
        Some(Wait { about, timeout, deadline, end })
    }

    /// What the peer owed has come: the looks at its queue are of no more use.
    pub(crate) fn forget_old_probe(&mut self, config: &Config) {
        if self.work.as_ref().is_none_or(|work| work.probe.is_none()) {
            return;
        }
        let about = self.wait(config).map(|wait| wait.about);
        if let Some(work) = &mut self.work {
            work.probe.take_if(|probe| Some(probe.about) != about);
        }
    }
}

/// Something that a peer owes us, and that is judged by whether its backlog moves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// The moment from which it is owed; names the wait.
    pub(crate) about: Instant,
    /// How long it has.
    pub(crate) timeout: Duration,
    /// When to look next.
    pub(crate) deadline: Instant,
    /// How the connection ends if it does not come.
    pub(crate) end: End,
}
