//! `--search`: the same load again and again, each time more of it, until a limit breaks.
//!
//! Each step is a run of its own, with all connections opened anew, so that nothing of the one before
//! is left. What is reported is the last that held; a step that the generator itself could not do is
//! one that did not hold.

use crate::exit::Failure;
use crate::units::{count, rate};
use halfopen_loadgen::plan::Asked;
use halfopen_loadgen::report::number::{count as count_of, significant};
use halfopen_loadgen::report::schema::{Report, SearchBlock, SearchStep, Verdict};

/// What grows, and between what.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Search {
    what: What,
    from: f64,
    to: f64,
}

/// What may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Connections,
    MessageRate,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::MessageRate => "message-rate",
        }
    }
}

/// `connections=1k..100k` or `message-rate=1k/s..64k/s`.
pub(crate) fn search(text: &str) -> Result<Search, String> {
    let wrong = "a search is written as connections=1k..100k or message-rate=1k/s..64k/s";
    let (name, range) = text.split_once('=').ok_or(wrong)?;
    let (from, to) = range.split_once("..").ok_or(wrong)?;
    let what = [What::Connections, What::MessageRate].into_iter().find(|what| what.name() == name);
    let what = what.ok_or(wrong)?;
    let value = |text: &str| match what {
        What::Connections => count::<1>(text).map(f64::from),
        What::MessageRate => rate(text),
    };
    let (from, to) = (value(from)?, value(to)?);
    if from > to {
        return Err("a search goes from the least to the most".into());
    }
    Ok(Search { what, from, to })
}

/// By how much each step is more than the one before.
pub(crate) fn factor(text: &str) -> Result<f64, String> {
    let factor = text.parse().ok().filter(|factor| (1.01..=10.0).contains(factor));
    factor.ok_or_else(|| "allowed are 1.01 to 10".into())
}

impl Search {
    /// The load of the first step.
    pub(crate) fn begin(&self, asked: &mut Asked) {
        self.apply(self.from, asked);
    }

    /// The load of one step.
    pub(crate) fn apply(&self, value: f64, asked: &mut Asked) {
        match self.what {
            What::Connections => asked.connections = value as u32,
            What::MessageRate => asked.message_rate = Some(value.into()),
        }
    }

    fn values(&self, factor: f64) -> Vec<f64> {
        let rounded = |value: f64| match self.what {
            What::Connections => value.round(),
            What::MessageRate => value,
        };
        let grown = std::iter::successors(Some(self.from), |value| Some(value * factor));
        let mut values: Vec<f64> =
            grown.map(rounded).take_while(|value| *value < self.to).collect();
        values.push(self.to);
        values.dedup();
        values
    }

    /// Goes up until a step does not hold, which `attempt` does and measures. Gives what came of the
    /// last that held, or of the first if none did, with an account of all.
    pub(crate) fn climb<T>(
        &self,
        factor: f64,
        mut attempt: impl FnMut(f64) -> Result<(Report, T), Failure>,
    ) -> Result<(Report, T), Failure> {
        let mut steps = Vec::new();
        let mut best: Option<(Report, T)> = None;
        for value in self.values(factor) {
            let (report, rest) = attempt(value)?;
            let step = step(value, &report);
            let (held, stopped) = (step.held, report.verdict == Verdict::Interrupted);
            steps.push(step);
            if held || best.is_none() {
                best = Some((report, rest));
            }
            if !held || stopped {
                break;
            }
        }
        let (mut report, rest) = best.expect("there is at least one step");
        let search = self.account(steps);
        report.finding = format!("{} {}", say(&search), report.finding);
        report.search = Some(search);
        Ok((report, rest))
    }

    fn account(&self, steps: Vec<SearchStep>) -> SearchBlock {
        SearchBlock {
            what: self.what.name().into(),
            held: steps.iter().rfind(|step| step.held).map(|step| step.value),
            broke: steps.iter().find(|step| !step.held).map(|step| step.value),
            steps,
        }
    }
}

fn step(value: f64, report: &Report) -> SearchStep {
    let missed = report.thresholds.iter().filter(|limit| !limit.held);
    let mut broken: Vec<String> = missed.map(|limit| limit.expr.clone()).collect();
    match report.verdict {
        Verdict::NoVerdict => broken.push("the generator was the bottleneck".into()),
        Verdict::Failed => broken.push("the run failed".into()),
        Verdict::Interrupted => broken.push("it was interrupted".into()),
        Verdict::Ok | Verdict::ThresholdMissed => {}
    }
    SearchStep { value, held: broken.is_empty(), broken }
}

fn say(search: &SearchBlock) -> String {
    let many = |value: f64| {
        let number =
            if value >= 1_000.0 { count_of(value.round() as u64) } else { significant(value) };
        match search.what.as_str() {
            "connections" => format!("{number} connections"),
            _ => format!("{number} messages a second"),
        }
    };
    let broke = search.broke.map(|value| {
        let step = search.steps.last().map(|step| step.broken.join(", "));
        format!("{} did not ({})", many(value), step.unwrap_or_default())
    });
    match (search.held, broke) {
        (Some(held), Some(broke)) => format!("{} held, {broke}.", many(held)),
        (Some(held), None) => format!("{} held, the most that was tried.", many(held)),
        (None, broke) => format!("Not even the least held: {}.", broke.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_loadgen::report::schema::ThresholdBlock;

    /// A report of a run whose limit held or not.
    fn report(held: bool) -> Report {
        let published = include_str!("../../../results/2026-11-23-default/report.json");
        let mut report: Report = serde_json::from_str(published).unwrap();
        report.thresholds = vec![ThresholdBlock { expr: "x > 1".into(), value: None, held }];
        report.verdict = if held { Verdict::Ok } else { Verdict::ThresholdMissed };
        report
    }

    fn climb(text: &str, most: f64) -> (Vec<f64>, SearchBlock, f64) {
        let mut tried = Vec::new();
        let attempt = |value| {
            tried.push(value);
            Ok((report(value <= most), value))
        };
        let (report, best) = search(text).unwrap().climb(2.0, attempt).unwrap();
        (tried, report.search.unwrap(), best)
    }

    #[test]
    fn it_goes_up_until_a_limit_breaks_and_tells_the_last_that_held() {
        let (tried, search, best) = climb("message-rate=1k/s..64k/s", 5_000.0);
        assert_eq!(tried, [1_000.0, 2_000.0, 4_000.0, 8_000.0]);
        assert_eq!((search.held, search.broke, best), (Some(4_000.0), Some(8_000.0), 4_000.0));
        assert_eq!(search.steps[3].broken, ["x > 1"]);
    }

    #[test]
    fn it_ends_at_the_most_or_with_the_first() {
        let (tried, search, best) = climb("connections=100..500", 1e9);
        assert_eq!(tried, [100.0, 200.0, 400.0, 500.0]);
        assert_eq!((search.held, search.broke, best), (Some(500.0), None, 500.0));
        let (tried, search, best) = climb("connections=100..500", 1.0);
        assert_eq!((tried.len(), search.held, search.broke, best), (1, None, Some(100.0), 100.0));
    }

    #[test]
    fn what_cannot_grow_is_refused() {
        for wrong in [
            "",
            "connections",
            "connections=5",
            "size=1..2",
            "connections=5..1",
            "message-rate=x..1",
        ] {
            assert!(search(wrong).is_err(), "{wrong}");
        }
        assert!(factor("1").is_err() && factor("x").is_err() && factor("1.5") == Ok(1.5));
    }
}
