//! Connections that end by our own will and come back.

use crate::units::{amount, duration, rate};
use clap::Args;
use halfopen_loadgen::plan::{Amount, Backoff, Herd};
use std::time::Duration;

/// Flags of churn and herds, of `load`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Comings and goings")]
pub(crate) struct ReturningFlags {
    /// So many connections a second are closed politely and opened anew, as 100/s
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub churn: Option<f64>,
    /// Drop that share at once at that time after the ramp, as 50%@10s, and see when it is back
    ///
    /// They are dropped by RST and come back at the connect rate, or after --herd-backoff. Who
    /// fails tries again.
    #[arg(long, value_name = "SHARE@TIME", value_parser = herd)]
    pub herd: Option<Herd>,
    /// How long each of the herd waits before it comes back, at random: 1s..5s
    #[arg(long, value_name = "TIME..TIME", requires = "herd", value_parser = backoff)]
    pub herd_backoff: Option<Backoff>,
}

impl ReturningFlags {
    /// The herd with its backoff.
    pub(crate) fn herd(&self) -> Option<Herd> {
        self.herd.map(|herd| Herd { backoff: self.herd_backoff, ..herd })
    }
}

fn herd(text: &str) -> Result<Herd, String> {
    let wrong = "a herd is written as SHARE@TIME, such as 50%@10s";
    let (share, at) = text.split_once('@').ok_or(wrong)?;
    match amount(share)? {
        Amount::Share(share) if share > 0.0 => Ok(Herd { share, at: duration(at)?, backoff: None }),
        _ => Err(format!("{wrong}; the share is more than 0%")),
    }
}

fn backoff(text: &str) -> Result<Backoff, String> {
    let (least, most) = text.split_once("..").unwrap_or((text, text));
    let (least, most): (Duration, Duration) = (duration(least)?, duration(most)?);
    match least <= most {
        true => Ok(Backoff { least, most }),
        false => Err("a backoff goes from the least to the most, such as 1s..5s".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_herd_is_a_share_at_a_time() {
        let at = Duration::from_secs(10);
        assert_eq!(herd("50%@10s"), Ok(Herd { share: 0.5, at, backoff: None }));
        for (wrong, words) in [
            ("50%", "SHARE@TIME"),
            ("500@10s", "SHARE@TIME"),
            ("0%@1s", "more than 0%"),
            ("5%@x", "duration"),
        ] {
            let error = herd(wrong).unwrap_err();
            assert!(error.contains(words), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_backoff_is_a_range_or_one_time() {
        let secs = |least, most| Backoff {
            least: Duration::from_secs(least),
            most: Duration::from_secs(most),
        };
        assert_eq!(backoff("1s..5s"), Ok(secs(1, 5)));
        assert_eq!(backoff("2s"), Ok(secs(2, 2)));
        assert!(backoff("5s..1s").unwrap_err().contains("from the least"));
    }
}
