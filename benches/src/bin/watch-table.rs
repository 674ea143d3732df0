//! What each way of watching for dead peers costs and finds; see `halfopen_benches::watching`.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("watch-table: io_uring is a thing of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::Context;
    use clap::Parser;
    use halfopen_benches::report::{Naps, Report};
    use halfopen_benches::table::folder;
    use halfopen_benches::watching::{Outcome, Setup, page, ways};
    use std::path::PathBuf;

    /// Measure what each way of watching for dead peers costs, and what it finds.
    ///
    /// Build both programs first: `cargo build --release -p halfopen -p halfopen-benches`. The
    /// machine is to do nothing else. There are thirteen ways, and with the defaults one takes about
    /// a minute and a half a round, an hour in all; with --short 40 seconds, and 17 minutes in all.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        /// Connections, from one address.
        #[arg(long, default_value_t = 10_000)]
        connections: u32,
        /// How many of them die, in each of three ways.
        #[arg(long, default_value_t = 500)]
        victims: u32,
        /// Messages a second over all connections; without it they say nothing.
        #[arg(long)]
        messages: Option<u32>,
        /// Two rounds of 4 s from ping to ping, 8 s to answer, 3 s of keepalive, 6 s of user timeout,
        /// a short one of 2 s, and 6 s that are counted.
        #[arg(long, conflicts_with_all = [
            "interval_s", "timeout_s", "keepalive_s", "user_timeout_s", "user_timeout_short_s",
            "window_s", "rounds",
        ])]
        short: bool,
        /// Seconds from ping to ping.
        #[arg(long, default_value_t = 10)]
        interval_s: u32,
        /// Seconds that a peer has to answer.
        #[arg(long, default_value_t = 20)]
        timeout_s: u32,
        /// Seconds of TCP keepalive.
        #[arg(long, default_value_t = 8)]
        keepalive_s: u32,
        /// Seconds of TCP_USER_TIMEOUT.
        #[arg(long, default_value_t = 16)]
        user_timeout_s: u32,
        /// Seconds of a TCP_USER_TIMEOUT that is too short for keepalive.
        #[arg(long, default_value_t = 5)]
        user_timeout_short_s: u32,
        /// Seconds of each run that are counted.
        #[arg(long, default_value_t = 30)]
        window_s: u32,
        /// How often all ways are gone over.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// Only ways in whose name this stands, such as `idle`.
        #[arg(long)]
        only: Option<String>,
        /// The cores of server and client.
        #[arg(long, num_args = 2, value_delimiter = ',', default_values_t = [0, 1])]
        cores: Vec<usize>,
        /// The `halfopen` program; by default the one beside this one.
        #[arg(long)]
        halfopen: Option<PathBuf>,
        /// Where the folder `<date>-watching` is made.
        #[arg(long, default_value = "results")]
        out: PathBuf,
        /// Print the JSON document and write no folder.
        #[arg(long)]
        json: bool,
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        let cli = Cli::parse();
        let (setup, rounds) = (cli.setup()?, if cli.short { 2 } else { cli.rounds });
        let wanted = |name: &str| cli.only.as_ref().is_none_or(|only| name.contains(only));
        let mut report = Report::begin("halfopen.watching/1", "watch-table")?;
        let (naps, mut runs) = (Naps::start()?, Vec::new());
        let mut each =
            (1..=rounds).flat_map(|round| ways().into_iter().map(move |way| (round, way)));
        let outcome = each.try_for_each(|(round, way)| -> anyhow::Result<()> {
            let name = way.name();
            if wanted(&name) {
                let run = setup.run(way).with_context(|| name.clone())?;
                let (packets, cpu) = (run.packets_per_s, run.cpu_percent);
                eprintln!("round {round}  {name:<40} {packets:>7.0} packets/s  {cpu:>5.2} %");
                runs.push(run);
            }
            Ok(())
        });
        report.end(Some(naps.finish()));
        // What was measured before something failed is not lost.
        if !runs.is_empty() {
            report.runs.push(Outcome { setup, runs });
            let out = (!cli.json).then_some(&*cli.out);
            folder::publish(out, &report.started, "watching", &report, &page(&report))?;
        }
        outcome
    }

    impl Cli {
        fn setup(&self) -> anyhow::Result<Setup> {
            let beside = || std::env::current_exe().map(|own| own.with_file_name("halfopen"));
            let setup = Setup {
                program: self.halfopen.clone().map_or_else(beside, Ok)?,
                connections: self.connections,
                victims: self.victims,
                messages: self.messages,
                interval: self.interval_s,
                timeout: self.timeout_s,
                keepalive: self.keepalive_s,
                user_timeout: self.user_timeout_s,
                user_timeout_short: self.user_timeout_short_s,
                window: self.window_s,
                cores: [self.cores[0], self.cores[1]],
            };
            let short = Setup {
                interval: 4,
                timeout: 8,
                keepalive: 3,
                user_timeout: 6,
                user_timeout_short: 2,
                window: 6,
                ..setup.clone()
            };
            Ok(if self.short { short } else { setup })
        }
    }
}
