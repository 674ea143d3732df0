//! Is the generator to be trusted here? What it publishes of a server whose delays are known,
//! because that server wrote them down, beside what was written down.

mod reference;
#[cfg(test)]
mod tests;

pub use reference::{Record, serve};

use crate::plan::{Between, Plan, Stall};
use crate::report::folder::pretty;
use crate::report::number::{count, millis};
use crate::report::schema::{Doubt, Env, Report, Tool};
use crate::report::text::table;
use crate::stats::{Summary, US};
use hdrhistogram::Histogram;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// The name of the schema.
pub const SCHEMA: &str = "halfopen.calibrate/1";

/// Published and recorded percentiles agree if they differ by no more than this share,
pub const SHARE_ALLOWED: f64 = 0.01;

/// or by no more than this.
pub const US_ALLOWED: f64 = 50.0;

/// A send is late from here on.
const LATE_MS: f64 = 5.0;

/// What is made of a stall may differ from it by this share: messages lie at some distance.
const STALL_SHARE: f64 = 0.05;

/// What came of a calibration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "halfopen.calibrate/1")]
pub struct Document {
    /// `halfopen.calibrate/1`.
    #[schemars(extend("const" = SCHEMA))]
    pub schema: String,
    /// The program that wrote this.
    pub tool: Tool,
    /// The command that was run.
    pub argv: Vec<String>,
    /// When it began (RFC 3339).
    pub started: String,
    /// Where it was run.
    pub env: Env,
    /// The reference server's shortest delay.
    pub delay_min_ms: f64,
    /// Its longest.
    pub delay_max_ms: f64,
    /// Connections to it.
    pub connections: u32,
    /// A run for each rate, and one with a stall.
    pub runs: Vec<Run>,
    /// Whether all that was published is what was recorded.
    pub trusted: bool,
}

/// One run beside the reference server's record of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    /// Messages a second.
    pub rate_per_s: f64,
    /// Messages that the generator sent.
    pub sent: u64,
    /// Those whose answers it measured.
    pub answered: u64,
    /// Those that the reference server answered.
    pub recorded: u64,
    /// Each percentile that has its samples.
    pub rows: Vec<Row>,
    /// The stall that the generator was made to have. Null: none.
    pub stall: Option<StallSeen>,
    /// How long the reference server's looks at its sockets took: a message may have waited for so
    /// long unrecorded.
    pub looks_us: Summary,
    /// What the generator's own report doubts.
    pub doubts: Vec<Doubt>,
    /// Why it is not to be trusted; empty: it is.
    pub faults: Vec<String>,
}

/// A percentile as it was recorded and as it was published.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// Which, as it is called in a report.
    pub percentile: String,
    /// By the reference server.
    pub recorded_us: f64,
    /// By the generator, from the actual send.
    pub service_us: f64,
    /// By the generator, from the intended send.
    pub latency_us: f64,
    /// By how much they may differ.
    pub allowed_us: f64,
}

/// What is to be seen of a stall of the generator.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StallSeen {
    /// How long no message was sent.
    pub lasted_ms: f64,
    /// Messages that were due meanwhile.
    pub due: u64,
    /// Messages that were sent late.
    pub sent_late: u64,
    /// How late the latest was sent.
    pub latest_ms: f64,
    /// The greatest latency, from the intended send.
    pub latency_max_ms: f64,
    /// The greatest service time, from the actual send.
    pub service_max_ms: f64,
}

/// A run that was measured, and the record of it.
#[derive(Debug)]
pub struct Seen<'a> {
    /// What was done.
    pub plan: &'a Plan,
    /// Its messages a second.
    pub rate_per_s: f64,
    /// What the generator publishes of it.
    pub report: &'a Report,
    /// How late its sends were, ns.
    pub send_late_ns: &'a Histogram<u64>,
    /// What the reference server wrote down.
    pub record: &'a Record,
}

impl Run {
    /// Holds what was published against the record.
    pub fn judge(seen: &Seen<'_>) -> Self {
        let messages = &seen.report.figures.messages;
        let recorded = Summary::of_histogram(&seen.record.delay_ns, US);
        let latency = messages.latency_us.unwrap_or_default();
        let mut run = Self {
            rate_per_s: seen.rate_per_s,
            sent: messages.sent,
            answered: messages.service_us.count,
            recorded: recorded.count,
            rows: rows(&recorded, &messages.service_us, &latency),
            stall: seen.plan.fault.stall.map(|stall| StallSeen::of(stall, seen)),
            looks_us: Summary::of_histogram(&seen.record.look_ns, US),
            doubts: seen.report.doubts.clone(),
            faults: Vec::new(),
        };
        run.faults = run.find_faults();
        run
    }

