//! `lab --server`: foreign servers at the same work, in turns, and one comparison of all at the end.
//!
//! The turns go forth and back over the servers, so that a drift of the machine meets all alike. A
//! server that fails drops out, and the others go on.

use super::Resolved;
use crate::admin::load::Running;
use crate::args::{Foreign, Lab, with_port};
use crate::argv::line;
use crate::exit::{Exit, Failure, Outcome};
use crate::foreign::{ForeignServer, Wait, free_port};
use crate::input::{Known, report};
use crate::interrupt::Interrupt;
use crate::leftovers;
use crate::measure::{Job, SAMPLE_EVERY, hopeless, measure, plan_error, waits_blindly};
use crate::publish::{check_out, print, tell, thresholds};
use crate::screen::Screen;
use halfopen_loadgen::plan::{Plan, resolve};
use halfopen_loadgen::report::Histograms;
use halfopen_loadgen::report::folder::{self, Draft};
use halfopen_loadgen::report::schema::{Report, Skipped};
use halfopen_loadgen::report::servers::{Contest, Contestant, beside};
use halfopen_loadgen::threshold::Threshold;
use serde_json::{Map, Value, json};
use std::path::Path;

/// Runs every server as often as was asked for.
pub(super) fn run(flags: &Lab, json: bool, quiet: bool) -> Outcome {
    let lab = Resolved::of(flags)?;
    let servers = flags.foreign.servers().map_err(Failure::usage)?;
    let thresholds = thresholds(&flags.thresholds.fail_if)?;
    for server in &servers {
        lab.plan(flags, server, 1)?;
    }
    check_out(&flags.out)?;
    let interrupt = Interrupt::or_leave()?;
    let draft = Draft::begin(&flags.out).map_err(|e| Failure::run(e.to_string()))?;
    leftovers::add(draft.path().to_owned());
    let mut turns = Turns {
        flags,
        lab: &lab,
        thresholds: &thresholds,
        interrupt: &interrupt,
        screen: Screen::new(quiet),
        draft: &draft,
        contestants: servers.iter().map(|one| Contestant::new(&one.name, &one.command)).collect(),
        failures: servers.iter().map(|_| None).collect(),
    };
    turns.take(&servers);
    let Turns { contestants, failures, .. } = turns;
    let contest = Contest {
        argv: line(),
        contestants: &contestants,
        skipped: skipped(flags, &contestants, &failures),
        interrupted: interrupt.asked(),
        failed: failures.iter().any(Option::is_some),
        thresholds: &thresholds,
    };
    finish(flags, draft, &contest, failures, json)
}

/// The servers that were named as such, and those that never ran.
fn skipped(flags: &Lab, contestants: &[Contestant], failures: &[Option<Failure>]) -> Vec<Skipped> {
    let failed = contestants.iter().zip(failures).filter_map(|(contestant, failure)| {
        let failure = failure.as_ref().filter(|_| contestant.runs() == 0)?;
        Some(Skipped { name: contestant.name.clone(), reason: failure.cause.clone() })
    });
    flags.foreign.server_skipped.iter().cloned().chain(failed).collect()
}

fn finish(
    flags: &Lab,
    draft: Draft,
    contest: &Contest<'_>,
    failures: Vec<Option<Failure>>,
    json: bool,
) -> Outcome {
    let mut failures: Vec<Failure> = failures.into_iter().flatten().collect();
    let outcome = match beside(contest) {
        None if contest.interrupted => Ok(Exit::Interrupted),
        None => Ok(Exit::Failed),
        Some((report, histograms)) => {
            if json {
                print(&folder::json(&report))?;
            }
            let name = flags.name.as_deref().unwrap_or("lab");
            tell(&report, draft.publish(&report, &histograms, name).map(Some), json)
        }
    };
    if contest.interrupted || failures.is_empty() {
        return outcome;
    }
    let last = failures.pop().expect("there is one");
    failures.iter().for_each(|failure| eprintln!("{failure}"));
    outcome.and(Err(last))
}

/// All runs of all servers.
struct Turns<'a> {
    flags: &'a Lab,
    lab: &'a Resolved,
    thresholds: &'a [Threshold],
    interrupt: &'a Interrupt,
    screen: Screen,
    draft: &'a Draft,
    contestants: Vec<Contestant>,
    /// Why each server dropped out, if it did.
    failures: Vec<Option<Failure>>,
}

