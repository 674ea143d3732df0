//! The drivers beside each other, at the same work.
//!
//! Three pieces, each as somebody else would run it: `halfopen serve` under an [`echo`] load,
//! `halfopen lab` for memory and the dead, and the program `heartbeat-cost` for CPU a heartbeat
//! beside its floor. Echo and lab go round after round over all drivers, forth and back in turn, so
//! that a drift of the machine meets all alike; `heartbeat-cost` has rounds of its own inside.
//! `drivers-table` runs it and writes the page.

pub mod echo;
pub mod page;
mod programs;

use crate::table::machine::Machine;
use crate::table::spread::Spread;
use echo::Load;
pub use programs::{Programs, Work};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The result, as it is written.
#[derive(Debug, Serialize)]
pub struct Table {
    /// The name and version of this form.
    pub schema: &'static str,
    /// When it began (RFC 3339).
    pub started: String,
    /// What to type to measure the same.
    pub command: Vec<String>,
    /// Where.
    pub machine: Machine,
    /// What was done.
    pub work: Work,
    /// One for each driver.
    pub drivers: Vec<Driver>,
}

/// What one driver did.
#[derive(Debug, Serialize)]
pub struct Driver {
    /// Its name on the command line.
    pub driver: String,
    /// One for each size of message.
    pub echo: Vec<Echo>,
    /// The document of `heartbeat-cost`, without its single runs; none if it was left out.
    pub heartbeat: Option<Value>,
    /// Bytes of user space that the server needs for a connection.
    pub user_bytes: Option<Spread>,
    /// Bytes of kernel memory that both ends of a connection need.
    pub kernel_bytes: Option<Spread>,
    /// Living connections that were lost to the heartbeat, over all rounds.
    pub false_kills: u64,
    /// By kind.
    pub deaths: BTreeMap<String, Deaths>,
    /// What is doubtful, by the code of the doubt: in how many rounds.
    pub doubts: BTreeMap<String, u64>,
}

/// Echo of one size.
#[derive(Debug, Serialize)]
pub struct Echo {
    /// What was sent.
    pub load: Load,
    /// Messages that came back in a second.
    pub per_second: Spread,
    /// CPU of server and client a message, in µs.
    pub both_ends_us: Spread,
    /// The server's part of it.
    pub server_us: Spread,
    /// This driver's `both_ends_us` over the first driver's in the same round.
    pub ratio: Spread,
}

/// How one kind of death was found, over the rounds.
#[derive(Debug, Default, Serialize)]
pub struct Deaths {
    /// How many died.
    pub killed: u64,
    /// How many the server let go of.
    pub detected: u64,
    /// Of how many its kernel gave the memory back.
    pub reclaimed: u64,
    /// The median of each round, in ms.
    pub detection_p50_ms: Vec<Option<f64>>,
    /// The longest of each round, in ms.
    pub detection_max_ms: Vec<Option<f64>>,
    /// How late the server was by its own deadline, 99 in 100 of each round, in ms.
    pub lateness_p99_ms: Vec<Option<f64>>,
}

/// One round of one driver.
struct Round {
    echo: Vec<echo::Outcome>,
    report: Value,
}

