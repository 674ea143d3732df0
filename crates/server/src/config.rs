use crate::Heartbeat;
use halfopen_proto::Limits;
use halfopen_proto::handshake::HeadLimits;
use halfopen_wheel::WheelConfig;
use std::time::Duration;

/// What a turn of the wheel holds at least: at the default tick it is 4,096 slots.
const WHEEL_TURN: Duration = Duration::from_millis(8 * 4096);

/// What one shard is told: its heartbeat, its patience and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How peers are asked whether they live; none: they are not.
    pub heartbeat: Option<Heartbeat>,
    /// From the opening of the connection to the end of the opening handshake.
    pub handshake_timeout: Duration,
    /// From when our Close frame, or the last thing that we have to say, has left, to the peer's FIN.
    /// A backlog of it in our kernel that moves gives half as much again; what has not left yet has
    /// the output timeout, a chunk at a time. In a drain, after a violation and for who is closed by
    /// a limit, it is all the time that there is.
    pub close_timeout: Duration,
    /// How long a message may be on its way, from its first byte to its last.
    pub message_timeout: Duration,
    /// How long a connection may be without a message from the peer; none: for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a peer may take nothing of what is sent to it.
    pub output_timeout: Duration,
    /// The bytes in one connection's queue from which on it is full. The last message may go beyond
    /// it; and a chunk of 64 KiB that is with the kernel already does not count.
    pub output_max: usize,
    /// What is done about a peer whose queue is full.
    pub slow_consumer: SlowConsumer,
    /// What a peer may ask us to hold.
    pub limits: Limits,
    /// What a request's head may be.
    pub head: HeadLimits,
    /// The most connections of this shard. The driver's table has to be larger by `refusals_max`,
    /// so that there is room to refuse in.
    pub connections_max: u32,
    /// The most connections that wait at one time for the word that the server is full.
    pub refusals_max: u32,
    /// The most letters that wait in the shard's letter box ([`Mailbox`](crate::Mailbox)).
    pub mailbox_letters: usize,
    /// The most bytes in those letters; one that is larger goes alone.
    pub mailbox_bytes: usize,
    /// The most topics that one connection subscribes to.
    pub subscriptions_max: usize,
    /// The tick of the wheel: by how much a deadline may be late.
    pub tick: Duration,
    /// Seeds every random choice, and the key of the pings' stamps.
    pub seed: u64,
}

/// What is done about a peer that reads more slowly than is sent to it, once its queue is full.
///
/// One that reads nothing at all is aborted after the output timeout, whatever is said here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowConsumer {
    /// What is sent to it meanwhile is dropped, and counted.
    Drop,
    /// It is closed with 1008, and what waits in its queue is dropped.
    Close,
    /// Nothing is read from it until half of the queue has gone, so it is answered no faster than it
    /// reads. Nothing is lost; who sends to it unasked until the queue is full twice over has it
    /// closed, as with [`Close`](Self::Close).
    Wait,
}

impl SlowConsumer {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Drop, Self::Close, Self::Wait];

    /// The name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Drop => "drop",
            Self::Close => "close",
            Self::Wait => "wait",
        }
    }
}

impl Default for Config {
    /// A ping every 20 s with 20 s to answer, and room for 1,024 connections.
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self {
            heartbeat: Some(Heartbeat::default()),
            handshake_timeout: 10 * second,
            close_timeout: 5 * second,
            message_timeout: 120 * second,
            idle_timeout: None,
            output_timeout: 20 * second,
            output_max: 1 << 20,
            slow_consumer: SlowConsumer::Wait,
            limits: Limits::default(),
            head: HeadLimits::default(),
            connections_max: 1024,
            refusals_max: 64,
            mailbox_letters: 4096,
            mailbox_bytes: 16 << 20,
            subscriptions_max: 64,
            tick: Duration::from_millis(8),
            seed: 0,
        }
    }
}

impl Config {
    /// A wheel whose turn holds the common waits, whatever the tick.
    pub(crate) fn wheel(&self) -> WheelConfig {
        self.wheel_that_turns_in(WHEEL_TURN)
    }

    /// A wheel whose turn holds this heartbeat's waits, too: who waits for longer than a turn is
    /// visited in between, for nothing.
    pub(crate) fn wheel_of_beats(&self) -> WheelConfig {
        let wait = self.heartbeat.map_or(Duration::ZERO, |beat| beat.interval.max(beat.timeout));
        // A tick may be shorter by its dither, a quarter.
        self.wheel_that_turns_in(wait.saturating_add(wait / 3 + 2 * self.tick).max(WHEEL_TURN))
    }

    fn wheel_that_turns_in(&self, turn: Duration) -> WheelConfig {
        let ticks = turn.as_nanos() / self.tick.as_nanos().max(1);
        let slots = (ticks as usize).clamp(64, 1 << 16);
        WheelConfig { tick: self.tick, slots, seed: self.seed }
    }
}
