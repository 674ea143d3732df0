//! An echo in a closed loop: the `halfopen` program beside a floor that sends back what it gets.
//!
//! The client is the same for both, one process on a core of its own; so is the server. They are run
//! in turns, forth and back, with the floor a second time to tell what noise is.

use crate::cost::Column;
use crate::cost::slope::{Estimate, estimate, ratio};
use crate::process::Process;
use anyhow::{Context, ensure};
use serde::Serialize;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

/// What is said, and by how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Case {
    /// Connections.
    pub connections: u32,
    /// Bytes of text in a message.
    pub size: u32,
    /// Messages under way on each connection.
    pub window: u32,
}

/// What is the same in every run.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The `halfopen` program.
    pub halfopen: PathBuf,
    /// The `floor` program.
    pub floor: PathBuf,
    /// The driver of `halfopen serve`.
    pub driver: String,
    /// The time that counts.
    pub window: Duration,
    /// The time before it.
    pub settle: Duration,
    /// The cores of server and client.
    pub cores: [usize; 2],
}

/// What came of one run.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Run {
    /// In which pair.
    pub pair: usize,
    /// Whose.
    pub column: Column,
    /// Echoes a second.
    pub echoes_per_s: f64,
    /// CPU of the server a message, µs.
    pub server_us: f64,
    /// CPU of the client a message, µs.
    pub client_us: f64,
}

/// The order in a pair; in the next it is turned round.
const ORDER: [Column; 3] = [Column::Halfopen, Column::Floor, Column::FloorAgain];

/// Runs a case so many times in turns.
///
/// # Errors
/// A process did not start, or ended early, or does not echo.
pub fn measure(
    setup: &Setup,
    case: Case,
    pairs: usize,
    mut progress: impl FnMut(&Run),
) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for pair in 0..pairs {
        let mut order = ORDER;
        if pair % 2 == 1 {
            order.reverse();
        }
        for column in order {
            let run = setup.run(case, pair, column).with_context(|| format!("{column:?}"))?;
            progress(&run);
            runs.push(run);
        }
    }
    Ok(runs)
}

impl Setup {
    fn run(&self, case: Case, pair: usize, column: Column) -> anyhow::Result<Run> {
        let is_ours = column == Column::Halfopen;
        let mut serve = if is_ours { self.ours(case) } else { self.theirs(case) };
        let mut server = Process::start(self.cores[0], &mut serve)?;
        let line = server.line()?;
        let address = line.split([' ', '/']).rfind(|word| word.contains("127.0.0.1:"));
        let address = address.with_context(|| format!("no address in {line:?}"))?;
        let mut ask = Command::new(&self.floor);
        ask.args(["ask", address]).arg(format!("--connections={}", case.connections));
        ask.arg(format!("--window={}", case.window)).arg(format!("--size={}", case.size));
        if is_ours {
            ask.arg("--websocket");
        }
        let mut client = Process::start(self.cores[1], &mut ask)?;
        client.ask()?;
        sleep(self.settle);
        let (cpu_before, before) = (server.cpu()?, client.ask()?);
        sleep(self.window);
        let (cpu_after, after) = (server.cpu()?, client.ask()?);
        let done = after.since(&before);
        ensure!(done.pongs > 0, "nothing came back");
        let echoes = done.pongs as f64;
        Ok(Run {
            pair,
            column,
            echoes_per_s: echoes / self.window.as_secs_f64(),
            server_us: (cpu_after - cpu_before).as_secs_f64() * 1e6 / echoes,
            client_us: done.cpu_ns as f64 / 1e3 / echoes,
        })
    }

    fn ours(&self, case: Case) -> Command {
        let mut command = Command::new(&self.halfopen);
        command.args(["serve", "--listen=127.0.0.1:0", "--shards=1", "--ping-interval=off"]);
        command.arg(format!("--driver={}", self.driver));
        command.arg(format!("--max-connections={}", case.connections));
        command
    }

    fn theirs(&self, case: Case) -> Command {
        let mut command = Command::new(&self.floor);
        command.arg("echo").arg(format!("--connections={}", case.connections));
        command
    }
}

/// The result, as it is printed for `--json`.
#[derive(Debug, Serialize)]
pub struct Report {
    /// The name and version of this form.
    pub schema: &'static str,
    /// The release of the kernel.
    pub kernel: String,
    /// Seconds of a run that count.
    pub window_s: f64,
    /// Each case.
    pub cases: Vec<Outcome>,
    /// How many times as many echoes go with several messages under way as with one, of the same
    /// size: `halfopen`.
    pub pipelining: Vec<Pipelining>,
}

/// The result of a case.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Which.
    #[serde(flatten)]
    pub case: Case,
    /// How many pairs.
    pub pairs: usize,
    /// Echoes a second of `halfopen`.
    pub halfopen: Spread,
    /// Of the floor.
    pub floor: Spread,
    /// Echoes of `halfopen` over those of the floor.
    pub ratio: Estimate,
    /// The floor over itself.
    pub ratio_of_the_same: Estimate,
    /// The server's CPU a message, `halfopen` over the floor.
    pub server_cpu_ratio: Estimate,
    /// Every run.
    pub runs: Vec<Run>,
}

/// A middle and how far it goes to both sides.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

