//! `calibrate`: is the load generator to be trusted here?

pub(crate) mod reference;

use crate::admin::load::Running;
use crate::args::Calibrate;
use crate::argv::line;
use crate::choice::choose;
use crate::cores::{cpu_list, own_cores, share_cores};
use crate::exit::{Exit, Failure, Outcome};
use crate::input::{Known, report};
use crate::interrupt::Interrupt;
use crate::measure::{Job, hopeless, measure, plan_error};
use crate::publish::{check_out, print};
use crate::screen::Screen;
use crate::units::Typed;
use crate::words::wrapped;
use halfopen_loadgen::calibrate::{Document, Run, Seen, Setup};
use halfopen_loadgen::plan::{Asked, Fault, Plan, Stall, resolve};
use halfopen_loadgen::report::folder;
use halfopen_loadgen::run::Ended;
use reference::ReferenceServer;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// Messages a second while the generator stalls.
const STALLED_RATE: f64 = 1_000.0;

/// So many messages a run is to have, whose percentiles are then no farther apart than they may be
/// off, if that does not take longer than this.
const MESSAGES_MIN: f64 = 600.0;
const PATIENCE: Duration = Duration::from_secs(60);

/// A look takes a millisecond from a core that has none to spare.
const SELDOM: Duration = Duration::from_secs(5);

/// Measures the reference server at each rate, and once with a stall.
pub(crate) fn run(flags: &Calibrate, json: bool, quiet: bool) -> Outcome {
    let bench = Bench::of(flags)?;
    let started = SystemTime::now();
    let interrupt = Interrupt::or_leave()?;
    let mut screen = Screen::new(quiet);
    let mut runs = Vec::new();
    for (rate, fault) in bench.all() {
        match bench.measure(rate, fault, &mut screen, &interrupt)? {
            Some(run) => runs.push(run),
            None => return Ok(Exit::Interrupted),
        }
    }
    let setup = Setup {
        argv: line(),
        started,
        git: option_env!("HALFOPEN_GIT").map(str::to_owned),
        delay: flags.delay,
        connections: flags.connections,
    };
    let document = Document::new(setup, runs);
    print(&if json { document.json() } else { text(&document) })?;
    if let Some(out) = &flags.out {
        let name = flags.name.as_deref().unwrap_or("calibrate");
        let path = folder::write_files(&document.files(), &document.started, out, name)
            .map_err(|error| Failure::run(format!("the result is not kept: {error}")))?;
        if !json {
            print(&format!("document: {}/calibrate.json", path.display()))?;
        }
    }
    Ok(if document.trusted { Exit::Done } else { Exit::ThresholdMissed })
}

/// What the runs have in common.
struct Bench<'a> {
    flags: &'a Calibrate,
    server_cpus: Vec<usize>,
    load_cpus: Vec<usize>,
}

impl<'a> Bench<'a> {
    fn of(flags: &'a Calibrate) -> Result<Self, Failure> {
        if let Some(out) = &flags.out {
            check_out(out)?;
        }
        let (server_cpus, load_cpus) = share_cores(&own_cores());
        if server_cpus.is_empty() {
            return Err(Failure::run(
                "there is one core only: server and generator would share it",
            )
            .next("`taskset -p $$` shows the cores that this shell may use"));
        }
        if let Some(stall) = flags.stall.0.filter(|&stall| stall * 4 > flags.duration) {
            let (stall, least) = (Typed(stall), Typed(stall * 4));
            return Err(Failure::usage(format!(
                "a stall of {stall} wants a run of {least} around it: give --duration={least}"
            )));
        }
        Ok(Self { flags, server_cpus, load_cpus })
    }

    fn all(&self) -> Vec<(f64, Fault)> {
        let fault = Fault { stall: None, nap: self.flags.sabotage };
        let stall = self.flags.stall.0.map(|lasts| Stall { after: lasts, lasts });
        let stalled = stall.map(|stall| (STALLED_RATE, Fault { stall: Some(stall), ..fault }));
        self.flags.rates.iter().map(|&rate| (rate, fault)).chain(stalled).collect()
    }

