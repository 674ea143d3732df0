//! Runs beside other runs.
//!
//! One run against one cannot settle a ratio: the same program measured twice differs by what
//! [`Noise`] tells. So each side is run several times, and of each figure the ratio of the two medians
//! is told with an interval: the bootstrap over the runs of either side, as wide as it has to be for
//! all figures that are judged to lie in theirs 95 times in 100 (Bonferroni). Of so few runs that is
//! as wide as the runs themselves lie apart, and one in a hundred is outside by chance; so a figure is
//! *worse* only if its whole interval lies on the bad side of 1, at least as far from 1 as a tenth of
//! the interval is wide, and the medians differ by more than those of the same program do; *better*
//! likewise; *no verdict* if it lies nearer, or is so wide that it may be either; else *the same*.
//! With fewer than [`RUNS`] runs on a side there is no interval, and what differs by more than single
//! runs do has no verdict.
//!
//! Counts that ought to be zero and are not, where they were before, are worse however often it was
//! run.

use super::number::{or_dash, significant};
use super::schema::{Report, Spread};
use super::text::{figures, table};
use serde::Serialize;
use std::collections::BTreeMap;

/// By how much a figure of the same program may differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Noise {
    /// Of two runs.
    pub runs: f64,
    /// Of the medians of several runs.
    pub medians: f64,
}

impl Noise {
    /// Of medians, costs and memory.
    pub const USUAL: Self = Self { runs: 1.12, medians: 1.1 };
    /// Of a p99.
    pub const TAIL: Self = Self { runs: 1.5, medians: 1.3 };

    fn of(figure: &str) -> Self {
        if figure.ends_with(".p99") { Self::TAIL } else { Self::USUAL }
    }
}

/// So many runs of each side make an interval.
pub const RUNS: usize = 5;

/// How often the runs are drawn anew.
const DRAWS: usize = 10_000;

/// How often one of all figures may lie outside its interval.
const ERROR: f64 = 0.05;

/// An interval whose ends differ by more than this says neither that a figure is the same nor that
/// it is not.
const TOO_WIDE: f64 = 2.0;

/// How far from 1 an interval has to lie, in parts of its own width.
const DISTANCE: f64 = 0.1;

/// Two sides by side.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// Runs that are judged.
    pub runs: usize,
    /// Runs that they are held against.
    pub baseline_runs: usize,
    /// Each figure that was measured on one side.
    pub rows: Vec<Row>,
    /// Whether machine and plan are the same, or do not matter.
    pub comparable: bool,
    /// What may be said of the runs.
    pub judgement: Judgement,
    /// Why.
    pub reasons: Vec<String>,
}

/// A figure on two sides.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    /// Its path in `report.json`.
    pub figure: String,
    /// The median of the baseline.
    pub baseline: Option<f64>,
    /// The median of the runs that are judged.
    pub value: Option<f64>,
    /// The one over the other.
    pub ratio: Option<f64>,
    /// The ends of its interval. Null: too few runs, or not judged.
    pub interval: Option<[f64; 2]>,
    /// What may be said of it. Null: it is not judged, because neither more nor less of it is
    /// better, or it was not measured on both sides.
    pub judgement: Option<Judgement>,
}

/// What may be said of what stands beside its baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// Better.
    Better,
    /// Not different by more than the same program is from itself.
    Same,
    /// Worse.
    Worse,
    /// The runs cannot tell.
    NoVerdict,
}

impl Judgement {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Better => "better",
            Self::Same => "same",
            Self::Worse => "worse",
            Self::NoVerdict => "no verdict",
        }
    }
}

/// Which way a figure is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Times, costs, memory.
    Less,
    /// Rates that were reached.
    More,
}

impl Better {
    /// Of a figure by its path; none: it is a setting, a count or an end of a distribution, and not
    /// judged.
    pub fn of(figure: &str) -> Option<Self> {
        let ends = |end: &str| figure.ends_with(end);
        let percentile = [".p50", ".p99"].into_iter().any(ends);
        let times = TIMES.iter().any(|name| figure.contains(name));
        let cost = figure.starts_with("cost.") && ends(".value");
        let memory = figure.starts_with("memory.");
        match () {
            () if (times && percentile) || cost || memory => Some(Self::Less),
            () if RATES.contains(&figure) => Some(Self::More),
            () => None,
        }
    }
}

const TIMES: [&str; 7] = [
    "detection_ms",
    "reclaim_ms",
    "rtt_us",
    "latency_us",
    "service_us",
    "connect_ms",
    "handshake_ms",
];
const RATES: [&str; 2] = ["connections.rate_per_s", "messages.rate_per_s"];

/// Settings that must agree, or else runs say nothing about each other.
const SETTINGS: [&str; 13] = [
    "connections",
    "ping_interval_ms",
    "ping_timeout_ms",
    "message_rate_per_s",
    "message_bytes",
    "window",
    "client_ping_ms",
    "beat_ms",
    "churn_per_s",
    "herd",
    "kill",
    "kill_over_ms",
    "tls",
];

