//! What every measuring program tells in the same words: when, where, by which command, what is
//! claimed and held, and what is doubtful.

mod latency;
mod naps;

pub use latency::Latency;
pub use naps::Naps;

use crate::table::folder;
use crate::table::machine::Machine;
use crate::table::markdown::described;
use halfopen_loadgen::report::number::significant;
use halfopen_loadgen::sample::proc::{self, MachineTicks};
use rustix::param::clock_ticks_per_second;
use serde::Serialize;
use std::time::Instant;

/// What came of a program's measurements, as it is printed.
#[derive(Debug, Serialize)]
pub struct Report<M> {
    /// The name and version of this form.
    pub schema: &'static str,
    /// When the measurement began, RFC 3339.
    pub started: String,
    /// The command that measured.
    pub command: Vec<String>,
    /// Where.
    pub machine: Machine,
    /// The machine's own stops meanwhile; none where each measurement has its own.
    pub hiccups: Option<Latency>,
    /// How much of the cores' time the hypervisor gave to others meanwhile.
    pub steal_percent: Option<f64>,
    /// What makes the figures doubtful.
    pub doubts: Vec<String>,
    /// Each measurement.
    pub runs: Vec<M>,
    #[serde(skip)]
    begun: (Instant, Option<MachineTicks>),
}

/// A machine that stood still for longer than this is told of.
const HICCUP_MS_MAX: f64 = 20.0;

/// A hypervisor that took more than this is told of.
const STEAL_PERCENT_MAX: f64 = 1.0;

impl<M> Report<M> {
    /// A report of what `program` of these benches is about to measure here.
    ///
    /// # Errors
    /// The machine does not tell what it is.
    pub fn begin(schema: &'static str, program: &str) -> anyhow::Result<Self> {
        let machine = Machine::here()?;
        Ok(Self {
            schema,
            started: jiff::Timestamp::now().to_string(),
            command: folder::command(program),
            doubts: machine.doubt().into_iter().collect(),
            machine,
            hiccups: None,
            steal_percent: None,
            runs: Vec::new(),
            begun: (Instant::now(), proc::machine()),
        })
    }

    /// All has been measured; `hiccups` are those of the whole time, where they were watched.
    pub fn end(&mut self, hiccups: Option<Latency>) {
        self.hiccups = hiccups;
        self.steal_percent = self.steal();
        let worst = hiccups.and_then(|hiccups| hiccups.max_ms);
        if let Some(ms) = worst.filter(|&ms| ms > HICCUP_MS_MAX) {
            let doubt = "the machine itself stood still for up to";
            self.doubts.push(format!("{doubt} {} ms", significant(ms)));
        }
        if let Some(percent) = self.steal_percent.filter(|&percent| percent > STEAL_PERCENT_MAX) {
            let doubt = "of the cores' time went to others, by the hypervisor's will";
            self.doubts.push(format!("{} % {doubt}", significant(percent)));
        }
    }

    fn steal(&self) -> Option<f64> {
        let (since, before) = (self.begun.0, self.begun.1?);
        let after = proc::machine()?;
        let stolen = after.steal.saturating_sub(before.steal) as f64;
        let seconds = since.elapsed().as_secs_f64() * f64::from(after.cores);
        Some(100.0 * stolen / clock_ticks_per_second() as f64 / seconds)
    }

    /// The page down to the claims, of which each is made by [`claim`].
    pub(crate) fn page(
        &self,
        title: &str,
        how_to_read: &str,
        claims: impl Iterator<Item = String>,
    ) -> String {
        let place = if self.machine.vm == Some(true) { " in a VM" } else { "" };
        let mut page = format!(
            "# {title}, over loopback{place}\n\n{}, begun {}.{}{}\n\n{}```sh\n{}\n```\n\n{how_to_read}",
            described(&self.machine),
            self.started,
            self.stops(),
            self.steal_percent.map_or(String::new(), |percent| {
                format!(" The hypervisor gave {} % of the cores to others.", significant(percent))
            }),
            doubts(&self.doubts),
            self.command.join(" "),
        );
        let claims: String = claims.collect();
        if !claims.is_empty() {
            page += "| claim | measured | held |\n|---|---|---|\n";
            page += &claims;
        }
        page
    }

    fn stops(&self) -> String {
        let Some(Latency { p50_ms, p99_ms, p99_9_ms, max_ms, .. }) = self.hiccups else {
            return String::new();
        };
        let [p50, p99, p99_9, max] = [p50_ms, p99_ms, p99_9_ms, max_ms].map(milliseconds);
        format!(
            " The machine's own stops meanwhile: p50 {p50}, p99 {p99}, p99.9 {p99_9}, at most {max}."
        )
    }
}

/// A paragraph for each doubt.
pub(crate) fn doubts<'a>(doubts: impl IntoIterator<Item = &'a String>) -> String {
    doubts.into_iter().map(|doubt| format!("**Doubt**: {doubt}.\n\n")).collect()
}

/// `1.5 ms`, or a dash.
pub(crate) fn milliseconds(ms: Option<f64>) -> String {
    ms.map_or("–".into(), |ms| format!("{} ms", significant(ms)))
}

/// A line of the table of claims, of the run that `name` tells.
pub(crate) fn claim(name: &str, claim: &str, measured: &str, held: bool) -> String {
    let held = if held { "yes" } else { "**no**" };
    format!("| {name}: {claim} | {measured} | {held} |\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A report as of a machine that was so busy before.
    fn report(load_before: f64) -> Report<()> {
        let mut report = Report::<()>::begin("made-up/1", "made-up").unwrap();
        report.machine.load_before = Some(load_before);
        report.doubts = report.machine.doubt().into_iter().collect();
        report
    }

    #[test]
    fn a_busy_machine_and_its_stops_are_doubts_on_the_page() {
        let page = |report: &Report<()>| report.page("Nothing", "", std::iter::empty());
        let stops = |max_ms| Latency {
            count: 2_000,
            p50_ms: Some(0.1),
            p99_ms: Some(1.0),
            p99_9_ms: None,
            max_ms: Some(max_ms),
        };
        let mut quiet = report(0.99);
        quiet.end(Some(stops(19.0)));
        let said = quiet.doubts.iter().filter(|doubt| !doubt.contains("hypervisor"));
        assert_eq!(said.count(), 0, "{:?}", quiet.doubts);
        assert!(page(&quiet).contains("p99 1 ms, p99.9 –, at most 19 ms."), "{}", page(&quiet));

        let mut busy = report(52.33);
        busy.end(Some(stops(21.0)));
        let page = page(&busy);
        assert!(page.contains("**Doubt**: the machine was not quiet"), "{page}");
        assert!(page.contains("**Doubt**: the machine itself stood still for up to 21 ms."));
    }
}
