//! Connections to which nothing is done, and what they feel of what is done to others.

use crate::report::Latency;
use anyhow::ensure;
use halfopen_driver::DriverKind;
use halfopen_loadgen::death::Unwatched;
use halfopen_loadgen::plan::{Asked, Expect, resolve};
use halfopen_loadgen::record::{Interval, Tag, histogram};
use halfopen_loadgen::run::{Interrupt, Outcome, Run};
use halfopen_wheel::Instant;
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

/// How long all of them may take to connect.
const PATIENCE: Duration = Duration::from_secs(60);

/// So long they go on, if nobody ends them.
const FOR_EVER: Duration = Duration::from_secs(24 * 3600);

/// Living connections, each of which has messages echoed.
#[derive(Debug)]
pub struct Bystanders {
    run: Run,
    interrupt: Interrupt,
    connections: u32,
}

impl Bystanders {
    /// Opens `connections`, and sends `rate` messages a second over all of them. All are open when
    /// this returns.
    ///
    /// # Errors
    /// They cannot be opened.
    pub fn open(server: SocketAddr, connections: u32, rate: f64) -> anyhow::Result<Self> {
        let asked = Asked {
            connections,
            message_rate: Some(rate.into()),
            expect: Expect::Echo,
            duration: FOR_EVER,
            ..Asked::new(&format!("ws://{server}/"))
        };
        let run = Run::start(resolve(&asked)?, DriverKind::IoUring, Arc::new(Unwatched))?;
        let interrupt = run.interrupt();
        let bystanders = Self { run, interrupt, connections };
        bystanders.wait_until_open()?;
        Ok(bystanders)
    }

    fn wait_until_open(&self) -> anyhow::Result<()> {
        let progress = self.run.progress();
        let looks = PATIENCE.as_millis() / 20;
        for _ in 0..looks {
            if progress.snapshot().opened >= u64::from(self.connections) {
                return Ok(());
            }
            ensure!(!self.run.is_over(), "the quiet connections could not be opened");
            sleep(Duration::from_millis(20));
        }
        anyhow::bail!("{} quiet connections are not open after {PATIENCE:?}", self.connections);
    }

    /// Ends them.
    ///
    /// # Errors
    /// Their driver failed.
    pub fn leave(self) -> anyhow::Result<Witnessed> {
        self.interrupt.interrupt();
        Ok(Witnessed(self.run.join()?))
    }
}

/// What they have felt.
#[derive(Debug)]
pub struct Witnessed(Outcome);

impl Witnessed {
    /// How many were lost, for whatever reason.
    pub fn lost(&self) -> u64 {
        self.0.tally.losses.len() as u64
    }

    /// The latencies of the messages that were answered in the whole seconds between two moments.
    pub fn between(&self, from: Instant, to: Instant) -> Latency {
        let second = |at: Instant| at.saturating_since(self.0.origin).as_secs_f64();
        let seconds = second(from).ceil() as u32..second(to).floor() as u32;
        let is_of_these = |interval: &&Interval| {
            interval.tag == Tag::MessageLatency && seconds.contains(&interval.second)
        };
        let mut all = histogram();
        for interval in self.0.tally.intervals.iter().filter(is_of_these) {
            for &(value, count) in &interval.counts {
                all.record_n(value, count).expect("it grows as it needs");
            }
        }
        Latency::of(&all)
    }
}