/// How runs are compared.
#[derive(Clone, Debug, Default)]
pub struct Terms {
    /// Figures that are judged though they usually are not: less of them is better.
    pub also: Vec<String>,
    /// Runs on other machines, or of other plans, are compared all the same.
    pub anyway: bool,
}

/// Puts `runs` beside `baseline`, each the repetitions of one thing.
///
/// # Panics
/// If one of them is empty.
pub fn compare(baseline: &[&Report], runs: &[&Report], terms: &Terms) -> Comparison {
    let sides = [Side::of(baseline), Side::of(runs)];
    let differences = differences(baseline[0], [baseline, runs].concat());
    let mut rows = sides[1].rows(&sides[0]);
    let judged = |row: &Row| {
        let better = Better::of(&row.figure);
        better.or_else(|| terms.also.contains(&row.figure).then_some(Better::Less))
    };
    let count = rows.iter().filter(|row| judged(row).is_some() && row.ratio.is_some()).count();
    for row in &mut rows {
        if let Some(better) = judged(row).filter(|_| row.ratio.is_some()) {
            let of = |side: &Side| side.values[&row.figure].clone();
            row.judge(better, &of(&sides[0]), &of(&sides[1]), ERROR / count as f64);
        }
    }
    let comparable = differences.is_empty() || terms.anyway;
    let (judgement, reasons) = match comparable {
        true => judge(&rows, &sides),
        false => (Judgement::NoVerdict, differences),
    };
    let (runs, baseline_runs) = (runs.len(), baseline.len());
    Comparison { runs, baseline_runs, rows, comparable, judgement, reasons }
}

/// Repetitions of one thing.
struct Side {
    /// In the order of the schema.
    figures: Vec<String>,
    /// What was measured of each figure.
    values: BTreeMap<String, Vec<f64>>,
}

impl Side {
    fn of(reports: &[&Report]) -> Self {
        let mut side = Self { figures: Vec::new(), values: BTreeMap::new() };
        for (figure, value) in reports.iter().flat_map(|report| figures(report)) {
            if !side.values.contains_key(&figure) {
                side.figures.push(figure.clone());
            }
            side.values.entry(figure).or_default().extend(value);
        }
        side
    }

    fn median(&self, figure: &str) -> Option<f64> {
        Some(Spread::of(self.values.get(figure)?)?.median)
    }

    fn sum(&self, figure: &str) -> f64 {
        self.values.get(figure).map_or(0.0, |values| values.iter().sum())
    }

    fn rows(&self, baseline: &Self) -> Vec<Row> {
        let row = |figure: &String| {
            let (baseline, value) = (baseline.median(figure), self.median(figure));
            let both = value.zip(baseline).filter(|(_, base)| *base > 0.0);
            let ratio = both.map(|(value, base)| value / base);
            Row { figure: figure.clone(), baseline, value, ratio, interval: None, judgement: None }
        };
        let rows = self.figures.iter().map(row);
        rows.filter(|row| row.baseline.or(row.value).is_some()).collect()
    }
}

impl Row {
    fn judge(&mut self, better: Better, baseline: &[f64], values: &[f64], error: f64) {
        let Some(ratio) = self.ratio else { return };
        self.interval = interval(baseline, values, error);
        let noise = Noise::of(&self.figure);
        let noise = if self.interval.is_some() { noise.medians } else { noise.runs };
        let is_noise = ratio <= noise && ratio >= noise.recip();
        let [low, high] = self.interval.unwrap_or([0.0, f64::MAX]);
        // Few runs make intervals that are too short: a near one has to keep its distance.
        let is_far = |end: f64| end.ln().abs() >= (high / low).ln() * DISTANCE;
        let (less, more) = match better {
            Better::Less => (Judgement::Better, Judgement::Worse),
            Better::More => (Judgement::Worse, Judgement::Better),
        };
        self.judgement = Some(match () {
            () if is_noise => Judgement::Same,
            () if low > 1.0 && is_far(low) => more,
            () if high < 1.0 && is_far(high) => less,
            () if low > 1.0 || high < 1.0 || high / low > TOO_WIDE => Judgement::NoVerdict,
            () => Judgement::Same,
        });
    }

    fn say(&self) -> String {
        let interval = self.interval.map_or(String::new(), |[low, high]| {
            format!(", {} to {} times as much", significant(low), significant(high))
        });
        let (value, baseline) = (or_dash(self.value), or_dash(self.baseline));
        format!("{}: {value} after {baseline}{interval}", self.figure)
    }
}

/// The interval of the ratio of medians that misses it with this probability. None: too few runs,
/// or one of them found nothing.
fn interval(baseline: &[f64], values: &[f64], error: f64) -> Option<[f64; 2]> {
    if baseline.len().min(values.len()) < RUNS || baseline.iter().any(|&value| value <= 0.0) {
        return None;
    }
    let mut random = fastrand::Rng::with_seed(1);
    let mut median = |side: &[f64]| {
        let drawn: Vec<f64> = side.iter().map(|_| side[random.usize(..side.len())]).collect();
        Spread::of(&drawn).expect("as many as there are").median
    };
    let mut ratios: Vec<f64> = (0..DRAWS).map(|_| median(values) / median(baseline)).collect();
    ratios.sort_by(f64::total_cmp);
    let outside = (DRAWS as f64 * error / 2.0) as usize;
    Some([ratios[outside], ratios[DRAWS - 1 - outside]])
}

