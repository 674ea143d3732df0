//! What is shown of a run while it goes on.

use crate::dashboard::{Dashboard, Now};
use crate::screen::{Progress as Shown, Screen};
use halfopen_loadgen::plan::Plan;
use halfopen_loadgen::report::number::count;
use halfopen_loadgen::run::{Phase, Progress};
use halfopen_loadgen::swarm::Snapshot;

/// Shows how far a run is; `found` are the victims detected and reclaimed.
pub(crate) fn show(
    screen: &mut Screen,
    board: &mut Dashboard,
    plan: &Plan,
    run: &Progress,
    found: Option<(usize, usize)>,
) {
    let shown = run.snapshot();
    let words = words(plan, run, &shown, found);
    if !screen.has_room() {
        return screen.show(&words);
    }
    board.look(run, &shown);
    let (phase, wanted) = (words.phase.clone(), plan.own_connections().into());
    let now = Now { phase, wanted, shown: &shown, found };
    screen.show_drawn(&words, |width| board.lines(&now, width));
}

fn words(plan: &Plan, run: &Progress, shown: &Snapshot, found: Option<(usize, usize)>) -> Shown {
    let mut lines = vec![("connections", connections(plan, shown))];
    if is_pinged(plan, shown) {
        let (seen, answered) = (count(shown.pings_seen), count(shown.pings_answered));
        lines.push(("server's pings", format!("{seen} seen, {answered} answered")));
    }
    if plan.message_rate.is_some() || plan.window.is_some() {
        lines.push(("messages", messages(shown)));
    }
    if shown.killed > 0 {
        lines.push(("dead", dead(shown, found)));
    }
    Shown { phase: phase(plan, run.phase(), shown), lines }
}

fn phase(plan: &Plan, phase: Phase, shown: &Snapshot) -> String {
    let dying = plan.own_kills() > 0;
    match phase {
        Phase::Ramp => "opening connections".into(),
        Phase::Steady if dying && is_pinged(plan, shown) && !shown.all_answered() => {
            "waiting until everyone has answered a ping".into()
        }
        Phase::Steady => "holding connections".into(),
        Phase::Deaths => "killing".into(),
        Phase::Watch => "watching the dead".into(),
        Phase::End => "closing connections".into(),
    }
}

/// Whether the server pings, as far as is known.
fn is_pinged(plan: &Plan, shown: &Snapshot) -> bool {
    shown.pings_seen > 0 || plan.server_ping.is_some_and(|ping| ping.interval.is_some())
}

fn connections(plan: &Plan, shown: &Snapshot) -> String {
    let (open, all) = (count(shown.living()), count(plan.own_connections().into()));
    let (failed, lost) = (count(shown.failed), count(shown.lost));
    format!("{open} of {all} open, {failed} failed, {lost} lost")
}

fn messages(shown: &Snapshot) -> String {
    let (sent, received) = (count(shown.messages_sent), count(shown.messages_received));
    let p99 = shown.latency_p99.as_secs_f64() * 1e3;
    format!("{sent} sent, {received} received, 99 % within {p99:.2} ms")
}

fn dead(shown: &Snapshot, found: Option<(usize, usize)>) -> String {
    let killed = count(shown.killed);
    match found {
        Some((detected, reclaimed)) => {
            let (detected, reclaimed) = (count(detected as u64), count(reclaimed as u64));
            format!("{killed} killed, {detected} detected, {reclaimed} reclaimed")
        }
        None => format!("{killed} killed, {} seen to end", count(shown.ends_seen)),
    }
}
