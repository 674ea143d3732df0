//! The table of the contests: rounds of the criterion benches, and what comes of them.
//!
//! Criterion measures one id after the other, and a machine drifts. So the benches run several times
//! over, the contestants of a row close together and in another order in each [round](rounds), and
//! all that is claimed of two contestants is claimed of rounds in which both took part: the median of
//! their ratio over the rounds, with the least and the greatest beside it. In every round halfopen
//! takes part twice, and the ratio of the two is what a ratio of 1 looks like here.

pub mod claim;
pub mod folder;
pub mod machine;
pub mod markdown;
pub mod reading;
pub mod rounds;
pub mod spread;

use claim::Claim;
use machine::Machine;
use reading::Reading;
use serde::Serialize;
use spread::{Spread, geometric_mean};
use std::collections::BTreeSet;

/// How contestants that are not rivals are called.
pub const OURS: &str = "halfopen";
/// Ours, with nothing better than AVX2.
pub const OURS_AVX2: &str = "halfopen-avx2";
/// Ours once more.
pub const OURS_AGAIN: &str = "halfopen-again";
/// The floor under the mask.
pub const FLOOR: &str = "xor-loop";

/// All of it, as `framing.json` holds it.
#[derive(Debug, Serialize)]
pub struct Table {
    /// The name and version of this form.
    pub schema: &'static str,
    /// When the measurement began, RFC 3339.
    pub started: String,
    /// The command that measured.
    pub command: Vec<String>,
    /// Where.
    pub machine: Machine,
    /// How many rounds there were.
    pub rounds: usize,
    /// The benches, in the order in which they ran.
    pub benches: Vec<Bench>,
    /// What is claimed of them, and whether it held.
    pub claims: Vec<Claim>,
}

/// One bench.
#[derive(Debug, Serialize)]
pub struct Bench {
    /// Its name.
    pub name: String,
    /// Everyone who took part in a row of it.
    pub contestants: Vec<String>,
    /// Its rows.
    pub rows: Vec<Row>,
    /// The best rival's time over halfopen's: the geometric mean over the rows, in each round.
    pub ratio: Option<Spread>,
    /// The same with nothing better than AVX2.
    pub ratio_avx2: Option<Spread>,
    /// Halfopen over halfopen.
    pub ratio_again: Option<Spread>,
}

/// One input.
#[derive(Debug, Serialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// Frames, messages or calls in one iteration.
    pub elements: u64,
    /// Bytes of payload in it.
    pub bytes: u64,
    /// What each needed.
    pub times: Vec<Time>,
    /// The fastest rival, by its median.
    pub best_rival: Option<String>,
    /// The best rival's time over halfopen's: 2 is twice as fast.
    pub ratio: Option<Spread>,
    /// The same with nothing better than AVX2.
    pub ratio_avx2: Option<Spread>,
    /// The floor's time over halfopen's.
    pub ratio_floor: Option<Spread>,
    /// Halfopen over halfopen.
    pub ratio_again: Option<Spread>,
}

/// What a contestant needed for one element, ns.
#[derive(Debug, Serialize)]
pub struct Time {
    /// Who.
    pub contestant: String,
    /// Over the rounds.
    pub ns: Spread,
    /// In each round.
    pub rounds_ns: Vec<f64>,
}

impl Row {
    /// The times of one contestant, if it took part.
    pub fn time(&self, contestant: &str) -> Option<&Time> {
        self.times.iter().find(|time| time.contestant == contestant)
    }

    /// Bytes in one element.
    pub fn element_bytes(&self) -> f64 {
        self.bytes as f64 / self.elements as f64
    }

    fn new(name: &str, readings: &[&Reading]) -> Self {
        let mut times: Vec<Time> = Vec::new();
        for contestant in unique(readings.iter().map(|reading| reading.contestant.as_str())) {
            let mine = readings.iter().filter(|reading| reading.contestant == contestant);
            let rounds_ns: Vec<_> =
                mine.map(|reading| reading.ns / reading.elements as f64).collect();
            times.push(Time { contestant, ns: Spread::of(&rounds_ns), rounds_ns });
        }
        let (elements, bytes) = (readings[0].elements, readings[0].bytes);
        let mut row = Self {
            name: name.to_owned(),
            elements,
            bytes,
            best_rival: best_rival(&times),
            times,
            ratio: None,
            ratio_avx2: None,
            ratio_floor: None,
            ratio_again: None,
        };
        if let Some(best) = row.best_rival.clone() {
            row.ratio = row.ratio_of(&best, OURS);
            row.ratio_avx2 = row.ratio_of(&best, OURS_AVX2);
        }
        row.ratio_floor = row.ratio_of(FLOOR, OURS);
        row.ratio_again = row.ratio_of(OURS_AGAIN, OURS);
        row
    }

