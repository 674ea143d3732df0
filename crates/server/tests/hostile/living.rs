//! Somebody who talks with the server all the time, on a thread of its own, and looks at the clock.

use crate::rig::{CLOSE, Frame, PING, PONG, Raw, TEXT, frame, wait_until};
use halfopen_server::Server;
use hdrhistogram::Histogram;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

/// How long one answer may take at the most. Generous: a busy machine may keep anybody waiting for
/// a core, and a single answer says nothing else.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);

/// How much later nine answers in ten may come under attack than before it; and before it, how late.
/// On a busy machine it is some milliseconds, which are waits for a core; the bound is for a server
/// that lets the crowd go first.
const ADDED_MAX: Duration = Duration::from_millis(100);

/// And how much longer nine moments in ten may wait: who stands still for a second of a short attack
/// does not pass, though it is but one answer.
const MOMENTS_ADDED_MAX: Duration = Duration::from_millis(400);

/// How much later every other answer may come. Beside a dozen busy jobs on two cores the median is some
/// 50 µs as well, and 2 ms once in three hundred rounds; but a machine may be busier still.
const MEDIAN_ADDED_MAX: Duration = Duration::from_millis(20);

/// So many answers it has before the attack: ten of them lie beyond the ninth decile.
const QUIET: u64 = 100;

/// So many more it has in each round of an attack, however short that is.
const ROUND: u64 = 25;

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_micros(500);

pub(crate) struct Living {
    word: Arc<Word>,
    thread: JoinHandle<Talk>,
}

/// What the two threads tell each other.
#[derive(Default)]
struct Word {
    answers: AtomicU64,
    is_attacked: AtomicBool,
    leaves: AtomicBool,
}

/// What one has found who talked.
struct Talk {
    /// Before the attack, and from then on.
    quiet: Latencies,
    attacked: Latencies,
    /// The server closed with this code.
    closed: Option<u16>,
}

/// How long answers took, µs.
struct Latencies {
    answers: Histogram<u64>,
    /// With those that somebody would have waited for who did not wait for an answer before the next
    /// question: one long wait is a single answer, and weighs here by its length.
    moments: Histogram<u64>,
}

impl Latencies {
    fn new() -> Self {
        let empty = || Histogram::new_with_bounds(1, 60_000_000, 2).unwrap();
        Self { answers: empty(), moments: empty() }
    }

    fn note(&mut self, took: Duration) {
        let (took, pause) = (took.as_micros() as u64, PAUSE.as_micros() as u64);
        self.answers.saturating_record(took);
        self.moments.record_correct(took.min(self.moments.high()), pause).expect("it is in bounds");
    }

    /// How long half of the answers took, and nine in ten; and what nine moments in ten had to wait.
    fn judged(&self) -> [Duration; 3] {
        let at = |latencies: &Histogram<u64>, share| {
            Duration::from_micros(latencies.value_at_quantile(share))
        };
        [at(&self.answers, 0.5), at(&self.answers, 0.9), at(&self.moments, 0.9)]
    }
}

impl Living {
    /// Comes, and has talked for a while when this returns.
    pub(crate) fn open(server: &Server) -> Self {
        let client = Raw::open(server);
        client.stream.set_read_timeout(Some(ANSWER)).unwrap();
        let word = Arc::new(Word::default());
        let heard = word.clone();
        let living = Self { thread: std::thread::spawn(move || Talk::with(client, &heard)), word };
        living.is_answered(QUIET);
        living
    }

    /// What it waits for from now on, it waits for under attack.
    pub(crate) fn is_attacked(&self) {
        self.word.is_attacked.store(true, Relaxed);
    }

    /// Waits for answers to what is asked from now on.
    pub(crate) fn is_served(&self) {
        self.is_answered(ROUND);
    }

    fn is_answered(&self, times: u64) {
        // The next answer may be to what was asked before.
        let enough = self.answers() + times + 1;
        wait_until("answers to the living one", || {
            assert!(!self.thread.is_finished(), "the living one was not answered in {ANSWER:?}");
            self.answers() >= enough
        });
    }

    /// How often it was answered until now.
    pub(crate) fn answers(&self) -> u64 {
        self.word.answers.load(Relaxed)
    }

    /// Ends it, and judges what it had to wait for.
    pub(crate) fn leave(self, server: &str) {
        self.is_served();
        self.word.leaves.store(true, Relaxed);
        let talk = self.thread.join().expect("the living one was answered in time, each time");
        assert_eq!(talk.closed, None, "{server}");
        talk.judge(server);
    }

    /// Waits until the server has closed its connection as one that goes away, and judges.
    pub(crate) fn await_farewell(self, server: &str) {
        let talk = self.thread.join().expect("the living one was answered in time, each time");
        assert_eq!(talk.closed, Some(1001), "{server}");
        talk.judge(server);
    }
}

impl Talk {
    /// Talks until it shall leave or is closed.
    fn with(mut client: Raw, word: &Word) -> Self {
        let mut talk = Self { quiet: Latencies::new(), attacked: Latencies::new(), closed: None };
        while !word.leaves.load(Relaxed) {
            let is_attacked = word.is_attacked.load(Relaxed);
            let asked = Instant::now();
            talk.closed = ask(&mut client);
            if talk.closed.is_some() {
                break;
            }
            let latencies = if is_attacked { &mut talk.attacked } else { &mut talk.quiet };
            latencies.note(asked.elapsed());
            word.answers.fetch_add(1, Relaxed);
            sleep(PAUSE);
        }
        talk
    }

    fn judge(&self, server: &str) {
        let name = named(server);
        for (when, latencies) in [("quiet", &self.quiet), ("attacked", &self.attacked)] {
            let [p50, p90, moments] = latencies.judged();
            let (count, max) = (latencies.answers.len(), latencies.answers.max());
            println!(
                "{name}, {when}: {count} answers, p50 {p50:?} p90 {p90:?} max {max} µs; \
                 nine moments in ten {moments:?}"
            );
        }
        let quiet = self.quiet.judged();
        for (quiet, added_max) in quiet.into_iter().zip([MEDIAN_ADDED_MAX, ADDED_MAX]) {
            assert!(quiet <= added_max, "{server}: answers take {quiet:?} before anybody attacks");
        }
        let bounds = [MEDIAN_ADDED_MAX, ADDED_MAX, MOMENTS_ADDED_MAX];
        let waits = quiet.into_iter().zip(self.attacked.judged());
        for ((quiet, attacked), added_max) in waits.zip(bounds) {
            assert!(
                attacked <= quiet + added_max,
                "{server}: answers take {attacked:?}, not {quiet:?}"
            );
        }
    }
}

/// What a test prints about a server begins so.
pub(crate) fn named(server: &str) -> String {
    format!("{}, {server}", std::thread::current().name().unwrap_or("a test"))
}

/// Asks, and waits for the answer; the server's pings are answered meanwhile. Its code, if it closes.
fn ask(client: &mut Raw) -> Option<u16> {
    client.send(&frame(TEXT, b"alive?"));
    loop {
        match client.frame() {
            Frame { first: PING, payload } => client.send(&frame(PONG, &payload)),
            close @ Frame { first: CLOSE, .. } => {
                let _ = client.stream.write_all(&frame(CLOSE, &close.payload));
                return close.close_code();
            }
            answer => {
                assert_eq!(answer, Frame::new(TEXT, b"alive?"));
                return None;
            }
        }
    }
}
