//! Who dies, how, when, and how long the dead are watched.

use crate::units::{OrAuto, amount, duration, duration_or_auto, nearest, positive_duration};
use clap::{Args, ValueEnum};
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Amount, Between, KillTimes};
use std::time::Duration;

/// Flags of deaths, of `lab` and `load`.
#[derive(Debug, Args)]
#[command(next_help_heading = "Deaths")]
pub(crate) struct DeathFlags {
    /// How many die in which way: close fin reset freeze mute vanish blackhole; or are not dead,
    /// and tried: slow flap; or none
    ///
    /// close: leaves politely. fin: the program ends. reset: the program is killed with data
    /// unread. freeze: the program hangs. mute: it reads on and never answers a ping. vanish: the
    /// host reboots, and answers the next ping with RST (wants CAP_NET_ADMIN). blackhole: cable,
    /// NAT or radio is gone, and nothing arrives any more. Not dead are slow, who answers each ping
    /// late (--pong-delay), and flap, at whom nothing arrives for a while (--flap-for): it is
    /// counted how many of them the server gives up. Several may follow each other: --kill
    /// fin=10 freeze=5%. If nothing is said, load kills nobody, and lab kills blackhole=1000
    /// freeze=1000 fin=100 reset=100 close=100.
    #[arg(long, value_name = "KIND=COUNT|SHARE", value_parser = kill)]
    pub kill: Vec<KillAmount>,
    /// When, counted from the end of the ramp; auto: when all have answered a ping
    #[arg(long, value_name = "TIME", default_value = "auto", value_parser = duration_or_auto)]
    pub kill_at: OrAuto<Duration>,
    /// Over how long a time the deaths are spread
    #[arg(long, value_name = "TIME", default_value = "0s", value_parser = duration)]
    pub kill_over: Duration,
    /// How the deaths lie in that time
    #[arg(long, value_name = "HOW", default_value = "even")]
    pub kill_times: Times,
    /// How late a slow one answers each ping: one time, or drawn between two (500ms..2s)
    #[arg(long, value_name = "TIME|RANGE", default_value = "500ms", value_parser = between)]
    pub pong_delay: Between,
    /// How long nothing arrives at a flap
    #[arg(long, value_name = "TIME", default_value = "4s", value_parser = positive_duration)]
    pub flap_for: Duration,
    /// Have the blackholed come back, each at an age of its own in this range (1s..15s), and tell
    /// whether they were found by then; off; auto: where the server's sockets cannot be seen
    #[arg(long, value_name = "RANGE", default_value = "auto", value_parser = revival)]
    pub revive: Revival,
    /// How long the dead are watched; auto: until all are found, or are overdue
    #[arg(long, value_name = "TIME", default_value = "auto", value_parser = duration_or_auto)]
    pub watch: OrAuto<Duration>,
}

/// How deaths lie in the time over which they are spread, as it is typed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Times {
    /// At equal distances
    Even,
    /// At random
    Poisson,
}

impl From<Times> for KillTimes {
    fn from(times: Times) -> Self {
        match times {
            Times::Even => Self::Even,
            Times::Poisson => Self::Poisson,
        }
    }
}

/// Whether the blackholed come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Revival {
    /// Where the server's sockets cannot be seen.
    Auto,
    /// Never.
    Off,
    /// At these ages.
    At(Between),
}

/// A time, or two with dots between them.
pub(super) fn between(text: &str) -> Result<Between, String> {
    let Some((from, to)) = text.split_once("..") else {
        return duration(text).map(Between::always);
    };
    match (duration(from)?, duration(to)?) {
        (from, to) if from <= to => Ok(Between { from, to }),
        _ => Err("a range goes from the lesser to the greater, such as 500ms..2s".into()),
    }
}

fn revival(text: &str) -> Result<Revival, String> {
    match text {
        "auto" => Ok(Revival::Auto),
        "off" => Ok(Revival::Off),
        _ => between(text).map(Revival::At).map_err(|e| format!("{e}, or auto, or off")),
    }
}

impl DeathFlags {
    /// The ages at which the blackholed come back, as far as they were said.
    pub(crate) fn revive(&self) -> Option<Between> {
        match self.revive {
            Revival::At(ages) => Some(ages),
            Revival::Auto | Revival::Off => None,
        }
    }
}

