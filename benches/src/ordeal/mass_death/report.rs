//! The measurements for people, held against what is claimed.

use super::Measured;
use crate::report::{Latency, Report, claim};
use crate::table::spread::Spread;
use halfopen_loadgen::report::number::{count, significant};
use std::fmt::Write;

/// The tick of the wheel, and what may come on top of it.
const LATENESS_MS_MAX: f64 = 8.0 + 20.0;

/// By how much the echoes of the living may be slower than before.
const ECHO_MS_MAX: f64 = 2.0;

/// From the first that is let go to the last, where all are due in one tick.
const FREED_MS_MAX: f64 = 1_500.0;

/// The page.
pub fn page(report: &Report<Measured>) -> String {
    let groups = groups(&report.runs);
    let claims = groups.iter().flat_map(Group::claims);
    let mut page = report.page("Everyone dies at once", HOW_TO_READ, claims);
    groups.iter().for_each(|group| page.push_str(&group.section()));
    page
}

const HOW_TO_READ: &str = "\
The cables of all victims are cut in one instant (IP_MINTTL), and the server finds them by its \
heartbeat. *As they fall*: pings are spread over the interval, and so are the deadlines. *In one \
tick*: the shards look at the clock only every so often, so that all pings go at one moment and all \
the dead are due in one tick; the cables are cut halfway between two such moments. The echoes count from the intended send. Server, \
victims and the living share the machine; the hiccups are its own stops. A figure is the median of \
the rounds, and behind it stand the least and the greatest; a claim about time is held by the median, \
and that nobody is lost by every round.\n\n";

/// The rounds of one driver in one way.
struct Group<'a>(Vec<&'a Measured>);

fn groups(runs: &[Measured]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for run in runs {
        match groups.iter_mut().find(|group| name(group.0[0]) == name(run)) {
            Some(group) => group.0.push(run),
            None => groups.push(Group(vec![run])),
        }
    }
    groups
}

fn name(run: &Measured) -> String {
    let how = if run.gather_ms.is_some() { "in one tick" } else { "as they fall" };
    format!("{}, {how}", run.driver)
}

impl Group<'_> {
    /// Of the rounds in which it was measured, if that is all of them.
    fn over(&self, figure: impl Fn(&Measured) -> Option<f64>) -> Option<Spread> {
        let figures: Option<Vec<_>> = self.0.iter().map(|run| figure(run)).collect();
        figures.map(|figures| Spread::of(&figures))
    }

    fn claims(&self) -> Vec<String> {
        let name = name(self.0[0]);
        let within = |says: &str, figure: fn(&Measured) -> Option<f64>, most: f64| {
            let spread = self.over(figure);
            let held = spread.is_some_and(|spread| spread.median <= most);
            claim(&name, says, &milliseconds(spread), held)
        };
        let all = |run: &&Measured| run.found == u64::from(run.victims) && run.lost == 0;
        let found = self.0.iter().map(|run| count(run.found)).collect::<Vec<_>>().join(", ");
        let says = "all victims are found, and none of the living is lost";
        let mut lines = vec![claim(&name, says, &found, self.0.iter().all(all))];
        if self.0[0].gather_ms.is_some() {
            lines.push(within(
                "all are let go within 1.5 s",
                |run| run.freed_over_ms,
                FREED_MS_MAX,
            ));
        } else {
            let says = "lateness p99 at most a tick and 20 ms";
            lines.push(within(says, |run| run.lateness.p99_ms, LATENESS_MS_MAX));
            let says = "the living's p99 within 2 ms of its quiet value";
            lines.push(within(says, Measured::echo_slower_ms, ECHO_MS_MAX));
        }
        lines
    }

    fn section(&self) -> String {
        let first = self.0[0];
        let ms = |ms: f64| format!("{} ms", significant(ms));
        let mut section = format!("\n## {}\n\n", name(first));
        let _ = writeln!(
            section,
            "{} victims and {} living, pinged every {} with {} to answer, on {} shards; {} rounds.\n",
            count(first.victims.into()),
            count(first.living.into()),
            ms(first.interval_ms),
            ms(first.timeout_ms),
            first.shards,
            self.0.len(),
        );
        section.push_str("| | |\n|---|---|\n");
        for (name, figure) in MOMENTS {
            let _ = writeln!(section, "| {name} | {} |", milliseconds(self.over(figure)));
        }
        section.push_str("\n| | count | p50 | p99 | p99.9 | max |\n|---|---|---|---|---|---|\n");
        let late = first.gather_ms.is_none();
        for (name, latency) in LATENCIES.iter().skip(usize::from(!late)) {
            section.push_str(&self.row(name, *latency));
        }
        section
    }

    fn row(&self, name: &str, latency: fn(&Measured) -> &Latency) -> String {
        let samples = self.0.iter().map(|run| latency(run).count).sum();
        let percentiles: [fn(&Latency) -> Option<f64>; 4] =
            [|l| l.p50_ms, |l| l.p99_ms, |l| l.p99_9_ms, |l| l.max_ms];
        let cells = percentiles.map(|at| milliseconds(self.over(|run| at(latency(run)))));
        format!("| {name} | {} | {} |\n", count(samples), cells.join(" | "))
    }
}

