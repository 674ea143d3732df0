//! What quiet connections feel of a flood; see `halfopen_benches::ordeal::flood_table`.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("flood-table: its drivers are for Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use clap::Parser;
    use halfopen_benches::ordeal::flood_table::{Measured, Setup, Target, measure, page};
    use halfopen_benches::report::Report;
    use halfopen_benches::table::folder;
    use std::env::current_exe;
    use std::path::PathBuf;
    use std::time::Duration;

    /// Flood a server that holds quiet connections, and then a bare listener beside it, and write
    /// what the quiet ones feel.
    ///
    /// Build the programs first: `cargo build --release -p halfopen -p halfopen-benches`. The machine
    /// is to do nothing else. With the defaults a driver takes two minutes, and as long for its
    /// control.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        /// Quiet connections.
        #[arg(long, default_value_t = 1_000)]
        quiet: u32,
        /// Their messages a second, all together.
        #[arg(long, default_value_t = 1_000.0)]
        rate: f64,
        /// Seconds before the flood.
        #[arg(long, default_value_t = 15.0)]
        before: f64,
        /// Seconds of flood.
        #[arg(long, default_value_t = 60.0)]
        flood: f64,
        /// Seconds behind it.
        #[arg(long, default_value_t = 30.0)]
        after: f64,
        /// What runs the server; several are measured one after the other.
        #[arg(long, default_value = "io-uring", value_delimiter = ',')]
        driver: Vec<String>,
        /// The most bytes that the server queues for one that does not read: small, so that a server
        /// which did not keep to it would be seen.
        #[arg(long, default_value_t = 64 * 1024)]
        output_max: u64,
        /// A flag of `halfopen serve`; may be given several times.
        #[arg(long = "serve", default_value = "--max-connections=16k", allow_hyphen_values = true)]
        serve: Vec<String>,
        /// A flag of `flood at`; may be given several times.
        #[arg(long = "wave", allow_hyphen_values = true)]
        waves: Vec<String>,
        /// Leave the control out.
        #[arg(long)]
        no_control: bool,
        /// Where the folder `<date>-floods` is made.
        #[arg(long, default_value = "results")]
        out: PathBuf,
        /// Print the JSON document and write no folder.
        #[arg(long)]
        json: bool,
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        let cli = Cli::parse();
        let mut report = Report::begin("halfopen.floods/2", "flood-table")?;
        for driver in &cli.driver {
            let setup = cli.setup(driver)?;
            for target in [Target::Server, Target::Sink] {
                if target == Target::Sink && cli.no_control {
                    continue;
                }
                let run = measure(&setup, target)?;
                progress(&run);
                report.runs.push(run);
            }
        }
        report.end(None);
        let out = (!cli.json).then_some(&*cli.out);
        folder::publish(out, &report.started, "floods", &report, &page(&report))
    }

    impl Cli {
        fn setup(&self, driver: &str) -> anyhow::Result<Setup> {
            let own = current_exe()?;
            Ok(Setup {
                halfopen: own.with_file_name("halfopen"),
                flood: own.with_file_name("flood"),
                driver: driver.to_owned(),
                output_max: self.output_max,
                serve: self.serve.clone(),
                waves: self.waves.clone(),
                quiet: self.quiet,
                rate: self.rate,
                before: Duration::try_from_secs_f64(self.before)?,
                during: Duration::try_from_secs_f64(self.flood)?,
                after: Duration::try_from_secs_f64(self.after)?,
            })
        }
    }

    fn progress(run: &Measured) {
        eprintln!(
            "{} {:?}: p99 {:?} ms before, {:?} during the flood; {} lost",
            run.driver, run.target, run.before.p99_ms, run.during.p99_ms, run.lost
        );
    }
}