fn judge(rows: &[Row], [baseline, runs]: &[Side; 2]) -> (Judgement, Vec<String>) {
    let lost =
        |figure: &&String| is_loss(figure) && runs.sum(figure) > 0.0 && baseline.sum(figure) == 0.0;
    let losses = runs.figures.iter().filter(lost);
    let mut worse: Vec<String> =
        losses.map(|figure| format!("{figure}: {} after 0", runs.sum(figure))).collect();
    let of = |judgement| {
        let rows = rows.iter().filter(move |row| row.judgement == Some(judgement));
        rows.map(Row::say).collect::<Vec<_>>()
    };
    worse.extend(of(Judgement::Worse));
    let (better, unknown) = (of(Judgement::Better), of(Judgement::NoVerdict));
    let some_same = rows.iter().any(|row| row.judgement == Some(Judgement::Same));
    let is_single = rows.iter().all(|row| row.interval.is_none());
    match () {
        () if !worse.is_empty() => (Judgement::Worse, worse),
        () if is_single && !unknown.is_empty() => (Judgement::NoVerdict, unknown),
        () if !better.is_empty() => (Judgement::Better, better),
        () if some_same => (Judgement::Same, Vec::new()),
        () => (Judgement::NoVerdict, unknown),
    }
}

/// Whether a count of this ought to be zero.
fn is_loss(figure: &str) -> bool {
    ["false_kills", "living.lost.reset"].contains(&figure)
        || figure.starts_with("connections.failed.")
        || figure.starts_with("living.lost.closed.")
        || (figure.starts_with("deaths.") && figure.ends_with(".pending"))
}

/// What makes runs incomparable.
fn differences(first: &Report, all: Vec<&Report>) -> Vec<String> {
    // What is off was not always a setting.
    let set = |report: &'_ Report, name: &str| {
        report.plan.get(name).filter(|&value| value != false && !value.is_null()).cloned()
    };
    let place = |report: &Report| (report.env.label(), report.env.cores, report.env.cpu.clone());
    let differ = |is_other: &dyn Fn(&Report) -> bool| all.iter().any(|report| is_other(report));
    let settings =
        SETTINGS.iter().filter(|&&name| differ(&|report| set(report, name) != set(first, name)));
    let mut found: Vec<_> = settings.map(|name| format!("the plans differ in {name}")).collect();
    if differ(&|report| place(report) != place(first)) {
        found.push("the machines differ".to_owned());
    }
    found
}

impl Comparison {
    /// Whether it is worse: in anything, or in one figure.
    pub fn judged(&self, figure: Option<&str>) -> Judgement {
        match figure {
            None => self.judgement,
            Some(_) if !self.comparable => Judgement::NoVerdict,
            Some(figure) => {
                let row = self.rows.iter().find(|row| row.figure == figure);
                row.and_then(|row| row.judgement).unwrap_or(Judgement::NoVerdict)
            }
        }
    }

    /// The rows that differ, as a table in Markdown, and what may be said.
    pub fn markdown(&self) -> String {
        let rows = self.rows.iter().filter(|row| row.value != row.baseline).map(|row| {
            let ratio = row.ratio.map_or_else(|| "–".into(), significant);
            let interval = row.interval.map_or_else(
                || "–".into(),
                |[low, high]| format!("{} to {}", significant(low), significant(high)),
            );
            let judgement = row.judgement.map_or("", Judgement::name).to_owned();
            let figure = format!("`{}`", row.figure);
            [figure, judgement, or_dash(row.baseline), or_dash(row.value), ratio, interval]
        });
        let rows: Vec<_> = rows.collect();
        let columns = ["figure", "", "baseline", "this", "ratio", "interval"];
        let mut text = table(&columns, 2, &rows);
        text.push_str(&format!("\n{}\n", self.sentence()));
        for reason in &self.reasons {
            text.push_str(&format!("- {reason}\n"));
        }
        text
    }

    /// What may be said, in a sentence.
    pub fn sentence(&self) -> String {
        let (runs, baseline) = (times(self.runs), times(self.baseline_runs));
        match self.judgement {
            Judgement::Better => format!("Better, {runs} beside {baseline}:"),
            Judgement::Worse => format!("Worse, {runs} beside {baseline}:"),
            Judgement::Same => format!(
                "The same, as far as {runs} beside {baseline} can tell: single runs of one program \
                 differ by up to {}, medians of several by {}, tails by more.",
                Noise::USUAL.runs,
                Noise::USUAL.medians
            ),
            Judgement::NoVerdict if !self.comparable => {
                "No verdict: they cannot be compared.".into()
            }
            Judgement::NoVerdict => format!(
                "No verdict: {runs} beside {baseline} cannot tell. Repeat both ({RUNS} times at \
                 least, --repeat), in turns:"
            ),
        }
    }
}

fn times(runs: usize) -> String {
    if runs == 1 { "one run".into() } else { format!("{runs} runs") }
}

#[cfg(test)]
mod tests;
