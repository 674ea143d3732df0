//! Paths through a report, checked against its schema, so that a misspelt one is found before the
//! run and not after it.

use super::ThresholdError;
use super::unit::Unit;
use crate::death::Death;
use crate::report::schema::json_schema;
use serde_json::Value;

/// A number in a report.
#[derive(Debug)]
pub(super) struct Leaf {
    pub(super) segments: Vec<String>,
    pub(super) unit: Unit,
}

/// Maps whose absent keys were counted, and not found.
const TALLIES: [&[&str]; 4] = [
    &["connections", "failed"],
    &["connections", "churn", "failed"],
    &["connections", "herd", "failed"],
    &["living", "lost", "closed"],
];

/// Whether what is not under `path` came zero times, rather than not having been measured.
pub(super) fn counts_absence(path: &[String]) -> bool {
    TALLIES.iter().any(|tally| path == *tally)
}

impl Leaf {
    pub(super) fn find(path: &str) -> Result<Self, ThresholdError> {
        let schema = json_schema();
        let mut node = Some(&schema);
        for segment in path.split('.') {
            node = node.and_then(|node| step(&schema, node, segment));
        }
        if node.is_some_and(is_number) {
            let segments = path.split('.');
            let unit = Unit::of_path(segments.clone());
            return Ok(Self { segments: segments.map(str::to_owned).collect(), unit });
        }
        Err(ThresholdError::UnknownPath { path: path.to_owned(), nearest: nearest(&schema, path) })
    }
}

/// What is under `name`.
fn step<'a>(schema: &'a Value, node: &'a Value, name: &str) -> Option<&'a Value> {
    children(schema, node)
        .into_iter()
        .find(|(key, _)| key == name || key == ANY)
        .map(|(_, node)| node)
}

/// Stands for the keys of a map that may be any.
const ANY: &str = "*";

fn children<'a>(schema: &'a Value, node: &'a Value) -> Vec<(String, &'a Value)> {
    let fixed = node.get("properties").and_then(Value::as_object);
    let fixed = fixed.into_iter().flatten().map(|(name, child)| (name.clone(), child));
    let mut all: Vec<_> = fixed.collect();
    if let Some(child) = node.get("additionalProperties").filter(|child| child.is_object()) {
        let deaths = node.pointer("/propertyNames").is_some();
        let names = if deaths { Death::ALL.map(Death::name).to_vec() } else { vec![ANY] };
        all.extend(names.into_iter().map(|name| (name.to_owned(), child)));
    }
    all.into_iter().map(|(name, child)| (name, resolve(schema, child))).collect()
}

/// Follows references, and takes what may be null for what it is otherwise.
fn resolve<'a>(schema: &'a Value, node: &'a Value) -> &'a Value {
    if let Some(reference) = node.get("$ref").and_then(Value::as_str) {
        let target = schema.pointer(reference.trim_start_matches('#'));
        return resolve(schema, target.expect("a schema refers to what it holds"));
    }
    let choices = node.get("anyOf").and_then(Value::as_array);
    let not_null = |choice: &&Value| choice.get("type").is_none_or(|kind| kind != "null");
    match choices.and_then(|choices| choices.iter().find(not_null)) {
        Some(choice) => resolve(schema, choice),
        None => node,
    }
}

fn is_number(node: &Value) -> bool {
    let numeric = |kind: &Value| kind == "number" || kind == "integer";
    match node.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(numeric),
        Some(kind) => numeric(kind),
        None => false,
    }
}

/// Every path that leads to a number.
pub(super) fn all() -> Vec<String> {
    let (schema, mut leaves) = (json_schema(), Vec::new());
    collect(&schema, &schema, "", &mut leaves);
    leaves
}

/// The three figures whose names are most like `path`.
fn nearest(schema: &Value, path: &str) -> Vec<String> {
    let mut leaves = Vec::new();
    collect(schema, schema, "", &mut leaves);
    leaves.sort_by_cached_key(|leaf| distance(leaf, path));
    leaves.truncate(3);
    leaves
}

fn collect(schema: &Value, node: &Value, prefix: &str, leaves: &mut Vec<String>) {
    for (name, child) in children(schema, node) {
        let path = if prefix.is_empty() { name } else { format!("{prefix}.{name}") };
        if is_number(child) {
            leaves.push(path);
        } else {
            collect(schema, child, &path, leaves);
        }
    }
}

/// Levenshtein's: how many letters to insert, remove or replace.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.chars().count()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_that_the_schema_names_is_found() {
        let leaves = all();
        assert!(leaves.len() > 100, "{leaves:?}");
        for leaf in &leaves {
            Leaf::find(leaf).unwrap();
        }
        for path in [
            "connections.opened",
            "living.lost.heartbeat",
            "living.lost.closed.1001",
            "deaths.blackhole.residual_ms.p99",
            "deaths.freeze.predicted.ks.distance",
            "cost.both_ends_cpu_us_per_heartbeat.value",
            "memory.server_user_bytes_per_connection",
        ] {
            Leaf::find(path).unwrap();
        }
    }

    #[test]
    fn units_come_from_names() {
        let unit = |path: &str| Leaf::find(path).unwrap().unit;
        assert_eq!(unit("deaths.freeze.detection_ms.p99"), Unit::Time(1_000_000));
        assert_eq!(unit("deaths.freeze.detection_ms.count"), Unit::Plain);
        assert_eq!(unit("deaths.freeze.watched_s"), Unit::Time(1_000_000_000));
        assert_eq!(unit("messages.rate_per_s"), Unit::PerSecond);
        assert_eq!(unit("cost.server_cpu_us_per_heartbeat.value"), Unit::Time(1_000));
        assert_eq!(unit("cost.wire_bytes_per_heartbeat.high"), Unit::Bytes);
        assert_eq!(unit("cost.packets_per_heartbeat.value"), Unit::Plain);
        assert_eq!(unit("pings.server.burst_ratio_100ms"), Unit::Plain);
        assert_eq!(unit("memory.server_user_bytes_per_connection"), Unit::Bytes);
    }

    #[test]
    fn distance_counts_edits() {
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("same", "same"), 0);
    }
}
