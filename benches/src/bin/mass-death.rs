//! Everyone dies at once; see `halfopen_benches::ordeal::mass_death`.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<()> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("mass-death: its drivers are for Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::Context;
    use clap::{Args, Parser, Subcommand};
    use halfopen_benches::ordeal::mass_death::{Measured, Setup, measure, page, server};
    use halfopen_benches::report::Report;
    use halfopen_benches::table::folder;
    use halfopen_driver::DriverKind;
    use halfopen_server::{Heartbeat, Policy};
    use std::env::current_exe;
    use std::path::PathBuf;
    use std::time::Duration;

    /// Cut the cable of very many connections in one instant, and see how a server finds them and
    /// what the living feel.
    ///
    /// In each round each driver is measured twice: with deadlines as they fall, and with all of them
    /// in one tick. The machine is to do nothing else. A round takes about a minute and a half.
    #[derive(Parser)]
    #[command(version, args_conflicts_with_subcommands = true)]
    struct Cli {
        #[command(subcommand)]
        role: Option<Role>,
        #[command(flatten)]
        measure: Measure,
    }

    #[derive(Subcommand)]
    enum Role {
        /// Be the server: what this program starts by itself.
        #[command(hide = true)]
        Serve(Serve),
    }

    #[derive(Args)]
    struct Measure {
        /// How many die.
        #[arg(long, default_value_t = 100_000)]
        victims: u32,
        /// How many live.
        #[arg(long, default_value_t = 1_000)]
        living: u32,
        /// Messages of the living a second, all together.
        #[arg(long, default_value_t = 1_000.0)]
        rate: f64,
        /// The server's ping interval, in seconds.
        #[arg(long, default_value_t = 5.0)]
        interval: f64,
        /// The server's ping timeout, in seconds.
        #[arg(long, default_value_t = 3.0)]
        timeout: f64,
        /// How many connect in a second.
        #[arg(long, default_value_t = 10_000.0)]
        connect_rate: f64,
        /// How long the living are measured before anybody dies, in seconds.
        #[arg(long, default_value_t = 15.0)]
        quiet: f64,
        /// What runs the server; several are measured one after the other.
        #[arg(long, default_value = "io-uring", value_delimiter = ',', value_parser = driver)]
        driver: Vec<DriverKind>,
        /// In the second measurement deadlines come up together so often, in seconds (longer than the
        /// interval); 0: there is no second measurement.
        #[arg(long, default_value_t = 9.0)]
        gather: f64,
        /// How often all is measured.
        #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
        rounds: u32,
        /// Where the folder `<date>-mass-death` is made.
        #[arg(long, default_value = "results")]
        out: PathBuf,
        /// Print the JSON document and write no folder.
        #[arg(long)]
        json: bool,
    }

    #[derive(Args)]
    struct Serve {
        #[arg(long)]
        connections: u32,
        #[arg(long)]
        interval: f64,
        #[arg(long)]
        timeout: f64,
        #[arg(long, value_parser = driver)]
        driver: DriverKind,
        #[arg(long)]
        gather: f64,
    }

    pub(crate) fn main() -> anyhow::Result<()> {
        let cli = Cli::parse();
        match cli.role {
            Some(Role::Serve(flags)) => serve(&flags),
            None => measure_all(&cli.measure),
        }
    }

    fn serve(flags: &Serve) -> anyhow::Result<()> {
        let heartbeat = Heartbeat {
            policy: Policy::Periodic,
            interval: Duration::try_from_secs_f64(flags.interval)?,
            timeout: Duration::try_from_secs_f64(flags.timeout)?,
        };
        let (connections, driver) = (flags.connections, flags.driver);
        let gather = gather(flags.gather)?;
        server::serve(&server::Setup { connections, heartbeat, driver, gather })
    }

    fn measure_all(flags: &Measure) -> anyhow::Result<()> {
        let mut report = Report::begin("halfopen.mass-death/3", "mass-death")?;
        let program = current_exe().context("finding this program's own file")?;
        let mut gathers = vec![None];
        gathers.extend(gather(flags.gather)?.map(Some));
        for round in 0..flags.rounds as usize {
            for &driver in &flags.driver {
                for &gather in &gathers {
                    let run = measure(&program, &flags.setup(driver, gather)?, round)?;
                    progress(&run);
                    report.runs.push(run);
                }
            }
        }
        report.end(None);
        let out = (!flags.json).then_some(&*flags.out);
        folder::publish(out, &report.started, "mass-death", &report, &page(&report))
    }

    impl Measure {
        fn setup(&self, driver: DriverKind, gather: Option<Duration>) -> anyhow::Result<Setup> {
            Ok(Setup {
                victims: self.victims,
                living: self.living,
                rate: self.rate,
                interval: Duration::try_from_secs_f64(self.interval)?,
                timeout: Duration::try_from_secs_f64(self.timeout)?,
                connect_rate: self.connect_rate,
                quiet: Duration::try_from_secs_f64(self.quiet)?,
                driver,
                gather,
            })
        }
    }

    fn progress(run: &Measured) {
        let how = if run.gather_ms.is_some() { "in one tick" } else { "as they fall" };
        eprintln!("{} {how}: {} of {} found", run.driver, run.found, run.victims);
    }

    fn gather(seconds: f64) -> anyhow::Result<Option<Duration>> {
        Ok(Some(Duration::try_from_secs_f64(seconds)?).filter(|time| !time.is_zero()))
    }

    fn driver(text: &str) -> Result<DriverKind, String> {
        let found = DriverKind::ALL.into_iter().find(|driver| driver.name() == text);
        let names = DriverKind::ALL.map(DriverKind::name);
        found.ok_or_else(|| format!("allowed are {}", names.join(" ")))
    }
}
