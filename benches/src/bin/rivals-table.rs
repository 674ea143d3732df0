//! Framing beside other libraries; see `halfopen_benches::table`.

use clap::Parser;
use halfopen_benches::table::folder;
use halfopen_benches::table::machine::Machine;
use halfopen_benches::table::rounds::{BENCHES, Plan, run};
use halfopen_benches::table::{Bench, Table, claim, markdown};
use std::env;
use std::path::PathBuf;
use std::time::Duration;

/// Measure the framing benches beside other libraries, and write the table.
///
/// The benches are built with their rivals and run round after round; the machine is to do nothing
/// else. All of it takes about a quarter of an hour, and the build before it some minutes.
#[derive(Parser)]
#[command(version)]
struct Cli {
    /// Only this bench; may be given several times.
    #[arg(long, value_parser = BENCHES)]
    bench: Vec<String>,
    /// Only ids in which this regular expression is found.
    #[arg(long)]
    filter: Option<String>,
    /// How often everything is measured.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Milliseconds of each id that count.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..))]
    measurement_ms: u64,
    /// Milliseconds before them.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..))]
    warm_up_ms: u64,
    /// Two rounds as short as can be: shows that it works, and measures nothing.
    #[arg(long)]
    quick: bool,
    /// The cargo profile to build with; another than this shows only that it works.
    #[arg(long, default_value = "bench")]
    profile: String,
    /// Where the folder `<date>-framing` is made.
    #[arg(long, default_value = "results")]
    out: PathBuf,
    /// Print the JSON document and write no folder.
    #[arg(long)]
    json: bool,
}

impl Cli {
    fn plan(&self) -> Plan {
        let all = || BENCHES.map(str::to_owned).to_vec();
        let millis = |ms| Duration::from_millis(if self.quick { 1 } else { ms });
        Plan {
            benches: if self.bench.is_empty() { all() } else { self.bench.clone() },
            rounds: if self.quick { 2 } else { self.rounds as usize },
            warm_up: millis(self.warm_up_ms),
            measurement: millis(self.measurement_ms),
            filter: self.filter.clone(),
            profile: self.profile.clone(),
        }
    }
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let plan = cli.plan();
    let (started, machine) = (jiff::Timestamp::now(), Machine::here()?);
    let readings = run(&plan)?;
    let benches = Bench::all(&readings);
    let table = Table {
        schema: "halfopen.framing/1",
        started: started.to_string(),
        command: command(),
        machine,
        rounds: plan.rounds,
        claims: claim::all(&benches),
        benches,
    };
    let out = (!cli.json).then_some(&*cli.out);
    folder::publish(out, &table.started, "framing", &table, &markdown::page(&table))
}

/// What to type to measure the same.
fn command() -> Vec<String> {
    let cargo = "cargo run --release -p halfopen-benches --bin rivals-table --";
    cargo.split(' ').map(str::to_owned).chain(env::args().skip(1)).collect()
}
