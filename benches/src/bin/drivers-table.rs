//! The drivers at the same work; see `halfopen_benches::drivers`.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("drivers-table: the drivers are things of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use clap::Parser;
    use halfopen_benches::drivers::echo::Load;
    use halfopen_benches::drivers::{Programs, Table, Work, measure, page};
    use halfopen_benches::table::folder;
    use halfopen_benches::table::machine::Machine;
    use halfopen_driver::DriverKind;
    use std::env;
    use std::path::PathBuf;

    /// Measure echo, heartbeats, memory and detection on each driver, and write the table.
    ///
    /// Build the programs first: `cargo build --release -p halfopen -p halfopen-benches`. The
    /// machine is to do nothing else. All of it takes about 14 minutes, most of it for heartbeats.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        /// Only this driver; may be given several times. The first is what the others stand beside.
        #[arg(long)]
        driver: Vec<String>,
        /// How often echo and lab are done.
        #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// Seconds of each echo that count.
        #[arg(long, default_value_t = 3.0)]
        window: f64,
        /// Connections of the echo.
        #[arg(long, default_value_t = 200)]
        echo_connections: usize,
        /// Bytes of its messages.
        #[arg(long, value_delimiter = ',', default_value = "20,1024")]
        echo_bytes: Vec<usize>,
        /// The cores of server and client, of echo and heartbeats.
        #[arg(long, num_args = 2, value_delimiter = ',', default_values_t = [0, 1])]
        cores: Vec<usize>,
        /// A flag of `halfopen lab`, such as --lab=--quick; may be given several times.
        #[arg(long, allow_hyphen_values = true)]
        lab: Vec<String>,
        /// A flag of `heartbeat-cost`; may be given several times.
        #[arg(
            long, allow_hyphen_values = true,
            default_values_t = ["--connections=10k".to_owned(), "--pairs=5".to_owned()]
        )]
        heartbeat: Vec<String>,
        /// Leave heartbeats out.
        #[arg(long)]
        no_heartbeat: bool,
        /// The `halfopen` program; by default the one beside this one.
        #[arg(long)]
        halfopen: Option<PathBuf>,
        /// Where the folder `<date>-drivers` is made.
        #[arg(long, default_value = "results")]
        out: PathBuf,
        /// Print the JSON document and write no folder.
        #[arg(long)]
        json: bool,
    }

    impl Cli {
        fn work(&self) -> Work {
            let load = |&bytes| Load { connections: self.echo_connections, bytes };
            Work {
                rounds: self.rounds as usize,
                loads: self.echo_bytes.iter().map(load).collect(),
                window_s: self.window,
                cores: [self.cores[0], self.cores[1]],
                lab: self.lab.clone(),
                heartbeat: (!self.no_heartbeat).then(|| {
                    let [server, client] =
                        [self.cores[0], self.cores[1]].map(|core| core.to_string());
                    [&["--cores".to_owned(), server, client], &self.heartbeat[..]].concat()
                }),
                ..Work::default()
            }
        }

        fn drivers(&self) -> Vec<String> {
            match &self.driver[..] {
                [] => DriverKind::ALL.map(|driver| driver.name().to_owned()).into(),
                some => some.to_vec(),
            }
        }
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        let cli = Cli::parse();
        let beside = |name| env::current_exe().map(|own| own.with_file_name(name));
        let programs = Programs {
            halfopen: cli.halfopen.clone().map_or_else(|| beside("halfopen"), Ok)?,
            heartbeat_cost: beside("heartbeat-cost")?,
        };
        let (started, machine) = (jiff::Timestamp::now(), Machine::here()?);
        let work = cli.work();
        let drivers = measure(&programs, &work, &cli.drivers(), |what| eprintln!("{what}"))?;
        let table = Table {
            schema: "halfopen.drivers/1",
            started: started.to_string(),
            command: folder::command("drivers-table"),
            machine,
            work,
            drivers,
        };
        let out = (!cli.json).then_some(&*cli.out);
        folder::publish(out, &table.started, "drivers", &table, &page::page(&table))
    }
}
