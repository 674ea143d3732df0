use crate::Heartbeat;
use halfopen_proto::Limits;
use halfopen_proto::handshake::HeadLimits;
use halfopen_wheel::WheelConfig;
use std::time::Duration;

/// At the default tick it is 4,096 slots.
const WHEEL_TURN: Duration = Duration::from_millis(8 * 4096);

/// What one shard is told: its heartbeat, its patience and its bounds.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How peers are asked whether they live; none: they are not.
    pub heartbeat: Option<Heartbeat>,
    /// From the opening of the connection to the end of the opening handshake.
    pub handshake_timeout: Duration,
    /// From our Close frame, or from the last thing we have to say, to the peer's FIN.
    pub close_timeout: Duration,
    /// How long a message may be on its way, from its first byte to its last.
    pub message_timeout: Duration,
    /// How long a connection may be without a message from the peer; none: for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a peer may take nothing of what is sent to it.
    pub output_timeout: Duration,
    /// The bytes in one connection's queue from which on nothing more is read from it, until half
    /// of them have gone.
    pub output_max: usize,
    /// What a peer may ask us to hold.
    pub limits: Limits,
    /// What a request's head may be.
    pub head: HeadLimits,
    /// The most connections of this shard. The driver's table has to be larger by `refusals_max`,
    /// so that there is room to refuse in.
    pub connections_max: u32,
    /// The most connections that wait at one time for the word that the server is full.
    pub refusals_max: u32,
    /// The tick of the wheel: by how much a deadline may be late.
    pub tick: Duration,
    /// Seeds every random choice, and the key of the pings' stamps.
    pub seed: u64,
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
            limits: Limits::default(),
            head: HeadLimits::default(),
            connections_max: 1024,
            refusals_max: 64,
            tick: Duration::from_millis(8),
            seed: 0,
        }
    }
}

impl Config {
    /// A wheel whose turn holds the common intervals, whatever the tick.
    pub(crate) fn wheel(&self) -> WheelConfig {
        let ticks = WHEEL_TURN.as_nanos() / self.tick.as_nanos().max(1);
        let slots = (ticks as usize).clamp(64, 1 << 16);
        WheelConfig { tick: self.tick, slots, seed: self.seed }
    }
}
