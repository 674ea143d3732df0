//! What a probe brings home, and the document that it becomes.

use super::diary::{Diary, How};
use super::document::{Connections, Detection, Document, Endings, SCHEMA};
use super::doubts::{self, Circumstances};
use super::verdict::{Verdict, Window};
use crate::report::schema::Tool;
use crate::stats::Summary;
use halfopen_wheel::Instant;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// What a probe brings home.
#[derive(Clone, Debug)]
pub struct Findings {
    /// What was probed.
    pub url: String,
    /// When it began.
    pub begun: Instant,
    /// When it took its leave.
    pub ended: Instant,
    /// What each connection has lived through.
    pub diaries: Vec<Diary>,
    /// Connections that could not be opened, by the reason.
    pub failed: BTreeMap<String, u64>,
    /// What a server said that refused.
    pub failure_example: Option<String>,
    /// Round trips.
    pub rtts: Vec<Duration>,
    /// The most by which our own loop was late.
    pub late: Duration,
    /// It was ended before its time.
    pub interrupted: bool,
    /// Messages were sent.
    pub talked: bool,
}

impl Findings {
    /// How many connections were opened.
    pub fn opened(&self) -> u64 {
        self.diaries.iter().filter(|diary| diary.opened.is_some()).count() as u64
    }

    /// Whether the server ended everybody at once, before anything was seen: after what time, and
    /// how.
    pub fn turned_away(&self) -> Option<(Duration, How)> {
        doubts::turned_away(&self.diaries)
    }

    /// The document. `git` is the commit that the program was built from, `started` the time of day
    /// when it began.
    pub fn document(&self, git: Option<String>, started: SystemTime) -> Document {
        let verdict = Verdict::of(&self.diaries, self.ended);
        let idle = verdict.idle_limit();
        Document {
            schema: SCHEMA.into(),
            tool: Tool::of(git),
            url: self.url.clone(),
            started: jiff::Timestamp::try_from(started).unwrap_or_default().to_string(),
            watched_s: self.watched().as_secs_f64(),
            complete: verdict.complete,
            connections: Connections {
                requested: self.diaries.len() as u64,
                opened: self.opened(),
                failed: self.failed.clone(),
            },
            pings: verdict.pings,
            interval_ms: summary(&verdict.intervals.seen),
            jitter_ms: verdict.intervals.jitter().map(ms),
            phase: verdict.phase(),
            timeout_ms: summary(&verdict.timeouts),
            ended_by: self.endings(),
            traffic_suppresses: verdict.traffic_suppresses(),
            idle_limit_ms: idle.map(|(after, _)| ms(after)),
            idle_counts: idle.and_then(|(_, counts)| counts),
            detection: detection(verdict.window()),
            rtt_ms: summary(&self.rtts),
            doubts: doubts::all(&verdict, &self.diaries, self.ended, self.circumstances()),
        }
    }

    fn watched(&self) -> Duration {
        self.ended.saturating_since(self.begun)
    }

    fn circumstances(&self) -> Circumstances {
        Circumstances {
            watched: self.watched(),
            failed: self.failed.values().sum(),
            late: self.late,
            interrupted: self.interrupted,
            talked: self.talked,
        }
    }

    /// How those were ended who left a ping unanswered.
    fn endings(&self) -> Endings {
        let mut endings = Endings::new();
        let silent = self.diaries.iter().filter(|diary| diary.first_unanswered().is_some());
        for end in silent.filter_map(|diary| diary.end.as_ref()) {
            *endings.entry(end.how.name()).or_default() += 1;
        }
        endings
    }
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn summary(times: &[Duration]) -> Summary {
    Summary::of_samples(&times.iter().copied().map(ms).collect::<Vec<_>>())
}

fn detection(window: Window) -> Detection {
    Detection { min_ms: window.min.map(ms), p50_ms: window.p50.map(ms), max_ms: window.max.map(ms) }
}