/// Does the work on each driver, round after round.
///
/// # Errors
/// A program did not start, ended early, or lost connections.
pub fn measure(
    programs: &Programs,
    work: &Work,
    drivers: &[String],
    mut progress: impl FnMut(&str),
) -> anyhow::Result<Vec<Driver>> {
    let mut rounds: Vec<Vec<Round>> = drivers.iter().map(|_| Vec::new()).collect();
    for round in 0..work.rounds {
        let mut order: Vec<usize> = (0..drivers.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for number in order {
            let driver = &drivers[number];
            progress(&format!("round {} of {}: {driver}", round + 1, work.rounds));
            let loads = work.loads.iter();
            let echo =
                loads.map(|load| programs.echo(work, driver, load)).collect::<Result<_, _>>()?;
            rounds[number].push(Round { echo, report: programs.lab(work, driver)? });
        }
    }
    let mut results = Vec::new();
    for (driver, mine) in drivers.iter().zip(&rounds) {
        progress(&format!("heartbeats: {driver}"));
        let heartbeat = programs.heartbeat(work, driver)?;
        results.push(Driver::of(driver, work, mine, &rounds[0], heartbeat));
    }
    Ok(results)
}

impl Driver {
    fn of(
        driver: &str,
        work: &Work,
        rounds: &[Round],
        first: &[Round],
        heartbeat: Option<Value>,
    ) -> Self {
        let memory =
            |name| spread(rounds.iter().map(|round| round.report["memory"][name].as_f64()));
        let false_kills = rounds.iter().filter_map(|round| round.report["false_kills"].as_u64());
        Self {
            driver: driver.to_owned(),
            echo: (0..work.loads.len())
                .map(|number| Echo::of(work.loads[number], number, rounds, first))
                .collect(),
            heartbeat,
            user_bytes: memory("server_user_bytes_per_connection"),
            kernel_bytes: memory("kernel_bytes_per_connection_pair"),
            false_kills: false_kills.sum(),
            deaths: deaths(rounds.iter().map(|round| &round.report["deaths"])),
            doubts: doubts(rounds.iter().map(|round| &round.report["doubts"])),
        }
    }
}

impl Echo {
    fn of(load: Load, number: usize, rounds: &[Round], first: &[Round]) -> Self {
        let each = |of: fn(&echo::Outcome) -> f64| {
            rounds.iter().map(|round| of(&round.echo[number])).collect::<Vec<_>>()
        };
        let both = each(echo::Outcome::both_ends_us);
        let first = first.iter().map(|round| round.echo[number].both_ends_us());
        let ratio: Vec<_> = both.iter().zip(first).map(|(mine, first)| mine / first).collect();
        Self {
            load,
            per_second: Spread::of(&each(echo::Outcome::per_second)),
            server_us: Spread::of(&each(echo::Outcome::server_us)),
            both_ends_us: Spread::of(&both),
            ratio: Spread::of(&ratio),
        }
    }
}

/// Of the rounds in which it was measured.
fn spread(values: impl Iterator<Item = Option<f64>>) -> Option<Spread> {
    let values: Vec<f64> = values.flatten().collect();
    (!values.is_empty()).then(|| Spread::of(&values))
}

fn doubts<'a>(rounds: impl Iterator<Item = &'a Value>) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for doubt in rounds.filter_map(Value::as_array).flatten() {
        *all.entry(doubt["code"].as_str().unwrap_or("unnamed").to_owned()).or_default() += 1;
    }
    all
}

fn deaths<'a>(rounds: impl Iterator<Item = &'a Value>) -> BTreeMap<String, Deaths> {
    let mut all = BTreeMap::<String, Deaths>::new();
    for (kind, block) in rounds.filter_map(Value::as_object).flatten() {
        let deaths = all.entry(kind.clone()).or_default();
        let count = |name: &str| block[name].as_u64().unwrap_or(0);
        deaths.killed += count("killed");
        deaths.detected += count("detected");
        deaths.reclaimed += count("reclaimed");
        deaths.detection_p50_ms.push(block["detection_ms"]["p50"].as_f64());
        deaths.detection_max_ms.push(block["detection_ms"]["max"].as_f64());
        deaths.lateness_p99_ms.push(block["lateness_ms"]["p99"].as_f64());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn round(cpu: f64, user: Option<f64>) -> Round {
        let outcome = echo::Outcome {
            messages: 1_000,
            seconds: 2.0,
            server_cpu_us: cpu,
            client_cpu_us: 1_000.0,
        };
        let report = json!({
            "memory": { "server_user_bytes_per_connection": user },
            "false_kills": 1,
            "doubts": [{ "code": "hiccups" }],
            "deaths": { "freeze": {
                "killed": 5, "detected": 4, "reclaimed": 3,
                "detection_ms": { "p50": null, "max": 7.5 },
            } },
        });
        Round { echo: vec![outcome], report }
    }

    #[test]
    fn rounds_become_spreads_and_sums_and_what_was_not_measured_is_none() {
        let work = Work { loads: vec![Load { connections: 2, bytes: 20 }], ..Work::default() };
        let first = [round(1_000.0, Some(100.0)), round(3_000.0, None)];
        let mine = [round(2_000.0, Some(120.0)), round(7_000.0, None)];
        let driver = Driver::of("epoll", &work, &mine, &first, None);
        let echo = &driver.echo[0];
        assert_eq!((echo.per_second.median, echo.server_us.max), (500.0, 7.0));
        assert_eq!((echo.ratio.min, echo.ratio.max), (1.5, 2.0));
        assert_eq!(driver.user_bytes.map(|user| user.median), Some(120.0));
        assert_eq!((driver.kernel_bytes, driver.false_kills), (None, 2));
        assert_eq!(driver.doubts["hiccups"], 2);
        let freeze = &driver.deaths["freeze"];
        assert_eq!((freeze.killed, freeze.detected, freeze.reclaimed), (10, 8, 6));
        assert_eq!(freeze.detection_p50_ms, [None, None]);
        assert_eq!(freeze.detection_max_ms, [Some(7.5), Some(7.5)]);
    }
}
