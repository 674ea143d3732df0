//! The figures of several runs of the same thing as those of one.
//!
//! What a figure is shows in its type and name: whole numbers are counts and are added up, `min` and
//! `max` stay what they are, and everything else is the median. So a figure that is new in the schema
//! is pooled without a word here.

use super::schema::Spread;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

/// One block of the same shape; none of no runs. What was measured in some runs only is told by
/// those.
pub(super) fn pool<T: Serialize + DeserializeOwned>(runs: &[&T]) -> Option<T> {
    if runs.is_empty() {
        return None;
    }
    let values: Vec<Value> =
        runs.iter().map(|run| serde_json::to_value(run).expect("figures are JSON")).collect();
    let pooled = value("", &values.iter().collect::<Vec<_>>());
    Some(serde_json::from_value(pooled).expect("it has the shape of its parts"))
}

fn value(name: &str, runs: &[&Value]) -> Value {
    let known: Vec<&Value> = runs.iter().copied().filter(|value| !value.is_null()).collect();
    match known.first() {
        None => Value::Null,
        Some(Value::Object(_)) => object(&known),
        Some(Value::Number(_)) => number(name, &known),
        Some(&words) => words.clone(),
    }
}

fn object(runs: &[&Value]) -> Value {
    let mut all: Map<String, Value> = Map::new();
    for name in runs.iter().filter_map(|run| run.as_object()).flat_map(Map::keys) {
        if !all.contains_key(name) {
            let fields: Vec<&Value> = runs.iter().filter_map(|run| run.get(name)).collect();
            all.insert(name.clone(), value(name, &fields));
        }
    }
    all.into()
}

fn number(name: &str, runs: &[&Value]) -> Value {
    let counts: Option<Vec<u64>> = runs.iter().map(|value| value.as_u64()).collect();
    if let Some(counts) = counts {
        return match name {
            "peak" => counts.iter().max().copied().into(),
            "server_rss_bytes" => median(runs).map(|bytes| bytes.round() as u64).into(),
            _ => counts.iter().sum::<u64>().into(),
        };
    }
    let figures = || runs.iter().filter_map(|value| value.as_f64());
    let pooled = match name {
        "min" | "watched_s" => figures().reduce(f64::min),
        "max" => figures().reduce(f64::max),
        _ => median(runs),
    };
    pooled.and_then(Number::from_f64).into()
}

fn median(runs: &[&Value]) -> Option<f64> {
    let figures: Vec<f64> = runs.iter().filter_map(|value| value.as_f64()).collect();
    Spread::of(&figures).map(|spread| spread.median)
}

#[cfg(test)]
mod tests {
    use super::super::sample_run::{Run, sample};
    use super::super::schema::Figures;
    use super::*;
    use crate::death::Death;

    #[test]
    fn counts_are_added_and_times_are_medians() {
        let (report, _) = sample();
        let one = report.figures;
        let (mut two, mut three) = (one.clone(), one.clone());
        two.connections.connect_ms.p50 = one.connections.connect_ms.p50.map(|ms| ms * 3.0);
        two.connections.connect_ms.max = one.connections.connect_ms.max.map(|ms| ms * 3.0);
        three.connections.connect_ms.p50 = None;
        three.connections.failed.insert("refused".into(), 4);
        three.memory.server_rss_bytes = two.memory.server_rss_bytes.map(|bytes| bytes + 10);
        let pooled = pool(&[&one, &two, &three]).unwrap();
        assert_eq!(pooled.connections.opened, 30_000);
        assert_eq!(pooled.connections.peak, 10_000);
        assert_eq!(pooled.connections.failed["refused"], 4);
        assert_eq!(pooled.deaths[&Death::Freeze].killed, 3_000);
        assert_eq!(pooled.memory.server_rss_bytes, one.memory.server_rss_bytes);
        let (ms, of_one) = (pooled.connections.connect_ms, one.connections.connect_ms);
        assert_eq!(ms.count, 30_000);
        let near = |a: Option<f64>, b: f64| (a.unwrap() - b).abs() < 1e-9;
        assert!(near(ms.p50, of_one.p50.unwrap() * 2.0), "of two runs the median lies between");
        assert!(near(ms.max, of_one.max.unwrap() * 3.0) && near(ms.min, of_one.min.unwrap()));
    }

    #[test]
    fn one_run_is_itself_and_what_no_run_measured_stays_null() {
        let mut run = Run::new();
        run.server = None;
        let figures = super::super::build(&run.input()).0.figures;
        assert_eq!(pool(&[&figures]).unwrap(), figures);
        assert_eq!(pool::<Figures>(&[]), None);
        let two = pool(&[&figures, &figures]).unwrap();
        assert!(two.pings.client.is_none() && two.pings.server.rtt_us.is_none());
    }
}
