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
    use clap::Parser;
    use halfopen_benches::cost::sides::{Setup, Side};
    use halfopen_benches::cost::slope::Estimate;
    use halfopen_benches::cost::{Columns, Report, Run, Sides, measure};
    use std::path::PathBuf;
    use std::time::Duration;

    /// Measure the CPU of a heartbeat, both ends together, beside the floor program.
    ///
    /// Build both programs first: `cargo build --release -p halfopen -p halfopen-benches`. The
    /// machine is to do nothing else. A run takes about nine seconds, and a block has six runs for
    /// every rate.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        /// Connections, from one address.
        #[arg(long, default_value_t = 10_000)]
        connections: u32,
        /// Heartbeats a second, over all connections; 0 is without.
        #[arg(long, value_delimiter = ',', default_value = "0,5000,10000,20000")]
        rates: Vec<u32>,
        /// How often the ladder of rates is gone over.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
        blocks: u32,
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
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        let cli = Cli::parse();
        let setup = Setup {
            connections: cli.connections,
            window: Duration::try_from_secs_f64(cli.window)?,
            settle: Duration::try_from_secs_f64(cli.settle)?,
            cores: [cli.cores[0], cli.cores[1]],
        };
        let beside = |name| std::env::current_exe().map(|own| own.with_file_name(name));
        let program = cli.halfopen.map_or_else(|| beside("halfopen"), Ok)?;
        let sides = Sides {
            halfopen: Side::Halfopen { program, driver: cli.driver },
            floor: Side::Floor { program: beside("floor")? },
        };
        let runs = measure(&sides, &setup, &cli.rates, cli.blocks as usize, progress)?;
        let report = Report::new(&setup, runs);
        if cli.json {
            println!("{}", serde_json::to_string_pretty(&report)?);
        } else {
            print(&report);
        }
        Ok(())
    }

    fn progress(run: &Run) {
        let point = &run.point;
        let percent = |cpu_us: f64| cpu_us / point.window_s / 1e4;
        eprintln!(
            "block {}  {:<11} {:>7.0} heartbeats/s   server {:>5.2} %   client {:>5.2} %",
            run.block + 1,
            format!("{:?}", run.column),
            point.heartbeats / point.window_s,
            percent(point.server_cpu_us),
            percent(point.client_cpu_us),
        );
    }

    fn print(report: &Report) {
        println!(
            "CPU a heartbeat over loopback in µs, {} connections, {} blocks, 95 % intervals",
            report.connections, report.blocks,
        );
        println!("{:<12}{:>24}{:>24}{:>24}", "", "halfopen", "floor", "floor again");
        row("both ends", &report.both_ends_us);
        row("server", &report.server_us);
        row("client", &report.client_us);
        println!("halfopen / floor     {}", cell(&report.ratio));
        println!("floor / floor        {}", cell(&report.ratio_of_the_same));
    }

    fn row(name: &str, columns: &Columns) {
        let [halfopen, floor, again] =
            [&columns.halfopen, &columns.floor, &columns.floor_again].map(cell);
        println!("{name:<12}{halfopen:>24}{floor:>24}{again:>24}");
    }

    fn cell(estimate: &Estimate) -> String {
        format!("{:.2} ({:.2} to {:.2})", estimate.value, estimate.low, estimate.high)
    }
}