    /// None: it was interrupted.
    fn measure(
        &self,
        rate: f64,
        fault: Fault,
        screen: &mut Screen,
        interrupt: &Interrupt,
    ) -> Result<Option<Run>, Failure> {
        let mut server = ReferenceServer::start(&self.server_flags())?;
        let plan = self.plan(rate, fault, &server)?;
        let stalled = fault.stall.map_or("", |_| ", and a stall");
        screen.note(&format!("{rate} messages a second for {}{stalled}", Typed(plan.duration)));
        let (driver, note) = choose(halfopen_server::DriverKind::Auto);
        note.iter().for_each(|note| screen.note(note));
        let server_pids = vec![server.pid()];
        let job = Job {
            plan: plan.clone(),
            driver,
            server_pids,
            hiccups: true,
            sample_every: SELDOM,
            running: Running::default(),
        };
        let mut measured = measure(job, screen, interrupt, || server.died())?;
        if let Some(failure) = measured.server_died.take().or_else(|| hopeless(&measured.outcome)) {
            return Err(failure);
        }
        if matches!(measured.outcome.ended, Ended::Interrupted) {
            return Ok(None);
        }
        let record = server.stop()?;
        let known = Known { server_cpus: self.server_cpus.clone(), ..Known::default() };
        let (report, _) = report(&measured, known);
        Ok(Some(Run::judge(&Seen {
            plan: &plan,
            rate_per_s: rate,
            report: &report,
            send_late_ns: &measured.outcome.tally.send_late_ns,
            record: &record,
        })))
    }

    fn server_flags(&self) -> [std::ffi::OsString; 3] {
        let Calibrate { delay, seed, .. } = self.flags;
        [
            format!("--delay={}..{}", Typed(delay.from), Typed(delay.to)).into(),
            format!("--seed={seed}").into(),
            format!("--cpu={}", cpu_list(&self.server_cpus)).into(),
        ]
    }

    fn plan(&self, rate: f64, fault: Fault, server: &ReferenceServer) -> Result<Plan, Failure> {
        let enough = Duration::from_secs_f64(MESSAGES_MIN / rate);
        let asked = Asked {
            connections: self.flags.connections,
            duration: self.flags.duration.max(PATIENCE.min(enough)),
            message_rate: Some(rate.into()),
            cpus: self.load_cpus.clone(),
            seed: self.flags.seed,
            fault,
            ..Asked::new(&format!("ws://{}/", server.addr))
        };
        resolve(&asked).map_err(|e| plan_error(&e))
    }
}

/// The result for a terminal of 80 columns.
fn text(document: &Document) -> String {
    let mut text = format!("{}\n\n", wrapped(&document.about(), 0));
    let mut add = |cells: [&str; 7]| {
        let [run, percentile, messages, recorded, service, latency, allowed] = cells;
        let _ = writeln!(
            text,
            "{run:<16} {percentile:<6} {messages:>9} {recorded:>11} {service:>11} {latency:>11} \
             {allowed:>8}"
        );
    };
    add(["", "", "", "", "from the", "from the", ""]);
    add(["", "", "", "", "actual", "intended", ""]);
    add(["messages/s", "", "messages", "recorded", "send", "send", "±"]);
    for run in &document.runs {
        for cells in run.cells() {
            add(cells.each_ref().map(String::as_str));
        }
    }
    for run in &document.runs {
        if let Some(stall) = &run.stall {
            let _ = write!(text, "\n{}\n", wrapped(&stall.words(), 0));
        }
    }
    text.push('\n');
    for run in &document.runs {
        let faults = run.faults.iter().map(|fault| ("not as recorded", fault.clone()));
        let doubts = run.doubts.iter().map(|doubt| ("doubt", doubt.message.clone()));
        for (kind, words) in faults.chain(doubts) {
            let words = format!("{}: {words}", run.name());
            let _ = writeln!(text, "{kind:<17}{}", wrapped(&words, 17));
        }
    }
    let _ = writeln!(text, "{}", document.finding());
    text
}
