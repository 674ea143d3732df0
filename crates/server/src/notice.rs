//! What a shard notes in the log: ends of connections that say something about peers, paths or
//! limits. Never each of them: what came together is told together, once a second at the most.

use crate::{End, Refusal, Stats};
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::time::Duration;
use tracing::{Level, enabled, info, warn};

/// From one notice to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// The notices of one shard.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// When what is untold is told; none if there is nothing.
    due: Option<Instant>,
    /// Before then nothing is told.
    quiet_until: Option<Instant>,
    told_ended: BTreeMap<End, u64>,
    told_full: u64,
}

impl Notices {
    /// A connection ended so.
    pub(crate) fn stir(&mut self, now: Instant, end: End) {
        let is_news = !matches!(end, End::Closed | End::Drained | End::Answered);
        if is_news && self.due.is_none() && enabled!(Level::INFO) {
            self.due = Some(self.quiet_until.map_or(now, |until| until.max(now)));
        }
    }

    /// When [`tell`](Self::tell) will have something to say.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Tells what has come since the last time, if it is time.
    pub(crate) fn tell(&mut self, now: Instant, stats: &Stats) {
        if self.due.is_some_and(|due| due <= now) {
            self.quiet_until = Some(now + PAUSE);
            self.tell_rest(stats);
        }
    }

    /// Tells what is untold: there will be no other time.
    pub(crate) fn tell_rest(&mut self, stats: &Stats) {
        if self.due.take().is_none() {
            return;
        }
        let more = |end: End| {
            let told = self.told_ended.get(&end).copied().unwrap_or(0);
            Some(stats.ended(end) - told).filter(|more| *more > 0)
        };
        tell_deaths(more);
        tell_limits(more);
        let full = stats.refused.get(&Refusal::Full).copied().unwrap_or(0);
        if full > self.told_full {
            warn!(refused = full - self.told_full, "the server is full");
        }
        self.told_full = full;
        self.told_ended.clone_from(&stats.ended);
    }
}

/// Fields that are none are left out.
fn tell_deaths(more: impl Fn(End) -> Option<u64>) {
    let [silent, output_stuck, timed_out] =
        [End::Silent, End::OutputStuck, End::TimedOut].map(&more);
    let [fin, reset, error] = [End::Fin, End::Reset, End::Error].map(&more);
    let all = [silent, output_stuck, timed_out, fin, reset, error];
    let died: u64 = all.into_iter().flatten().sum();
    if died > 0 {
        info!(died, silent, output_stuck, timed_out, fin, reset, error, "connections died");
    }
}

fn tell_limits(more: impl Fn(End) -> Option<u64>) {
    let [handshake_timeout, message_timeout, close_timeout] =
        [End::HandshakeTimeout, End::MessageTimeout, End::CloseTimeout].map(&more);
    let [slow_consumer, idle, violation] =
        [End::SlowConsumer, End::Idle, End::Violation].map(&more);
    let all = [handshake_timeout, message_timeout, close_timeout, slow_consumer, idle, violation];
    let ended: u64 = all.into_iter().flatten().sum();
    if ended > 0 {
        info!(
            ended,
            handshake_timeout,
            message_timeout,
            close_timeout,
            slow_consumer,
            idle,
            violation,
            "connections ended at a limit"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;
    use std::sync::{Arc, Mutex};

    const SECOND: Duration = Duration::from_secs(1);

    /// What is logged while `act` runs.
    fn noted(level: Level, act: impl FnOnce()) -> Vec<String> {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl io::Write for Lines {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().write(bytes)
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// A shard's notices and what they tell of.
    struct Shard {
        notices: Notices,
        stats: Stats,
        now: Instant,
    }

    impl Shard {
        fn new() -> Self {
            let now = Instant::from_nanos(5_000_000_000);
            Self { notices: Notices::default(), stats: Stats::default(), now }
        }

        fn end(&mut self, end: End) {
            *self.stats.ended.entry(end).or_default() += 1;
            self.notices.stir(self.now, end);
        }

        /// Tells whatever comes due within `time`.
        fn wait(&mut self, time: Duration) {
            let end = self.now + time;
            while let Some(due) = self.notices.deadline().filter(|due| *due <= end) {
                self.now = self.now.max(due);
                self.notices.tell(self.now, &self.stats);
            }
            self.now = end;
        }
    }

    #[test]
    fn a_hundred_thousand_deaths_are_a_handful_of_lines_and_none_is_left_out() {
        let lines = noted(Level::INFO, || {
            let mut shard = Shard::new();
            for _ in 0..100_000 {
                shard.end(End::Silent);
                shard.wait(Duration::from_micros(15));
            }
            shard.wait(SECOND);
        });
        assert!(lines.len() <= 4, "{lines:#?}");
        let died = |line: &String| -> u64 {
            let count = line.split("died=").nth(1).unwrap();
            count.split(' ').next().unwrap().parse().unwrap()
        };
        assert_eq!(lines.iter().map(died).sum::<u64>(), 100_000, "{lines:#?}");
    }

    #[test]
    fn the_first_death_is_told_at_once_and_the_others_with_their_causes() {
        let lines = noted(Level::INFO, || {
            let mut shard = Shard::new();
            shard.end(End::Reset);
            shard.wait(Duration::ZERO);
            shard.end(End::Silent);
            shard.end(End::Fin);
            shard.end(End::Violation);
            *shard.stats.refused.entry(Refusal::Full).or_default() += 7;
            shard.end(End::Refused);
            shard.wait(SECOND);
        });
        let [first, deaths, limits, full] = &lines[..] else { panic!("{lines:#?}") };
        assert!(first.ends_with("connections died died=1 reset=1"), "{first}");
        assert!(deaths.ends_with("connections died died=2 silent=1 fin=1"), "{deaths}");
        assert!(limits.ends_with("connections ended at a limit ended=1 violation=1"), "{limits}");
        assert!(full.contains("WARN") && full.ends_with("the server is full refused=7"), "{full}");
    }

    #[test]
    fn those_who_leave_politely_and_logs_that_nobody_reads_cost_no_deadline() {
        let mut shard = Shard::new();
        let lines = noted(Level::INFO, || shard.end(End::Closed));
        assert_eq!((lines.len(), shard.notices.deadline()), (0, None));
        let lines = noted(Level::WARN, || shard.end(End::Silent));
        assert_eq!((lines.len(), shard.notices.deadline()), (0, None));
    }

    #[test]
    fn what_is_untold_at_the_end_is_told_then() {
        let lines = noted(Level::INFO, || {
            let mut shard = Shard::new();
            shard.end(End::Silent);
            shard.notices.tell_rest(&shard.stats);
            shard.notices.tell_rest(&shard.stats);
        });
        assert_eq!(lines.len(), 1, "{lines:#?}");
    }
}