    /// How far halfopen over halfopen is off its median, in the median of the rounds.
    pub fn again_off(&self) -> Option<f64> {
        let ratios = self.ratios(OURS_AGAIN, OURS)?;
        let middle = Spread::of(&ratios).median;
        let off: Vec<_> = ratios.iter().map(|ratio| (ratio - middle).abs()).collect();
        Some(Spread::of(&off).median)
    }

    fn ratio_of(&self, over: &str, under: &str) -> Option<Spread> {
        Some(Spread::of(&self.ratios(over, under)?))
    }

    /// One's time over the other's, in each round.
    fn ratios(&self, over: &str, under: &str) -> Option<Vec<f64>> {
        let (over, under) = (self.time(over)?, self.time(under)?);
        let pairs = over.rounds_ns.iter().zip(&under.rounds_ns);
        Some(pairs.map(|(over, under)| over / under).collect())
    }
}

fn best_rival(times: &[Time]) -> Option<String> {
    let rivals = times
        .iter()
        .filter(|time| ![OURS, OURS_AVX2, OURS_AGAIN, FLOOR].contains(&&*time.contestant));
    let best = rivals.min_by(|a, b| a.ns.median.total_cmp(&b.ns.median))?;
    Some(best.contestant.clone())
}

impl Bench {
    /// All benches that there are readings of.
    pub fn all(readings: &[Reading]) -> Vec<Self> {
        let names = unique(readings.iter().map(|reading| reading.bench.as_str()));
        names.iter().map(|name| Self::new(name, readings)).collect()
    }

    /// The rows and conclusions of one bench; the readings are in the order of the rounds, and each
    /// round's in the order of the rows.
    pub fn new(name: &str, readings: &[Reading]) -> Self {
        let mine: Vec<_> = readings.iter().filter(|reading| reading.bench == name).collect();
        let rows: Vec<_> = unique(mine.iter().map(|reading| reading.row.as_str()))
            .iter()
            .map(|row| {
                let of_row = mine.iter().copied().filter(|reading| reading.row == *row);
                Row::new(row, &of_row.collect::<Vec<_>>())
            })
            .collect();
        let contestants = mine.iter().map(|reading| reading.contestant.as_str());
        let contestants: BTreeSet<_> = contestants.map(str::to_owned).collect();
        let (ratio, ratio_avx2, ratio_again) = (
            over_rows(&rows, |row| Some((row.best_rival.as_deref()?, OURS))),
            over_rows(&rows, |row| Some((row.best_rival.as_deref()?, OURS_AVX2))),
            over_rows(&rows, |_| Some((OURS_AGAIN, OURS))),
        );
        let contestants = contestants.into_iter().collect();
        Self { name: name.to_owned(), contestants, rows, ratio, ratio_avx2, ratio_again }
    }
}

/// The geometric mean over the rows of who over whom, in each round.
fn over_rows<'a>(
    rows: &'a [Row],
    pair: impl Fn(&'a Row) -> Option<(&'a str, &'a str)>,
) -> Option<Spread> {
    let pairs: Vec<_> = rows
        .iter()
        .filter_map(|row| {
            let (over, under) = pair(row)?;
            Some((&row.time(over)?.rounds_ns, &row.time(under)?.rounds_ns))
        })
        .collect();
    let rounds = pairs.iter().map(|(over, under)| over.len().min(under.len())).min()?;
    let means: Vec<_> = (0..rounds)
        .map(|round| geometric_mean(pairs.iter().map(|(over, under)| over[round] / under[round])))
        .collect();
    Some(Spread::of(&means))
}

fn unique<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    names.filter(|&name| seen.insert(name)).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