impl Turns<'_> {
    fn take(&mut self, servers: &[Foreign]) {
        self.lab.notes.iter().for_each(|note| self.screen.note(note));
        for round in 0..self.flags.repeat {
            for number in order(servers.len(), round) {
                if self.failures[number].is_some() {
                    continue;
                }
                if let Err(failure) = self.one(number, &servers[number], round) {
                    let name = &servers[number].name;
                    self.screen.note(&format!("{name} drops out: {}", failure.cause));
                    self.failures[number] = Some(failure);
                }
                if self.interrupt.asked() {
                    return;
                }
            }
        }
    }

    /// One run of one server.
    fn one(&mut self, number: usize, server: &Foreign, round: u32) -> Result<(), Failure> {
        let folder = format!("{}-{}", server.name, round + 1);
        self.screen.note(&format!(
            "{}, run {} of {}{}",
            server.name,
            round + 1,
            self.flags.repeat,
            self.lab.cores()
        ));
        let port = free_port()?;
        let plan = self.lab.plan(self.flags, server, port)?;
        if waits_blindly(&plan) && round == 0 {
            self.screen.note("deaths wait for its pings, 60 s at most; --server-ping says more");
        }
        let mut process = ForeignServer::start(server, port, &self.lab.server_cpus)?;
        let made = self.load(&mut process, server, plan);
        let words = process.stop();
        let Some((report, histograms, failure)) = made? else { return Ok(()) };
        self.keep(&folder, server, &report, &histograms, &words)?;
        self.contestants[number].add(folder, report, &histograms);
        failure.map_or(Ok(()), Err)
    }

    /// None: interrupted before anything was measured.
    fn load(
        &mut self,
        process: &mut ForeignServer,
        server: &Foreign,
        plan: Plan,
    ) -> Result<Option<(Report, Histograms, Option<Failure>)>, Failure> {
        let (driver, patience) = (self.lab.load_driver, self.flags.foreign.server_start);
        let wait = process.wait_for_handshake(&plan, driver, patience, self.interrupt)?;
        if wait == Wait::Interrupted {
            return Ok(None);
        }
        let job = Job {
            plan,
            driver,
            server_pids: vec![process.pid()],
            hiccups: true,
            sample_every: SAMPLE_EVERY,
            running: Running::default(),
        };
        let mut measured = measure(job, &mut self.screen, self.interrupt, || process.died())?;
        let failure = measured.server_died.take().or_else(|| hopeless(&measured.outcome));
        let known = Known {
            settings: self.lab.settings_of(server),
            server_cpus: self.lab.server_cpus.clone(),
            thresholds: self.thresholds,
            failure: failure.as_ref().map(|failure| failure.cause.clone()),
            ..Known::default()
        };
        let (report, histograms) = report(&measured, known);
        Ok(Some((report, histograms, failure)))
    }

    /// Writes the report of a run, and beside it what its server said last.
    fn keep(
        &self,
        folder: &str,
        server: &Foreign,
        report: &Report,
        histograms: &Histograms,
        words: &str,
    ) -> Result<(), Failure> {
        let file = Path::new(folder).join(format!("{}.stderr.txt", server.name));
        let written = self.draft.add(folder, report, histograms);
        written
            .and_then(|()| self.draft.put(&file, words.as_bytes()))
            .map_err(|error| Failure::run(format!("the report is not kept: {error}")))
    }
}

impl Resolved {
    fn plan(&self, flags: &Lab, server: &Foreign, port: u16) -> Result<Plan, Failure> {
        let asked = self.asked(flags, &with_port(&server.url, port), server.ping);
        resolve(&asked).map_err(|e| plan_error(&e))
    }

    /// What the report's plan says of the server.
    fn settings_of(&self, server: &Foreign) -> Map<String, Value> {
        let settings = json!({
            "server_name": server.name,
            "server_command": server.command,
            "server_cpus": self.server_cpus,
            "load_driver": self.load_driver.name(),
        });
        settings.as_object().cloned().unwrap_or_default()
    }
}

/// The servers in the order of a round: forth, and the next time back.
fn order(servers: usize, round: u32) -> Vec<usize> {
    let forth = 0..servers;
    if round.is_multiple_of(2) { forth.collect() } else { forth.rev().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_go_forth_and_back() {
        assert_eq!(order(3, 0), [0, 1, 2]);
        assert_eq!(order(3, 1), [2, 1, 0]);
        assert_eq!(order(3, 2), order(3, 0));
        assert_eq!(order(1, 1), [0]);
    }
}
