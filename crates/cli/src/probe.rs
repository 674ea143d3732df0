//! `probe`: what heartbeat a server has, in a dozen lines for a ticket.

mod words;

use crate::args::Probe;
use crate::choice::choose;
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::measure::{none_opened, plan_error, run_error};
use crate::publish::{check_out, print};
use crate::screen::{Progress as Shown, Screen};
use halfopen_loadgen::plan::{Asked, resolve};
use halfopen_loadgen::probe::{Document, Findings, Progress, Running, Settings};
use halfopen_loadgen::report::folder;
use halfopen_loadgen::report::number::millis;
use std::time::{Duration, SystemTime};

/// Runs the probe.
pub(crate) fn run(flags: &Probe, json: bool, quiet: bool) -> Outcome {
    let plan = resolve(&asked(flags)).map_err(|error| plan_error(&error))?;
    if let Some(out) = &flags.out {
        check_out(out)?;
    }
    let interrupt = Interrupt::or_leave()?;
    let mut screen = Screen::new(quiet);
    let (driver, note) = choose(flags.driver);
    note.iter().for_each(|note| screen.note(note));
    let settings = Settings { max_wait: flags.max_wait, message: flags.message.0.clone() };
    let started = SystemTime::now();
    let running = Running::start(plan, settings, driver).map_err(|error| run_error(&error))?;
    let found = watch(running, &mut screen, &interrupt)?;
    if let Some(failure) = hopeless(&found) {
        return Err(failure);
    }
    let document = found.document(option_env!("HALFOPEN_GIT").map(str::to_owned), started);
    show(&document, flags, json)?;
    Ok(if found.interrupted { Exit::Interrupted } else { Exit::Done })
}

fn asked(flags: &Probe) -> Asked {
    Asked {
        connections: flags.connections,
        connect_timeout: flags.connect_timeout,
        subprotocols: flags.subprotocol.iter().cloned().collect(),
        origin: flags.origin.clone(),
        cacert: flags.trust.cacert.clone(),
        insecure: flags.trust.insecure,
        ..Asked::new(&flags.url)
    }
}

/// Waits for its end, and shows how far it is.
fn watch(
    running: Running,
    screen: &mut Screen,
    interrupt: &Interrupt,
) -> Result<Findings, Failure> {
    while !running.is_over() {
        if interrupt.sleep(LOOK) {
            running.interrupt();
            break;
        }
        screen.show(&shown(&running.progress()));
    }
    screen.clear();
    running.join().map_err(|error| run_error(&error))
}

fn shown(progress: &Progress) -> Shown {
    let Progress { open, pings, mutes, mutes_ended } = progress;
    Shown {
        phase: "probing".into(),
        lines: vec![
            ("connections", format!("{open} open")),
            ("server's pings", format!("{pings} seen")),
            ("fell silent", format!("{mutes}, of which {mutes_ended} were ended")),
        ],
    }
}

/// Why it came to nothing, if so.
fn hopeless(found: &Findings) -> Option<Failure> {
    if found.opened() == 0 && !found.interrupted {
        return Some(none_opened(&found.url, &found.failed, found.failure_example.as_deref()));
    }
    let (age, how) = found.turned_away()?;
    let cause = format!(
        "{} ended every connection after {}, with {}",
        found.url,
        millis(age.as_secs_f64() * 1e3),
        how.in_words()
    );
    Some(Failure::run(cause).next(
        "does it want a login, another path, a subprotocol (--subprotocol) or an origin (--origin)?",
    ))
}

fn show(document: &Document, flags: &Probe, json: bool) -> Result<(), Failure> {
    print(&if json { document.json() } else { words::text(document) })?;
    let Some(out) = &flags.out else { return Ok(()) };
    let name = flags.name.as_deref().unwrap_or("probe");
    let path = folder::write_files(&document.files(), &document.started, out, name)
        .map_err(|error| Failure::run(format!("the document is not kept: {error}")))?;
    if json { Ok(()) } else { print(&format!("document: {}/probe.json", path.display())) }
}

const LOOK: Duration = Duration::from_millis(100);
