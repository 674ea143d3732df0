//! Flags of `tune`.

use crate::units::{count, fleet, positive_duration, rate, share};
use clap::Args;
use halfopen_loadgen::tune::{CEILINGS, Ceiling};
use std::path::PathBuf;
use std::time::Duration;

/// Flags of `tune`.
#[derive(Debug, Args)]
pub(crate) struct Tune {
    /// How many connections are to be kept alive
    #[arg(short, long, value_name = "COUNT", value_parser = fleet)]
    pub connections: u64,
    /// Within which time a silent death is to be found, at the latest; or on average: 60s:mean
    #[arg(long, value_name = "TIME", value_parser = bound)]
    pub detect: Bound,
    /// What stands before the server, and ends who is silent or old: nginx, alb, api-gateway,
    /// cloudflare, gcp, azure
    #[arg(long, value_name = "NAME,…", value_delimiter = ',', value_parser = ceiling)]
    pub behind: Vec<String>,
    /// Messages that each client sends of its own: they can stand in for pings
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub inbound: Option<f64>,
    /// Silent deaths, over all connections [default: each connection once a day]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub deaths: Option<f64>,
    /// The share of packets that the path loses
    #[arg(long, value_name = "SHARE", default_value = "0.1%", value_parser = share)]
    pub loss: f64,
    /// The longest round trip of the path
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = positive_duration)]
    pub rtt: Duration,
    /// Try the recommended heartbeat, and put what is measured beside what is predicted
    ///
    /// Runs our own server and load on this machine, for about two intervals and the timeout.
    #[arg(long, conflicts_with = "inbound")]
    pub verify: bool,
    /// With how many connections it is tried [default: 10k, or all if there are fewer]
    #[arg(long, value_name = "COUNT", requires = "verify", value_parser = count::<100>)]
    pub scale: Option<u32>,
    /// A run whose round trips and costs are taken, instead of stated ones
    #[arg(long, value_name = "DIR")]
    pub measured: Option<PathBuf>,

    /// The folder in which the answer gets one of its own
    #[arg(short, long, value_name = "DIR", help_heading = "Output")]
    pub out: Option<PathBuf>,
    /// What the answer is called [default: tune]
    #[arg(long, value_name = "TEXT", help_heading = "Output")]
    pub name: Option<String>,
}

/// Within which time a death is to be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    pub time: Duration,
    /// On average, and not at the latest.
    pub is_mean: bool,
}

fn bound(text: &str) -> Result<Bound, String> {
    let (time, is_mean) = match text.split_once(':') {
        None => (text, false),
        Some((time, "max")) => (time, false),
        Some((time, "mean")) => (time, true),
        Some((_, other)) => {
            return Err(format!("'{other}' is not known: allowed are max and mean"));
        }
    };
    Ok(Bound { time: positive_duration(time)?, is_mean })
}

fn ceiling(text: &str) -> Result<String, String> {
    let name = [text.to_owned()];
    if Ceiling::named(&name).is_ok() {
        return Ok(text.into());
    }
    let mut names: Vec<_> = CEILINGS.iter().map(|ceiling| ceiling.name).collect();
    names.dedup();
    Err(format!("allowed are {}", names.join(" ")))
}
