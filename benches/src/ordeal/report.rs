//! What is told of every ordeal in the same words.

use super::Latency;
use crate::table::folder;
use crate::table::machine::Machine;
use crate::table::markdown::described;
use halfopen_loadgen::report::number::{count, significant};
use serde::Serialize;

/// What came of an ordeal, as it is printed.
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
    /// Each measurement.
    pub runs: Vec<M>,
}

impl<M> Report<M> {
    /// A report of what `program` of these benches is about to measure here.
    ///
    /// # Errors
    /// The machine does not tell what it is.
    pub fn begin(schema: &'static str, program: &str) -> anyhow::Result<Self> {
        Ok(Self {
            schema,
            started: jiff::Timestamp::now().to_string(),
            command: folder::command(program),
            machine: Machine::here()?,
            runs: Vec::new(),
        })
    }

    /// The page down to the claims.
    pub(super) fn page(
        &self,
        title: &str,
        how_to_read: &str,
        claims: impl Iterator<Item = String>,
    ) -> String {
        let (machine, command) = (described(&self.machine), self.command.join(" "));
        let claims: String = claims.collect();
        format!(
            "# {title}\n\n{machine}, begun {}.\n\n```sh\n{command}\n```\n\n{how_to_read}\
             | claim | measured | held |\n|---|---|---|\n{claims}",
            self.started
        )
    }
}

/// A line of a table of latencies.
pub(super) fn row(name: &str, latency: &Latency) -> String {
    let ms = |ms: Option<f64>| ms.map_or("–".into(), |ms| format!("{} ms", significant(ms)));
    let Latency { count: samples, p50_ms, p99_ms, p99_9_ms, max_ms } = *latency;
    let cells = [p50_ms, p99_ms, p99_9_ms, max_ms].map(ms).join(" | ");
    format!("| {name} | {} | {cells} |", count(samples))
}

/// A line of the table of claims, of the run that `name` tells.
pub(super) fn claim(name: &str, claim: &str, measured: &str, held: bool) -> String {
    let held = if held { "yes" } else { "**no**" };
    format!("| {name}: {claim} | {measured} | {held} |\n")
}
