//! Echoes a second beside the floor; see `halfopen_benches::echo`.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("echo-floor: io_uring is a thing of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use clap::Parser;
    use halfopen_benches::echo::{Outcome, Run, Setup, Talk, measure, page};
    use halfopen_benches::report::{Naps, Report};
    use halfopen_benches::table::folder;
    use std::path::PathBuf;
    use std::time::Duration;

    /// Measure echoes a second in a closed loop, beside a server that sends back what it gets.
    ///
    /// Build both programs first: `cargo build --release -p halfopen -p halfopen-benches`. The
    /// machine is to do nothing else. A run takes half a second more than its window; a pair has
    /// three for each number of messages under way, and each size has its pairs: with the defaults
    /// that is a quarter of an hour.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        /// Connections.
        #[arg(long, default_value_t = 200)]
        connections: u32,
        /// Bytes of text in a message.
        #[arg(long, value_delimiter = ',', default_values_t = [20, 1024])]
        sizes: Vec<u32>,
        /// Messages under way on each connection.
        #[arg(
            long, value_delimiter = ',', default_values_t = [1, 16],
            value_parser = clap::value_parser!(u32).range(1..)
        )]
        windows: Vec<u32>,
        /// Pairs of each size.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
        pairs: u32,
        /// Seconds of each run that count.
        #[arg(long, default_value_t = 3.0)]
        window_s: f64,
        /// Seconds before them.
        #[arg(long, default_value_t = 0.5)]
        settle_s: f64,
        /// The cores of server and client.
        #[arg(long, num_args = 2, value_delimiter = ',', default_values_t = [0, 1])]
        cores: Vec<usize>,
        /// The driver of `halfopen serve`.
        #[arg(long, default_value = "io-uring")]
        driver: String,
        /// The `halfopen` program; by default the one beside this one.
        #[arg(long)]
        halfopen: Option<PathBuf>,
        /// Where the folder `<date>-echo-floor` is made.
        #[arg(long, default_value = "results")]
        out: PathBuf,
        /// Print the JSON document and write no folder.
        #[arg(long)]
        json: bool,
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        let cli = Cli::parse();
        let beside = |name| std::env::current_exe().map(|own| own.with_file_name(name));
        let setup = Setup {
            halfopen: cli.halfopen.map_or_else(|| beside("halfopen"), Ok)?,
            floor: beside("floor")?,
            driver: cli.driver,
            window: Duration::try_from_secs_f64(cli.window_s)?,
            settle: Duration::try_from_secs_f64(cli.settle_s)?,
            cores: [cli.cores[0], cli.cores[1]],
        };
        let mut report = Report::begin("halfopen.echo-floor/2", "echo-floor")?;
        let naps = Naps::start()?;
        for &size in &cli.sizes {
            let windows = cli.windows.clone();
            let talk = Talk { connections: cli.connections, size, windows };
            eprintln!("{} connections, {size} B", talk.connections);
            let runs = measure(&setup, &talk, cli.pairs as usize, progress)?;
            report.runs.push(Outcome::new(talk, setup.window, runs));
        }
        report.end(Some(naps.finish()));
        let out = (!cli.json).then_some(&*cli.out);
        folder::publish(out, &report.started, "echo-floor", &report, &page(&report))
    }

    fn progress(run: &Run) {
        let Run { pair, window, echoes_per_s, server_us, client_us, .. } = run;
        eprintln!(
            "pair {:>3}  {window:>3} under way  {:<11} {echoes_per_s:>8.0} echoes/s   server {server_us:>6.3} µs   client {client_us:>6.3} µs",
            pair + 1,
            format!("{:?}", run.column),
        );
    }
}
