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
    use halfopen_benches::cost::{Ladder, Run, Sides, Step, markdown, measure};
    use halfopen_benches::report::{Naps, Report};
    use halfopen_benches::table::folder;
    use std::path::PathBuf;
    use std::time::Duration;

    /// Measure the CPU of a heartbeat, both ends together, beside the floor program.
    ///
    /// Build both programs first: `cargo build --release -p halfopen -p halfopen-benches`. The
    /// machine is to do nothing else. A pair has three runs for every rate; a run takes the settling
    /// and the window, the time to connect (0.1 s for 1,000 connections, 1 s for 10,000, up to 10 s
    /// for 100,000) and half a second: with the defaults a pair takes about 30 s at 1,000, 40 s at
    /// 10,000 and three and a half minutes at 100,000, where `--rates 0,40k --zero-once` makes it one.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        /// Connections: a ladder, each step measured by itself.
        #[arg(long, value_delimiter = ',', default_value = "1k,10k,100k", value_parser = count)]
        connections: Vec<u32>,
        /// Heartbeats a second, over all connections; 0 is without.
        #[arg(long, value_delimiter = ',', default_value = "0,20k", value_parser = count)]
        rates: Vec<u32>,
        /// Measure the rate 0 in the first pair alone. With a million connections it takes half of the
        /// time, and what it tells of is less than a hundredth of the rest.
        #[arg(long)]
        zero_once: bool,
        /// How often the ladder of rates is gone over; one number for all steps, or one for each.
        #[arg(long, value_delimiter = ',', default_value = "20", value_parser = count)]
        pairs: Vec<u32>,
        /// Seconds of each run that count; one number for all steps, or one for each.
        #[arg(long, value_delimiter = ',', default_value = "3")]
        window: Vec<f64>,
        /// Seconds before them, when all are connected; at every rate more where five heartbeats of a
        /// connection that is pinged every 8 s or more often take more at one of them.
        #[arg(long, default_value_t = 1.0)]
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
        /// Where the folder `<date>-heartbeat-cost` is made.
        #[arg(long, default_value = "results")]
        out: PathBuf,
        /// Print the JSON document and write no folder.
        #[arg(long)]
        json: bool,
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
        let sides = cli.sides()?;
        let mut report = Report::begin("halfopen.heartbeat-cost/4", "heartbeat-cost")?;
        let naps = Naps::start()?;
        let outcome = (0..cli.connections.len()).try_for_each(|step| -> anyhow::Result<()> {
            let (setup, ladder) = cli.step(step)?;
            eprintln!("{} connections", setup.connections);
            let runs = measure(&sides, &setup, &ladder, progress)?;
            let step = Step::new(&setup, runs);
            report.doubts.extend(markdown::doubt(&step));
            report.runs.push(step);
            Ok(())
        });
        report.end(Some(naps.finish()));
        // What was measured before something failed is not lost.
        if !report.runs.is_empty() {
            let out = (!cli.json).then_some(&*cli.out);
            let page = markdown::page(&report);
            folder::publish(out, &report.started, "heartbeat-cost", &report, &page)?;
        }
        outcome
    }

    impl Cli {
        fn sides(&self) -> anyhow::Result<Sides> {
            let beside = |name| std::env::current_exe().map(|own| own.with_file_name(name));
            let program = self.halfopen.clone().map_or_else(|| beside("halfopen"), Ok)?;
            Ok(Sides {
                halfopen: Side::Halfopen { program, driver: self.driver.clone() },
                floor: Side::Floor { program: beside("floor")? },
            })
        }

        /// How a step is measured.
        fn step(&self, number: usize) -> anyhow::Result<(Setup, Ladder)> {
            let connections = self.connections[number];
            let window = self.window.get(number).or(self.window.last()).context("no window")?;
            let pairs = self.pairs.get(number).or(self.pairs.last()).context("no pairs")?;
            let setup = Setup {
                connections,
                rings: rings_for(connections),
                window: Duration::try_from_secs_f64(*window)?,
                settle: Duration::try_from_secs_f64(self.settle)?,
                cores: [self.cores[0], self.cores[1]],
            };
            let (rates, zero_once) = (self.rates.clone(), self.zero_once);
            let setup = setup.settled_at(&self.rates);
            Ok((setup, Ladder { rates, pairs: *pairs as usize, zero_once }))
        }
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
