use fastrand::Rng;
use std::ops::Range;
use std::time::Duration;

/// What goes wrong in a [`World`](super::World), and how often. A *share* is a probability from 0
/// to 1.
///
/// None of it breaks the contract of a driver: it is what kernels, networks and busy machines do.
#[derive(Clone, Debug)]
pub struct Faults {
    /// How long a packet takes, one way.
    pub delay: Range<Duration>,
    /// The most bytes that arrive at once.
    pub segment_max: usize,
    /// The most bytes in one `Received`; the streams are split at random below it.
    pub read_max: usize,
    /// What the sending kernel holds of one connection.
    pub send_buffer: usize,
    /// What the receiving kernel holds of one connection: when it is full, the window is zero.
    pub receive_buffer: usize,
    /// The most events that a driver hands over in a turn.
    pub handover_max: usize,
    /// The share of sends of which the kernel takes only a part at first.
    pub short_sends: f64,
    /// The share of sends that the kernel takes only after a while of up to `stalled_max`.
    pub stalled_sends: f64,
    /// See `stalled_sends`.
    pub stalled_max: Duration,
    /// The share of reads that find no free buffer, so that the receive is disarmed for up to
    /// `exhausted_max`.
    pub exhausted: f64,
    /// See `exhausted`.
    pub exhausted_max: Duration,
    /// About how often the whole loop stands still, for up to `stall_max`.
    pub stall_every: Option<Duration>,
    /// See `stall_every`.
    pub stall_max: Duration,
    /// The share of packets that are lost, and come after a retransmission timeout.
    pub lost: f64,
    /// The share of packets in whose place a middlebox sends RST to both ends.
    pub resets: f64,
    /// The share of connects that are refused by somebody on the way.
    pub refused: f64,
    /// What one call of the engine costs.
    pub call: Range<Duration>,
    /// And what each send costs that it asks for.
    pub send: Duration,
}

impl Faults {
    /// A calm loopback: small delays, whole messages, no stalls.
    pub fn none() -> Self {
        Self {
            delay: micros(5)..micros(50),
            segment_max: 64 * 1024,
            read_max: 64 * 1024,
            send_buffer: 256 * 1024,
            receive_buffer: 128 * 1024,
            handover_max: usize::MAX,
            short_sends: 0.0,
            stalled_sends: 0.0,
            stalled_max: Duration::ZERO,
            exhausted: 0.0,
            exhausted_max: Duration::ZERO,
            stall_every: None,
            stall_max: Duration::ZERO,
            lost: 0.0,
            resets: 0.0,
            refused: 0.0,
            call: Duration::from_nanos(300)..micros(3),
            send: Duration::ZERO,
        }
    }

    /// All that a healthy connection lives through: splits, short and late sends, lost packets,
    /// small buffers, few events a turn, exhausted buffers, loops that stand still.
    pub fn survivable(rng: &mut Rng) -> Self {
        let read_max = rng.choice([3, 100, 4096, 64 * 1024]).unwrap_or(4096);
        // Small pieces are many: together they find no buffer as often as a few large ones.
        let exhausted = 0.05 * read_max.min(1000) as f64 / 1000.0;
        let delay_max = rng.choice([micros(100), millis(2), millis(20)]).unwrap_or_default();
        Self {
            delay: micros(5)..delay_max,
            segment_max: rng.choice([7, 200, 1460, 64 * 1024]).unwrap_or(1460),
            read_max,
            send_buffer: rng.choice([4096, 100_000, 1 << 20]).unwrap_or(4096),
            receive_buffer: rng.choice([2048, 70_000, 1 << 20]).unwrap_or(2048),
            handover_max: rng.choice([1, 3, 20, usize::MAX]).unwrap_or(20),
            short_sends: sometimes(rng, 0.5),
            stalled_sends: sometimes(rng, 0.2),
            stalled_max: millis(10),
            exhausted: sometimes(rng, exhausted),
            exhausted_max: millis(20),
            stall_every: rng.bool().then(|| millis(rng.u64(2_000..20_000))),
            stall_max: millis(500),
            lost: sometimes(rng, 0.005),
            ..Self::none()
        }
    }
}

fn sometimes(rng: &mut Rng, share: f64) -> f64 {
    if rng.bool() { share * rng.f64() } else { 0.0 }
}

const fn micros(n: u64) -> Duration {
    Duration::from_micros(n)
}

const fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}