/// One message under way beside several.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Pipelining {
    /// Bytes of text in a message.
    pub size: u32,
    /// Messages under way.
    pub window: u32,
    /// The ratio of the medians.
    pub times: f64,
}

impl Report {
    /// Of these outcomes.
    pub fn new(window_s: f64, cases: Vec<Outcome>) -> Self {
        let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
        let pipelining = cases.iter().filter_map(|many| {
            let Case { connections, size, window } = many.case;
            let one = Case { connections, size, window: 1 };
            let single = cases.iter().find(|single| window > 1 && single.case == one)?;
            let times = many.halfopen.median / single.halfopen.median;
            Some(Pipelining { size, window, times })
        });
        let pipelining = pipelining.collect();
        Self { schema: "halfopen.echo-floor/1", kernel, window_s, cases, pipelining }
    }

    /// As a page to publish.
    pub fn markdown(&self) -> String {
        let mut out = format!(
            "# An echo in a closed loop, one server core, over loopback in a VM\n\n\
             Echoes a second, the median of the runs and in brackets the least and the greatest; \
             ratios of the means with their 95 % interval by the bootstrap over pairs. Linux {}, {} s \
             a run. The floor sends back the bytes that it gets, out of the buffer that they came \
             in.\n\n\
             | connections | bytes | window | pairs | halfopen | floor | halfopen / floor | floor / \
             floor | server CPU a message, halfopen / floor |\n\
             |---|---|---|---|---|---|---|---|---|\n",
            self.kernel, self.window_s
        );
        // Writing into a String does not fail.
        for outcome in &self.cases {
            let Case { connections, size, window } = outcome.case;
            let [ours, floor] = [outcome.halfopen, outcome.floor].map(|spread| spread.cell());
            let [over, same, cpu] =
                [&outcome.ratio, &outcome.ratio_of_the_same, &outcome.server_cpu_ratio].map(cell);
            let _ = writeln!(
                out,
                "| {connections} | {size} | {window} | {} | {ours} | {floor} | {over} | {same} | {cpu} |",
                outcome.pairs
            );
        }
        for Pipelining { size, window, times } in &self.pipelining {
            let _ = writeln!(
                out,
                "\nWith {window} messages of {size} B under way halfopen echoes {times:.1} times as \
                 many as with one."
            );
        }
        out
    }
}

impl Outcome {
    /// Draws the conclusions from a case's runs.
    pub fn new(case: Case, runs: Vec<Run>) -> Self {
        let of = |column, what: fn(&Run) -> f64| -> Vec<f64> {
            runs.iter().filter(|run| run.column == column).map(what).collect()
        };
        let [ours, floor, again] = ORDER.map(|column| of(column, |run| run.echoes_per_s));
        let [ours_cpu, floor_cpu, _] = ORDER.map(|column| of(column, |run| run.server_us));
        let pairs = ours.len();
        Self {
            case,
            pairs,
            halfopen: Spread::of(&ours),
            floor: Spread::of(&floor),
            ratio: estimate(pairs, |drawn| ratio(&ours, &floor, drawn)),
            ratio_of_the_same: estimate(pairs, |drawn| ratio(&again, &floor, drawn)),
            server_cpu_ratio: estimate(pairs, |drawn| ratio(&ours_cpu, &floor_cpu, drawn)),
            runs,
        }
    }
}

impl Spread {
    fn of(values: &[f64]) -> Self {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        let (middle, last) = (values.len() / 2, values.len() - 1);
        let median = (values[middle] + values[last - middle]) / 2.0;
        Self { median, least: values[0], greatest: values[last] }
    }

    fn cell(&self) -> String {
        let [median, least, greatest] =
            [self.median, self.least, self.greatest].map(|rate| format!("{:.1}k", rate / 1e3));
        format!("{median} ({least} to {greatest})")
    }
}

fn cell(estimate: &Estimate) -> String {
    let Estimate { value, low, high } = estimate;
    format!("{value:.3} ({low:.3} to {high:.3})")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(window: u32, ours: f64) -> Outcome {
        let run = |pair: usize, column, echoes_per_s| {
            let drift = 1.0 + pair as f64 / 10.0;
            let echoes_per_s = echoes_per_s * drift;
            Run { pair, column, echoes_per_s, server_us: 1.0, client_us: 1.0 }
        };
        let runs = (0..4).flat_map(|pair| {
            let rates = [ours, 1_000.0, 1_000.0];
            ORDER.into_iter().zip(rates).map(move |(column, rate)| run(pair, column, rate))
        });
        Outcome::new(Case { connections: 200, size: 20, window }, runs.collect())
    }

    #[test]
    fn what_moves_both_moves_no_ratio_and_pipelining_is_compared_with_its_own_size() {
        let report = Report::new(1.0, vec![outcome(1, 950.0), outcome(16, 9_500.0)]);
        let Estimate { value, low, high } = report.cases[0].ratio;
        assert!([value, low, high].iter().all(|ratio| (ratio - 0.95).abs() < 1e-9));
        assert!((report.cases[0].floor.median - 1_150.0).abs() < 1e-9);
        assert_eq!(report.pipelining.len(), 1);
        assert!((report.pipelining[0].times - 10.0).abs() < 1e-9);
        let page = report.markdown();
        assert!(page.contains("| 200 | 20 | 1 | 4 | 1.1k (0.9k to 1.2k) |"), "{page}");
    }
}