/// So many die in that way; or, said as `none`, nobody dies at all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum KillAmount {
    /// Nobody.
    None,
    /// So many, in that way.
    Some(Death, Amount),
}

fn kill(text: &str) -> Result<KillAmount, String> {
    if text == "none" {
        return Ok(KillAmount::None);
    }
    let Some((kind, how_many)) = text.split_once('=') else {
        return Err(
            "allowed are KIND=COUNT and KIND=SHARE, such as freeze=1000 fin=10%, or none".into()
        );
    };
    let amount = amount(how_many)?;
    match Death::ALL.into_iter().find(|death| death.name() == kind) {
        Some(death) => Ok(KillAmount::Some(death, amount)),
        None => Err(unknown_death(kind)),
    }
}

fn unknown_death(kind: &str) -> String {
    let names = Death::ALL.map(Death::name);
    let meant = nearest(kind, names).map_or(String::new(), |near| format!(" (is '{near}' meant?)"));
    format!("no death is called '{kind}'{meant}: allowed are {}", names.join(" "))
}

/// Who dies, of `connections`.
///
/// # Errors
/// A way is named twice, or more would die than there are.
pub(crate) fn kills(
    given: &[KillAmount],
    connections: u32,
) -> Result<Vec<(Death, Amount)>, String> {
    let mut kills: Vec<(Death, Amount)> = Vec::new();
    for kill in given {
        let &KillAmount::Some(death, amount) = kill else { continue };
        if kills.iter().any(|(named, _)| *named == death) {
            return Err(format!("--kill names {} twice", death.name()));
        }
        kills.push((death, amount));
    }
    kills.retain(|(_, amount)| of(*amount, connections) > 0);
    let victims: u64 = kills.iter().map(|(_, amount)| of(*amount, connections)).sum();
    if victims > u64::from(connections) {
        return Err(format!("--kill names {victims} victims of {connections} connections"));
    }
    Ok(kills)
}

fn of(amount: Amount, all: u32) -> u64 {
    match amount {
        Amount::Count(count) => count.into(),
        Amount::Share(share) => (f64::from(all) * share).round() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_times_is_read() {
        let ms = Duration::from_millis;
        assert_eq!(between("500ms"), Ok(Between::always(ms(500))));
        assert_eq!(between("500ms..2s"), Ok(Between { from: ms(500), to: ms(2_000) }));
        assert!(between("2s..1s").unwrap_err().contains("from the lesser"));
        assert!(between("1s..").is_err() && between("..1s").is_err());
        assert_eq!(revival("off"), Ok(Revival::Off));
        assert!(revival("never").unwrap_err().contains("or auto, or off"));
    }

    #[test]
    fn kills_are_counts_or_shares_of_the_connections() {
        let given = [kill("blackhole=10%").unwrap(), kill("fin=7").unwrap()];
        let expected = [(Death::Blackhole, Amount::Share(0.1)), (Death::Fin, Amount::Count(7))];
        assert_eq!(kills(&given, 2_000).unwrap(), expected);
    }

    #[test]
    fn nobody_dies_if_none_is_said() {
        assert_eq!(kills(&[kill("none").unwrap()], 10).unwrap(), []);
        assert_eq!(kills(&[kill("fin=0").unwrap()], 10).unwrap(), []);
    }

    #[test]
    fn wrong_kills_are_refused_with_the_nearest_name() {
        let cases = [
            ("frezze=10", "'freeze' meant?"),
            ("blackhole", "KIND=COUNT"),
            ("vansh=10", "'vanish' meant?"),
            ("fin=lots", "not a count"),
            ("zzz=1", "allowed are close fin reset freeze mute vanish blackhole slow flap"),
        ];
        for (text, words) in cases {
            let error = kill(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn more_victims_than_connections_are_refused() {
        let both = [kill("fin=6").unwrap(), kill("mute=5").unwrap()];
        assert!(kills(&both, 10).unwrap_err().contains("11 victims"));
        let twice = [kill("fin=1").unwrap(), kill("fin=1").unwrap()];
        assert!(kills(&twice, 10).unwrap_err().contains("twice"));
    }
}
