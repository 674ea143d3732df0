//! What a heartbeat costs beside the floor; see `halfopen_benches::cost`.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("heartbeat-cost: io_uring is a thing of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::Context;
    use clap::Parser;
    use halfopen_benches::cost::sides::{Setup, Side, rings_for};
    use halfopen_benches::cost::{Report, Run, Sides, Step, markdown, measure};
    use std::path::{Path, PathBuf};
    use std::time::Duration;

    /// Measure the CPU of a heartbeat, both ends together, beside the floor program.
    ///
    /// Build both programs first: `cargo build --release -p halfopen -p halfopen-benches`. The
    /// machine is to do nothing else. A run takes some nine seconds and the time to connect (1 s
    /// for 10,000), and a pair has three runs for every rate.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        /// Connections: a ladder, each step measured by itself.
        #[arg(long, value_delimiter = ',', default_value = "10k", value_parser = count)]
        connections: Vec<u32>,
        /// Heartbeats a second, over all connections; 0 is without.
        #[arg(long, value_delimiter = ',', default_value = "0,10k,20k", value_parser = count)]
        rates: Vec<u32>,
        /// How often the ladder of rates is gone over; one number for all steps, or one for each.
        #[arg(long, value_delimiter = ',', default_value = "20", value_parser = count)]
        pairs: Vec<u32>,
        /// Seconds of each run that count.
        #[arg(long, default_value_t = 5.0)]
        window: f64,
        /// Seconds before them, when all are connected.
        #[arg(long, default_value_t = 2.0)]
        settle: f64,
        /// The cores of server and client.
        #[arg(long, num_args = 2, value_delimiter = ',', default_values_t = [0, 1])]
        cores: Vec<usize>,
        /// The driver of `halfopen serve`.
        #[arg(long, default_value = "io-uring")]
        driver: String,
        /// The `halfopen` program; by default the one beside this one.
        #[arg(long)]
        halfopen: Option<PathBuf>,
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
        /// Write `heartbeat-cost.json` and `heartbeat-cost.md` into this folder, after each step.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    }

    /// A number, or with `k` or `M` behind it thousands or millions.
    fn count(text: &str) -> Result<u32, String> {
        let (digits, unit) = match text.as_bytes().last() {
            Some(b'k') => (&text[..text.len() - 1], 1_000),
            Some(b'M') => (&text[..text.len() - 1], 1_000_000),
            _ => (text, 1),
        };
        let number = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(unit));
        number.ok_or_else(|| "a count is written 500, 10k or 1M".to_owned())
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        let cli = Cli::parse();
        let beside = |name| std::env::current_exe().map(|own| own.with_file_name(name));
        let program = cli.halfopen.clone().map_or_else(|| beside("halfopen"), Ok)?;
        let sides = Sides {
            halfopen: Side::Halfopen { program, driver: cli.driver.clone() },
            floor: Side::Floor { program: beside("floor")? },
        };
        let mut report = Report::new(cli.window, Vec::new());
        for (number, &connections) in cli.connections.iter().enumerate() {
            eprintln!("{connections} connections");
            let setup = Setup {
                connections,
                rings: rings_for(connections),
                window: Duration::try_from_secs_f64(cli.window)?,
                settle: Duration::try_from_secs_f64(cli.settle)?,
                cores: [cli.cores[0], cli.cores[1]],
            };
            let pairs = *cli.pairs.get(number).or(cli.pairs.last()).context("no pairs")?;
            let runs = measure(&sides, &setup, &cli.rates, pairs as usize, progress)?;
            report.steps.push(Step::new(&setup, runs));
            if let Some(out) = &cli.out {
                write(&report, out)?;
            }
        }
        let page = markdown::page(&report);
        if cli.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            println!("{page}");
        }
        Ok(())
    }

    fn write(report: &Report, out: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(out)?;
        let json = serde_json::to_string_pretty(report)?;
        std::fs::write(out.join("heartbeat-cost.json"), json + "\n")?;
        std::fs::write(out.join("heartbeat-cost.md"), markdown::page(report))?;
        Ok(())
    }

    fn progress(run: &Run) {
        let point = &run.point;
        let percent = |cpu_us: f64| cpu_us / point.window_s / 1e4;
        eprintln!(
            "pair {:>3}  {:<11} {:>7.0} heartbeats/s   server {:>5.2} %   client {:>5.2} %",
            run.pair + 1,
            format!("{:?}", run.column),
            point.heartbeats / point.window_s,
            percent(point.server_cpu_us),
            percent(point.client_cpu_us),
        );
    }
}
