//! A million idle connections, each pinged, 10,000 of them blackholed; see
//! `halfopen_benches::million`.

#[cfg(target_os = "linux")]
fn main() -> anyhow::Result<std::process::ExitCode> {
    linux::main()
}

#[cfg(not(target_os = "linux"))]
fn main() {
    eprintln!("million: io_uring is a thing of Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use anyhow::{Context, ensure};
    use clap::Parser;
    use halfopen_benches::cost::sides::rings_for;
    use halfopen_benches::million::memory::{EVERY, Growth, Looker, Sample};
    use halfopen_benches::million::preflight::{Want, wants};
    use halfopen_benches::million::verdict::{Asked, Promise, besides, promises, table};
    use halfopen_benches::table::folder::command;
    use halfopen_benches::table::machine::Machine;
    use halfopen_benches::table::markdown::described;
    use serde_json::{Value, json};
    use std::io::Read;
    use std::os::unix::process::CommandExt;
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, ExitCode, Stdio};
    use std::thread::sleep;

    /// Hold a million idle connections for five minutes, then blackhole 10,000 of them.
    ///
    /// Build both programs first: `cargo build --release -p halfopen -p halfopen-benches`. It checks
    /// what the machine has to allow and names the commands, runs `halfopen lab`, and watches the
    /// memory of both ends. It wants 11 GB for a million and takes about ten minutes. Exits with 1
    /// if the machine does not allow it, and with 3 if a promise was missed.
    #[derive(Parser)]
    #[command(version)]
    struct Cli {
        /// Connections.
        #[arg(long, default_value_t = 1_000_000)]
        connections: u32,
        /// New connections a second.
        #[arg(long, default_value_t = 10_000)]
        connect_rate: u32,
        /// Seconds from ping to ping.
        #[arg(long, default_value_t = 60.0)]
        interval_s: f64,
        /// Seconds that a peer has to answer.
        #[arg(long, default_value_t = 20.0)]
        timeout_s: f64,
        /// Seconds that all are held before the deaths.
        #[arg(long, default_value_t = 300.0)]
        hold_s: f64,
        /// How many are blackholed.
        #[arg(long, default_value_t = 10_000)]
        kill: u32,
        /// New connections a second that there are to be at least, over the whole ramp.
        #[arg(long, value_name = "RATE")]
        connect_rate_min: Option<u32>,
        /// The last part of the folder's name.
        #[arg(long, default_value = "million")]
        name: String,
        /// Only tell what the machine has to allow.
        #[arg(long)]
        check: bool,
        /// Run though the machine does not allow it.
        #[arg(long)]
        anyway: bool,
        /// Where the folder `<date>-<name>` is made, for the run's report, `million.json` and
        /// `README.md`.
        #[arg(long, value_name = "DIR", default_value = "results")]
        out: PathBuf,
        /// The `halfopen` program; by default the one beside this one.
        #[arg(long)]
        halfopen: Option<PathBuf>,
    }

    pub(crate) fn main() -> anyhow::Result<ExitCode> {
        let cli = Cli::parse();
        let wants = wants(cli.connections, rings_for(cli.connections));
        let allowed = check(&wants);
        if cli.check || !(allowed || cli.anyway) {
            return Ok(ExitCode::from(u8::from(!allowed)));
        }
        let (machine, before) = (Machine::here()?, runs_in(&cli.out));
        let (samples, report) = run(&cli)?;
        let growth = Growth::of(&samples, cli.connections.into());
        let asked = Asked {
            connections: cli.connections.into(),
            killed: cli.kill.into(),
            interval_s: cli.interval_s,
            timeout_s: cli.timeout_s,
            hold_s: cli.hold_s,
            connect_rate_min: cli.connect_rate_min,
        };
        let promises = promises(&asked, &report, growth.as_ref());
        let head = head(&cli, &machine, &report);
        let page = head + &page(&wants, &promises, growth.as_ref(), &besides(&report));
        let document = json!({
            "schema": "halfopen.million/2", "machine": machine, "wants": wants, "growth": growth,
            "promises": promises, "samples": samples, "report": report,
        });
        let made = runs_in(&cli.out).into_iter().find(|folder| !before.contains(folder));
        let folder = made.context("the lab has made no folder")?;
        std::fs::write(folder.join("million.json"), serde_json::to_string_pretty(&document)?)?;
        std::fs::write(folder.join("README.md"), &page)?;
        println!("{page}");
        Ok(ExitCode::from(if promises.iter().all(|promise| promise.held) { 0 } else { 3 }))
    }

    /// The folders of runs.
    fn runs_in(out: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(out).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
    }

    fn check(wants: &[Want]) -> bool {
        for want in wants {
            let found = want.found.map_or("not there".into(), |found| found.to_string());
            let Want { name, wanted, remedy, .. } = want;
            if want.is_met() {
                eprintln!("ok    {name}: {found}, at least {wanted} are wanted");
            } else {
                eprintln!("less  {name}: {found}, at least {wanted} are wanted: {remedy}");
            }
        }
        wants.iter().all(Want::is_met)
    }

    /// Ends the lab with its owner.
    struct Lab(Child);

    impl Drop for Lab {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn run(cli: &Cli) -> anyhow::Result<(Vec<Sample>, Value)> {
        let beside = || std::env::current_exe().map(|own| own.with_file_name("halfopen"));
        let program = cli.halfopen.clone().map_or_else(beside, Ok)?;
        let mut command = Command::new(program);
        // The report tells its command, and where the program lay is nobody's business.
        command.arg0("halfopen");
        command.args(["lab", "--json", "--connect-timeout=30s"]);
        command.arg(format!("--name={}", cli.name));
        command.arg(format!("--connections={}", cli.connections));
        command.arg(format!("--connect-rate={}/s", cli.connect_rate));
        command.arg(format!("--ping-interval={}s", cli.interval_s));
        command.arg(format!("--ping-timeout={}s", cli.timeout_s));
        command.arg(format!("--kill=blackhole={}", cli.kill));
        command.arg(format!("--kill-at={}s", cli.hold_s));
        command.arg(format!("--out={}", cli.out.display()));
        let child = command.stdout(Stdio::piped()).spawn();
        let mut lab = Lab(child.with_context(|| format!("starting {command:?}"))?);
        let looker = Looker::new(lab.0.id())?;
        let mut output = lab.0.stdout.take().context("no pipe")?;
        let reading = std::thread::spawn(move || {
            let mut text = String::new();
            output.read_to_string(&mut text).map(|_| text)
        });
        let mut samples = Vec::new();
        let status = loop {
            samples.extend(looker.look());
            if let Some(status) = lab.0.try_wait()? {
                break status;
            }
            sleep(EVERY);
        };
        let text = reading.join().ok().context("the reader of its report")??;
        ensure!(!text.is_empty(), "the lab ended with {status} and no report");
        Ok((samples, serde_json::from_str(&text).context("reading the lab's report")?))
    }

    fn head(cli: &Cli, machine: &Machine, report: &Value) -> String {
        let place = if machine.vm == Some(true) { " in a VM" } else { "" };
        let doubt =
            machine.doubt().map_or(String::new(), |doubt| format!("**Doubt**: {doubt}.\n\n"));
        format!(
            "# {} idle connections, over loopback{place}\n\n{}, begun {}.\n\n{doubt}```sh\n{}\n```\n\n\
             One `halfopen serve` and one load generator, a core each; a ping every {} s, {} s to \
             answer; held for {} s, then {} blackholed at once.\n\n",
            cli.connections,
            described(machine),
            report["started"].as_str().unwrap_or_default(),
            command("million").join(" "),
            cli.interval_s,
            cli.timeout_s,
            cli.hold_s,
            cli.kill,
        )
    }

    fn page(
        wants: &[Want],
        promises: &[Promise],
        growth: Option<&Growth>,
        besides: &str,
    ) -> String {
        let mut page = table(promises);
        if let Some(growth) = growth {
            let megabytes = growth.server_anon.map(|bytes| bytes as f64 / 1e6);
            page += &format!(
                "\nThe server's user space (RssAnon) was {:.1} MB at {} connections and {:.1} MB at {}, \
                 on {} shards; the kernel took {:.0} bytes for both ends of one.\n",
                megabytes[0],
                growth.connections[0],
                megabytes[1],
                growth.connections[1],
                growth.shards,
                growth.kernel_slope
            );
        }
        page += besides;
        page +=
            "\nWhat the machine has to allow:\n\n| | found | wanted | else |\n|---|---|---|---|\n";
        for want @ Want { name, found, wanted, remedy } in wants {
            let found = found.map_or("not there".into(), |found| found.to_string());
            let remedy = if want.is_met() { "–" } else { remedy };
            page += &format!("| {name} | {found} | {wanted} | {remedy} |\n");
        }
        page
    }
}
