//! What criterion left of one round.

use anyhow::Context;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

/// What one contestant needed for one row in one round.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The bench.
    pub bench: String,
    /// Who.
    pub contestant: String,
    /// The row.
    pub row: String,
    /// Elements in an iteration.
    pub elements: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// An iteration's median time, ns.
    pub ns: f64,
}

/// `benchmark.json`, the part that is needed.
#[derive(Deserialize)]
struct Benchmark {
    full_id: String,
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
enum Throughput {
    ElementsAndBytes {
        elements: u64,
        bytes: u64,
    },
    #[serde(other)]
    Other,
}

/// `estimates.json`, the part that is needed.
#[derive(Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// All that was saved below `home` under the name of a baseline, in the order of these ids; those that
/// are not among them, or no contest, are passed over.
///
/// # Errors
/// A file cannot be read, or is not criterion's.
pub fn read(home: &Path, baseline: &str, ids: &[String]) -> anyhow::Result<Vec<Reading>> {
    let mut found = Vec::new();
    walk(home, baseline, &mut found)?;
    let place = |id: &str| ids.iter().position(|one| one == id);
    let mut readings: Vec<_> =
        found.into_iter().filter_map(|(id, reading)| Some((place(&id)?, reading))).collect();
    readings.sort_by_key(|(place, _)| *place);
    Ok(readings.into_iter().map(|(_, reading)| reading).collect())
}

fn walk(
    folder: &Path,
    baseline: &str,
    readings: &mut Vec<(String, Reading)>,
) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))? {
        let entry = entry?;
        if !entry.file_type()?.is_dir() {
            continue;
        }
        if entry.file_name() == baseline {
            readings.extend(reading(&entry.path())?);
        } else {
            walk(&entry.path(), baseline, readings)?;
        }
    }
    Ok(())
}

fn reading(folder: &Path) -> anyhow::Result<Option<(String, Reading)>> {
    let benchmark: Benchmark = json(&folder.join("benchmark.json"))?;
    let (Some(contestant), Some(row)) = (benchmark.function_id, benchmark.value_str) else {
        return Ok(None);
    };
    let Some(Throughput::ElementsAndBytes { elements, bytes }) = benchmark.throughput else {
        return Ok(None);
    };
    let estimates: Estimates = json(&folder.join("estimates.json"))?;
    let ns = estimates.median.point_estimate;
    let reading = Reading { bench: benchmark.group_id, contestant, row, elements, bytes, ns };
    Ok(Some((benchmark.full_id, reading)))
}

fn json<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let bytes = fs::read(path).with_context(|| format!("reading {}", path.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn save(home: &Path, id: &str, round: &str, ns: f64) {
        let folder = home.join(id.replace('/', "_")).join(round);
        fs::create_dir_all(&folder).unwrap();
        let (contestant, row) = id.split_once('/').unwrap();
        let benchmark = serde_json::json!({
            "full_id": id, "group_id": "mask", "function_id": contestant, "value_str": row,
            "throughput": {"ElementsAndBytes": {"elements": 3, "bytes": 15}}, "title": id,
        });
        fs::write(folder.join("benchmark.json"), benchmark.to_string()).unwrap();
        let estimates = serde_json::json!({"median": {"point_estimate": ns}, "mean": null});
        fs::write(folder.join("estimates.json"), estimates.to_string()).unwrap();
    }

    #[test]
    fn the_readings_of_a_round_come_in_the_order_of_the_ids() {
        let home = tempfile::tempdir().unwrap();
        save(home.path(), "b/5 B", "round-1", 7.0);
        save(home.path(), "a/5 B", "round-1", 8.0);
        save(home.path(), "a/5 B", "round-2", 9.0);
        save(home.path(), "c/5 B", "round-1", 1.0);
        let ids = ["b/5 B", "a/5 B"].map(str::to_owned);
        let readings = read(home.path(), "round-1", &ids).unwrap();
        let found: Vec<_> = readings.iter().map(|one| (&*one.contestant, one.ns)).collect();
        assert_eq!(found, [("b", 7.0), ("a", 8.0)]);
        assert_eq!((readings[0].elements, readings[0].bytes), (3, 15));
    }
}
