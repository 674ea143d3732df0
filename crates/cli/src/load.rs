//! `load`: many connections to any WebSocket server.

use crate::admin::Admin;
use crate::admin::load::{Running, page};
use crate::args::{Load, Revival, kills};
use crate::choice::choose;
use crate::exit::{Failure, Outcome};
use crate::input::{Known, report};
use crate::interrupt::Interrupt;
use crate::measure::{
    Job, Measured, SAMPLE_EVERY, hopeless, measure, plan_error, sees_no_server, waits_blindly,
};
use crate::publish::{Place, check_out, print, publish, thresholds};
use crate::screen::Screen;
use crate::units::OrAuto;
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Asked, Between, KillAt, Plan, ServerPing, Watch, resolve};
use halfopen_loadgen::report::{Histograms, Report, folder};
use halfopen_loadgen::threshold::Threshold;
use std::path::Path;
use std::time::Duration;

/// Runs the load.
pub(crate) fn run(flags: &Load, json: bool, quiet: bool) -> Outcome {
    let thresholds = thresholds(&flags.thresholds.fail_if)?;
    let mut asked = asked(flags)?;
    flags.search.iter().for_each(|search| search.begin(&mut asked));
    // What is wrong with it is told before anything is done.
    let plan = planned(flags, &asked)?;
    check_search(flags, &thresholds)?;
    check_pids(&flags.server_pid)?;
    if let Some(out) = &flags.out {
        check_out(out)?;
    }
    let running = Running::default();
    let admin = flags.admin.map(Admin::start).transpose()?;
    let interrupt = Interrupt::or_leave()?;
    let mut screen = Screen::new(quiet);
    if let Some(admin) = &admin {
        admin.ready(page(running.clone()))?;
        screen.note(&format!("metrics: http://{}/metrics", admin.addr()));
    }
    if waits_blindly(&plan) {
        screen.note("deaths wait for the server's pings, 60 s at most; --server-ping or --kill-at says more");
    }
    let (driver, note) = choose(flags.driver);
    note.iter().for_each(|note| screen.note(note));
    let mut once = |asked: &Asked| -> Result<Reported, Failure> {
        let plan = planned(flags, asked)?;
        let hiccups = !flags.no_hiccups;
        let (server_pids, running) = (flags.server_pid.clone(), running.clone());
        let sample_every = SAMPLE_EVERY;
        let job = Job { plan, driver, server_pids, hiccups, sample_every, running };
        Ok(reported(&measure(job, &mut screen, &interrupt, || None)?, &thresholds))
    };
    let (report, (histograms, failure)) = match &flags.search {
        None => once(&asked)?,
        Some(search) => search.climb(flags.search_factor, |value| {
            let mut asked = asked.clone();
            search.apply(value, &mut asked);
            once(&asked)
        })?,
    };
    if json {
        print(&folder::json(&report))?;
    }
    let name = flags.name.as_deref().unwrap_or("load");
    let published = publish(&report, &histograms, &Place { out: flags.out.as_deref(), name, json });
    failure.map_or(published, Err)
}

fn planned(flags: &Load, asked: &Asked) -> Result<Plan, Failure> {
    let mut plan = resolve(asked).map_err(|e| plan_error(&e))?;
    if flags.deaths.revive == Revival::Auto && sees_no_server(&plan) {
        plan.revive = revival_ages(&plan);
    }
    Ok(plan)
}

/// A report, what is beside it, and why the run came to nothing, if so.
type Reported = (Report, (Histograms, Option<Failure>));

fn reported(measured: &Measured, thresholds: &[Threshold]) -> Reported {
    let failure = hopeless(&measured.outcome);
    let known = Known {
        thresholds,
        failure: failure.as_ref().map(|failure| failure.cause.clone()),
        ..Known::default()
    };
    let (report, histograms) = report(measured, known);
    (report, (histograms, failure))
}

fn check_search(flags: &Load, thresholds: &[Threshold]) -> Result<(), Failure> {
    if flags.search.is_some() && thresholds.is_empty() {
        return Err(Failure::usage("--search wants a limit that can break")
            .next("give one with --fail-if, such as 'messages.latency_us.p99 > 10ms'"));
    }
    Ok(())
}

fn asked(flags: &Load) -> Result<Asked, Failure> {
    Ok(Asked {
        headers: flags.header.clone(),
        cacert: flags.trust.cacert.clone(),
        insecure: flags.trust.insecure,
        connections: flags.connections,
        connect_rate: flags.connect_rate,
        connect_timeout: flags.connect_timeout,
        duration: flags.messages.duration.unwrap_or(DURATION),
        message_rate: flags.messages.message_rate.clone(),
        arrivals: flags.messages.arrivals.into(),
        window: flags.messages.window(),
        size: flags.messages.size.clone(),
        kind: flags.messages.kind.into(),
        expect: flags.messages.expect.into(),
        client_ping: flags.messages.client_ping,
        script: flags.script.script().map_err(Failure::usage)?,
        churn: flags.returning.churn,
        herd: flags.returning.herd(),
        kills: kills(&flags.deaths.kill, flags.connections).map_err(Failure::usage)?,
        kill_at: match flags.deaths.kill_at {
            OrAuto::Auto => KillAt::Auto,
            OrAuto::Given(time) => KillAt::After(time),
        },
        kill_over: flags.deaths.kill_over,
        kill_times: flags.deaths.kill_times.into(),
        pong_delay: flags.deaths.pong_delay,
        flap_for: flags.deaths.flap_for,
        revive: flags.deaths.revive(),
        watch: match flags.deaths.watch {
            OrAuto::Auto => Watch::Auto,
            OrAuto::Given(time) => Watch::For(time),
        },
        server_ping: flags.server_ping.map(ServerPing::from),
        sources: flags.source.clone(),
        slice: flags.slice,
        shards: match flags.shards {
            OrAuto::Auto => None,
            OrAuto::Given(shards) => Some(shards),
        },
        cpus: flags.cpu.as_ref().map_or(Vec::new(), |cpus| cpus.0.clone()),
        seed: flags.seed,
        ..Asked::new(&flags.url)
    })
}

/// The ages at which the blackholed come back where nobody else could tell whether they were found:
/// up to a little after the last should have been.
fn revival_ages(plan: &Plan) -> Option<Between> {
    let blackholed = plan.kills.iter().any(|kill| kill.death == Death::Blackhole);
    let found_by = plan.server_ping.and_then(|ping| ping.detection_max());
    let to = found_by.map_or(REVIVAL_MAX, |max| max + max / 4);
    blackholed.then(|| Between { from: to / 20, to })
}

fn check_pids(pids: &[u32]) -> Result<(), Failure> {
    let gone = pids.iter().find(|pid| !Path::new(&format!("/proc/{pid}")).exists());
    match gone {
        Some(pid) => Err(Failure::usage(format!("--server-pid {pid}: there is no such process"))
            .next("`ss -ltnp` shows which process listens on which port")),
        None => Ok(()),
    }
}

/// The greatest age where nothing is known of the server's heartbeat.
const REVIVAL_MAX: Duration = Duration::from_secs(60);
const DURATION: Duration = Duration::from_secs(30);