    fn find_faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let Self { sent, answered, recorded, .. } = *self;
        if [sent, answered] != [recorded; 2] || recorded == 0 {
            faults.push(format!(
                "{} messages were sent and {} answers measured, {} were recorded",
                count(sent),
                count(answered),
                count(recorded)
            ));
        }
        if self.rows.is_empty() {
            faults.push("no percentile has its samples: run it for longer".into());
        }
        for row in &self.rows {
            let mut held = |what: &str, us: f64| {
                if !row.allows(us) {
                    faults.push(format!(
                        "{} {what} is {}, recorded were {} (± {})",
                        row.percentile,
                        millis(us / 1e3),
                        millis(row.recorded_us / 1e3),
                        millis(row.allowed_us / 1e3)
                    ));
                }
            };
            held("from the actual send", row.service_us);
            // What was held up is late by more than was recorded, and has to be.
            if self.stall.is_none() {
                held("from the intended send", row.latency_us);
            }
        }
        faults.extend(self.stall.iter().flat_map(StallSeen::faults));
        faults
    }
}

impl Row {
    /// Whether the published figure is near enough to the record.
    pub fn allows(&self, us: f64) -> bool {
        (us - self.recorded_us).abs() <= self.allowed_us
    }
}

impl StallSeen {
    fn of(stall: Stall, seen: &Seen<'_>) -> Self {
        let messages = &seen.report.figures.messages;
        let late = seen.send_late_ns;
        let ms = |us: Option<f64>| us.unwrap_or(0.0) / 1e3;
        Self {
            lasted_ms: stall.lasts.as_secs_f64() * 1e3,
            due: (stall.lasts.as_secs_f64() * seen.rate_per_s).round() as u64,
            sent_late: late.count_between((LATE_MS * 1e6) as u64, u64::MAX),
            latest_ms: late.max() as f64 / 1e6,
            latency_max_ms: ms(messages.latency_us.and_then(|latency| latency.max)),
            service_max_ms: ms(messages.service_us.max),
        }
    }

    /// What of it is not to be seen where it has to be, or where it has not.
    fn faults(&self) -> Vec<String> {
        let near = |x: f64, wanted: f64| (x / wanted - 1.0).abs() <= STALL_SHARE;
        let latest = format!("the latest message was sent {} late", millis(self.latest_ms));
        let late = format!("{} messages were sent late, not {}", self.sent_late, self.due);
        let hidden = "no latency shows the stall".to_owned();
        let shown = format!("a service time of {} shows the stall", millis(self.service_max_ms));
        [
            (near(self.latest_ms, self.lasted_ms), latest),
            (near(self.sent_late as f64, self.due as f64), late),
            (self.latency_max_ms >= self.lasted_ms, hidden),
            (self.service_max_ms < self.lasted_ms, shown),
        ]
        .into_iter()
        .filter_map(|(held, fault)| (!held).then_some(fault))
        .collect()
    }
}

fn rows(recorded: &Summary, service: &Summary, latency: &Summary) -> Vec<Row> {
    type Of = fn(&Summary) -> Option<f64>;
    let percentiles: [(&str, Of); 5] = [
        ("p50", |summary| summary.p50),
        ("p90", |summary| summary.p90),
        ("p99", |summary| summary.p99),
        ("p99.9", |summary| summary.p99_9),
        ("p99.99", |summary| summary.p99_99),
    ];
    let row = |(name, of): (&str, Of)| {
        let recorded_us = of(recorded)?;
        Some(Row {
            percentile: name.into(),
            recorded_us,
            service_us: of(service)?,
            latency_us: of(latency)?,
            allowed_us: (recorded_us * SHARE_ALLOWED).max(US_ALLOWED),
        })
    };
    percentiles.into_iter().filter_map(row).collect()
}

/// How a calibration was done.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The command that was run.
    pub argv: Vec<String>,
    /// When it began.
    pub started: SystemTime,
    /// The commit that the program was built from.
    pub git: Option<String>,
    /// Between which times the reference server's delays lie.
    pub delay: Between,
    /// Connections to it.
    pub connections: u32,
}

