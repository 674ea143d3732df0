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
    use clap::Parser;
    use halfopen_benches::watching::{Setup, markdown, ways};
    use std::path::PathBuf;

    /// Measure what each way of watching for dead peers costs, and what it finds.
    ///
    /// Build both programs first: `cargo build --release -p halfopen -p halfopen-benches`. The
    /// machine is to do nothing else. There are twelve ways, and with the defaults one takes about
    /// two minutes a round.
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
        /// Seconds from ping to ping.
        #[arg(long, default_value_t = 10)]
        interval_s: u32,
        /// Seconds that a peer has to answer.
        #[arg(long, default_value_t = 5)]
        timeout_s: u32,
        /// Seconds of TCP keepalive.
        #[arg(long, default_value_t = 10)]
        keepalive_s: u32,
        /// Seconds of TCP_USER_TIMEOUT.
        #[arg(long, default_value_t = 5)]
        user_timeout_s: u32,
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
        /// Print one JSON document and nothing else.
        #[arg(long)]
        json: bool,
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        let cli = Cli::parse();
        let beside = || std::env::current_exe().map(|own| own.with_file_name("halfopen"));
        let setup = Setup {
            program: cli.halfopen.map_or_else(beside, Ok)?,
            connections: cli.connections,
            victims: cli.victims,
            messages: cli.messages,
            interval: cli.interval_s,
            timeout: cli.timeout_s,
            keepalive: cli.keepalive_s,
            user_timeout: cli.user_timeout_s,
            window: cli.window_s,
            cores: [cli.cores[0], cli.cores[1]],
        };
        let wanted = |name: &str| cli.only.as_ref().is_none_or(|only| name.contains(only));
        let mut runs = Vec::new();
        for round in 1..=cli.rounds {
            for way in ways().into_iter().filter(|way| wanted(&way.name())) {
                let run = setup.run(way)?;
                let (name, packets, cpu) = (way.name(), run.packets_per_s, run.cpu_percent);
                eprintln!("round {round}  {name:<40} {packets:>7.0} packets/s  {cpu:>5.2} %");
                runs.push(run);
            }
        }
        if cli.json {
            println!("{}", serde_json::to_string_pretty(&runs)?);
        } else {
            print!("{}", markdown(&runs));
        }
        Ok(())
    }
}
