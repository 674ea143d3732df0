//! Flags of `calibrate`, and of the server that it starts.

use super::deaths::between;
use super::{Cpus, cpus};
use crate::units::{OrOff, count, duration_or_off, positive_duration, rate};
use clap::Args;
use halfopen_loadgen::plan::Between;
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `calibrate`.
#[derive(Debug, Args)]
pub(crate) struct Calibrate {
    /// Messages a second; a run for each
    #[arg(
        long,
        value_name = "RATE,…",
        default_value = "10,1k,50k",
        value_delimiter = ',',
        value_parser = rate
    )]
    pub rates: Vec<f64>,
    /// How long each run takes, and up to 60 s until it has 600 messages: a percentile wants ten beyond it, and
    /// neighbours near it
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = positive_duration)]
    pub duration: Duration,
    /// How many connections
    #[arg(short, long, value_name = "COUNT", default_value = "1k", value_parser = count::<1>)]
    pub connections: u32,
    /// Between which times the reference server answers
    #[arg(long, value_name = "RANGE", default_value = "10ms..100ms", value_parser = delay)]
    pub delay: Between,
    /// For how long the generator sends nothing in the run with a stall, at 1,000 messages a
    /// second; or off
    #[arg(long, value_name = "TIME", default_value = "500ms", value_parser = duration_or_off)]
    pub stall: OrOff,
    /// Seeds the delays
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub seed: u64,

    /// The folder in which the result gets one of its own
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// What the result is called [default: calibrate]
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub name: Option<String>,

    /// Sleep before each send, unknown to every figure: it has to be found out
    #[arg(long, value_name = "TIME", hide = true, value_parser = positive_duration)]
    pub sabotage: Option<Duration>,
}

/// Flags of the reference server.
#[derive(Debug, Args)]
pub(crate) struct Reference {
    /// Between which times it answers
    #[arg(long, value_parser = delay)]
    pub delay: Between,
    /// Seeds the delays
    #[arg(long)]
    pub seed: u64,
    /// The cores to run on
    #[arg(long, value_parser = cpus)]
    pub cpu: Option<Cpus>,
}

fn delay(text: &str) -> Result<Between, String> {
    match between(text)? {
        delay if delay.from.is_zero() => Err("it must be more than zero".into()),
        delay => Ok(delay),
    }
}
