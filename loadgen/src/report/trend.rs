//! Figures for tools that draw them over time: a list of name, unit, value and range, as
//! github-action-benchmark calls `customSmallerIsBetter`.

use super::compare::Better;
use super::schema::{Report, Spread};
use super::text::figures;
use crate::threshold::unit_of;
use serde::Serialize;

/// One figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Its path in `report.json`.
    pub name: String,
    /// In what it is counted.
    pub unit: &'static str,
    /// The median of the runs.
    pub value: f64,
    /// The least and the greatest of them; none of a single run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

/// Of the repetitions of one thing, each figure of which less is better, in the order of the report.
pub fn trend(runs: &[&Report]) -> Vec<Point> {
    let all: Vec<_> = runs.iter().map(|report| figures(report)).collect();
    let names = all.first().into_iter().flatten().map(|(name, _)| name);
    let point = |name: &String| {
        let values: Vec<f64> =
            all.iter().filter_map(|run| run.iter().find(|(figure, _)| figure == name)?.1).collect();
        let Spread { median, min, max, runs } = Spread::of(&values)?;
        let range = (runs > 1).then(|| format!("{min} to {max}"));
        Some(Point { name: name.clone(), unit: unit_of(name), value: median, range })
    };
    names.filter(|name| Better::of(name) == Some(Better::Less)).filter_map(point).collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample_run::sample;
    use super::*;

    #[test]
    fn each_figure_has_its_unit_and_the_range_of_its_runs() {
        let (report, _) = sample();
        let mut slower = report.clone();
        let rtt = slower.figures.pings.server.rtt_us.as_mut().unwrap();
        rtt.p50 = rtt.p50.map(|us| us + 2.0);
        let points = trend(&[&report, &slower]);
        let point = points.iter().find(|point| point.name == "pings.server.rtt_us.p50").unwrap();
        let first = report.figures.pings.server.rtt_us.unwrap().p50.unwrap();
        assert_eq!((point.unit, point.value), ("µs", first + 1.0));
        assert_eq!(point.range, Some(format!("{first} to {}", first + 2.0)));
        assert!(points.iter().all(|point| !point.name.ends_with("per_s")), "{points:?}");
        assert!(trend(&[&report]).iter().all(|point| point.range.is_none()));
        assert_eq!(trend(&[]), []);
    }
}