impl Document {
    /// What came of `runs` on this machine.
    pub fn new(setup: Setup, runs: Vec<Run>) -> Self {
        let ms = |time: Duration| time.as_secs_f64() * 1e3;
        Self {
            schema: SCHEMA.into(),
            tool: Tool::of(setup.git),
            argv: setup.argv,
            started: jiff::Timestamp::try_from(setup.started).unwrap_or_default().to_string(),
            env: Env::here(true),
            delay_min_ms: ms(setup.delay.from),
            delay_max_ms: ms(setup.delay.to),
            connections: setup.connections,
            trusted: !runs.is_empty() && runs.iter().all(|run| run.faults.is_empty()),
            runs,
        }
    }

    /// As `--json` prints it.
    pub fn json(&self) -> String {
        pretty(self)
    }

    /// What `--out` leaves behind: a page with the table, the document, and its schema.
    pub fn files(&self) -> [(&'static str, String); 3] {
        [
            ("README.md", self.markdown()),
            ("calibrate.json", self.json()),
            ("calibrate.schema.json", pretty(&json_schema())),
        ]
    }

    /// What was done, in a sentence.
    pub fn about(&self) -> String {
        format!(
            "{} connections to a reference server that answers each message after {} to {}, and \
             writes down how long it really took.",
            count(self.connections.into()),
            millis(self.delay_min_ms),
            millis(self.delay_max_ms)
        )
    }

    /// What is to be thought of the generator.
    pub fn finding(&self) -> &'static str {
        match self.trusted {
            true => "Trusted: what was published is what was recorded.",
            false => "Not to be trusted here: what was published is not what was recorded.",
        }
    }

    fn markdown(&self) -> String {
        let Env { cpu, cores, kernel, .. } = &self.env;
        let mut text = format!(
            "# Is the generator to be trusted? ({})\n\n{}, {cores} cores, Linux {kernel}, version \
             {}{}, begun {}.\n\n```sh\n{}\n```\n\n{}\n\n{} A percentile agrees that differs by no \
             more than {} % or {US_ALLOWED} µs.\n\n",
            self.env.label(),
            cpu.as_deref().unwrap_or("an unknown CPU"),
            self.tool.version,
            self.tool.git.as_ref().map_or(String::new(), |git| format!(" ({git})")),
            self.started,
            self.argv.join(" "),
            self.finding(),
            self.about(),
            SHARE_ALLOWED * 100.0,
        );
        let rows: Vec<_> = self.runs.iter().flat_map(Run::cells).collect();
        let columns =
            ["messages/s", "percentile", "messages", "recorded", "service", "latency", "allowed"];
        text += &table(&columns, 2, &rows);
        text.push('\n');
        for run in &self.runs {
            run.stall.iter().for_each(|stall| text += &format!("{}\n\n", stall.words()));
            run.faults.iter().for_each(|fault| text += &format!("- {}: {fault}\n", run.name()));
            run.doubts
                .iter()
                .for_each(|doubt| text += &format!("- {}: {}\n", run.name(), doubt.message));
        }
        text
    }
}

impl Run {
    /// By what it is told from the others.
    pub fn name(&self) -> String {
        let stall = if self.stall.is_some() { ", stalled" } else { "" };
        format!("{}/s{stall}", count(self.rate_per_s as u64))
    }

    /// A line of the table for each percentile: the run, the percentile, samples, and the four
    /// times of the row.
    pub fn cells(&self) -> Vec<[String; 7]> {
        let ms = |us: f64| format!("{:.3} ms", us / 1e3);
        let line = |row: &Row| {
            [
                self.name(),
                row.percentile.clone(),
                count(self.recorded),
                ms(row.recorded_us),
                ms(row.service_us),
                ms(row.latency_us),
                ms(row.allowed_us),
            ]
        };
        self.rows.iter().map(line).collect()
    }
}

impl StallSeen {
    /// What is to be seen of it, in a sentence.
    pub fn words(&self) -> String {
        format!(
            "A stall of {}: {} messages were due meanwhile, {} were sent late, the latest by {}; the \
             greatest latency (from the intended send) {}, the greatest service time (from the \
             actual send) {}.",
            millis(self.lasted_ms),
            count(self.due),
            count(self.sent_late),
            millis(self.latest_ms),
            millis(self.latency_max_ms),
            millis(self.service_max_ms),
        )
    }
}

/// The schema as JSON Schema, draft 2020-12.
pub fn json_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Document>().to_value()
}