type Moment = (&'static str, fn(&Measured) -> Option<f64>);

const MOMENTS: [Moment; 7] = [
    ("from the first death to the last", |run| Some(run.killed_over_ms)),
    ("from the first death to the first let go", |run| run.first_freed_ms),
    ("from the first death to the last let go", |run| run.last_freed_ms),
    ("from the first let go to the last", |run| run.freed_over_ms),
    ("the longest turn of a shard, with its waits for a core", |run| Some(run.turn_ms_max)),
    ("all shards on a core, from the deaths on", |run| Some(run.shards_ran_ms)),
    ("all shards waiting for one meanwhile", |run| Some(run.shards_waited_ms)),
];

type Row = (&'static str, fn(&Measured) -> &Latency);

/// The first has a meaning only where deadlines are looked at as they fall.
const LATENCIES: [Row; 5] = [
    ("lateness of a detection", |run| &run.lateness),
    ("echo, before", |run| &run.echo_quiet),
    ("echo, from the deaths until all are let go", |run| &run.echo_during),
    ("hiccups, before", |run| &run.hiccups_quiet),
    ("hiccups, from the deaths on", |run| &run.hiccups_during),
];

impl Measured {
    /// By how much the 99th percentile of the living's echoes was longer than before.
    fn echo_slower_ms(&self) -> Option<f64> {
        let (during, quiet) = self.echo_during.p99_ms.zip(self.echo_quiet.p99_ms)?;
        Some(during - quiet)
    }
}

/// The median, and behind it the least and the greatest where there are several.
fn milliseconds(spread: Option<Spread>) -> String {
    let Some(Spread { median, min, max }) = spread else { return "–".into() };
    if min == max {
        return format!("{} ms", significant(median));
    }
    format!("{} ms ({} to {})", significant(median), significant(min), significant(max))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(p99_ms: Option<f64>) -> Latency {
        Latency { count: 1_000, p50_ms: Some(1.0), p99_ms, p99_9_ms: None, max_ms: Some(9.0) }
    }

    fn run(round: usize, lateness: Option<f64>, lost: u64, gather_ms: Option<f64>) -> Measured {
        let quiet = latency(Some(1.0));
        Measured {
            round,
            driver: "epoll",
            victims: 50,
            living: 5,
            interval_ms: 5_000.0,
            timeout_ms: 3_000.0,
            gather_ms,
            shards: 2,
            killed_over_ms: 1.0,
            found: 50,
            first_freed_ms: Some(3_000.0),
            last_freed_ms: Some(8_000.0),
            freed_over_ms: Some(5_000.0),
            lateness: latency(lateness),
            echo_quiet: quiet,
            echo_during: latency(Some(2.0 + round as f64)),
            hiccups_quiet: quiet,
            hiccups_during: quiet,
            lost,
            turn_ms_max: 5.0,
            shards_ran_ms: 300.0,
            shards_waited_ms: 100.0,
        }
    }

    #[test]
    fn times_are_held_by_the_median_of_the_rounds_and_losses_by_each() {
        let page_of = |late: [Option<f64>; 3], lost: u64| {
            let mut report = Report::begin("made-up/1", "made-up").unwrap();
            for (round, late) in late.into_iter().enumerate() {
                report.runs.push(run(round, late, lost * round as u64, None));
                report.runs.push(run(round, late, 0, Some(9_000.0)));
            }
            page(&report)
        };
        let row = |page: &str, row: &str| {
            assert!(page.lines().any(|line| line == format!("| epoll, {row} |")), "{row}\n{page}");
        };
        let good = page_of([Some(9.0), Some(31.0), Some(10.0)], 0);
        row(&good, "as they fall: lateness p99 at most a tick and 20 ms | 10 ms (9 to 31) | yes");
        row(
            &good,
            "as they fall: the living's p99 within 2 ms of its quiet value | 2 ms (1 to 3) | yes",
        );
        row(&good, "in one tick: all are let go within 1.5 s | 5000 ms | **no**");
        let bad = page_of([Some(9.0), Some(31.0), None], 1);
        row(&bad, "as they fall: lateness p99 at most a tick and 20 ms | – | **no**");
        let says = "all victims are found, and none of the living is lost | 50, 50, 50 |";
        row(&bad, &format!("as they fall: {says} **no**"));
        row(&bad, &format!("in one tick: {says} yes"));
        assert_eq!(good.matches("| lateness of a detection | 3,000 |").count(), 1, "{good}");
    }
}
