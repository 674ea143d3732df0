//! What is written for operators holds: commands run, and names are those of the server.

use crate::admin::metrics;
use crate::exposition::Page;
use crate::program::Served;
use std::collections::HashSet;
use std::fs;
use std::path::Path;

/// A file of the repository.
pub(crate) fn file(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a server shows that has all it can have.
fn page() -> Page {
    metrics(&Served::start(&["--admin=127.0.0.1:0"]))
}

/// The names of metrics in a text: words that begin as ours and the process's do.
fn names(text: &str) -> HashSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("halfopen_") || word.starts_with("process_")).collect()
}

#[test]
fn every_metric_on_the_dashboard_and_in_the_alerts_is_exported() {
    let page = page();
    let dashboard: serde_json::Value =
        serde_json::from_str(&file("docs/grafana-dashboard.json")).unwrap();
    let mut queries = Vec::new();
    collect(&dashboard, "expr", &mut queries);
    collect(&dashboard, "query", &mut queries);
    assert!(queries.len() > 30, "{queries:?}");
    let alerts = file("docs/prometheus-alerts.yml");
    let used: HashSet<&str> = queries.iter().flat_map(|q| names(q)).chain(names(&alerts)).collect();
    let unknown: Vec<_> = used.difference(&page.names()).copied().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    // And the labels that they ask for have values.
    for (metric, label, value) in [
        ("halfopen_reclaimed_total", "cause", "silent"),
        ("halfopen_refusals_total", "reason", "full"),
    ] {
        assert!(alerts.contains(&format!("{label}=\"{value}\"")));
        assert!(page.label(metric, label).contains(value), "{metric}");
    }
}

#[test]
fn each_panel_of_the_dashboard_has_its_own_place_and_number() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&file("docs/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let numbers: HashSet<_> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
    assert_eq!(numbers.len(), panels.len());
    let mut taken = HashSet::new();
    for panel in panels {
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(x < 24 && taken.insert((x, y)), "{}", panel["title"]);
            }
        }
    }
}

#[test]
fn the_manual_lists_every_metric_and_no_other() {
    let manual = file("docs/operations.md");
    let page = page();
    let families: HashSet<&str> = page.families().collect();
    let rows = manual.lines().filter(|line| line.starts_with("| `"));
    let listed: HashSet<&str> = rows.flat_map(names).collect();
    let missing: Vec<_> = families.difference(&listed).collect();
    assert!(missing.is_empty(), "not in the manual: {missing:?}");
    let unknown: Vec<_> = names(&manual).into_iter().filter(|n| !families.contains(n)).collect();
    assert!(unknown.is_empty(), "only in the manual: {unknown:?}");
}

/// A row says which values a label has, where they are words and not numbers.
#[test]
fn the_manual_names_every_value_of_a_label_that_tells_counters_apart() {
    let manual = file("docs/operations.md");
    let page = page();
    for (metric, label) in
        [("halfopen_reclaimed_total", "cause"), ("halfopen_refusals_total", "reason")]
    {
        let row = format!("| `{metric}{{{label}}}` |");
        let row = manual.lines().find_map(|line| line.strip_prefix(&row)).expect(&row);
        let named: HashSet<&str> = row.split('`').skip(1).step_by(2).collect();
        assert_eq!(named, page.label(metric, label), "{metric}");
    }
}

/// `  drain=20s` and `key: 45`: the number behind a word.
fn seconds(text: &str, word: &str) -> u64 {
    let (_, rest) = text.split_once(word).unwrap_or_else(|| panic!("no {word}"));
    let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..digits].parse().unwrap_or_else(|_| panic!("{word}: {rest:.20}"))
}

#[test]
fn the_grace_period_is_longer_than_all_that_an_end_may_take() {
    let manifest = file("docs/kubernetes.yml");
    let manifest = manifest.split_once("apiVersion").unwrap().1;
    let grace = seconds(manifest, "terminationGracePeriodSeconds: ");
    let end = seconds(manifest, "sleep: {seconds: ")
        + seconds(manifest, "--drain=")
        + seconds(manifest, "--close-timeout=");
    assert!(end + 10 <= grace, "{end} of {grace}");
    let mut args = manifest.lines().map(str::trim).filter_map(|l| l.strip_prefix("- --"));
    let flags: Vec<String> = args.by_ref().map(|flag| format!("--{flag}")).collect();
    assert!(flags.len() >= 5);
    // The flags are those of this server, but for its addresses.
    let flags = flags.iter().map(String::as_str).filter(|flag| !flag.contains("0.0.0.0"));
    assert!(Served::start(&flags.collect::<Vec<_>>()).line.starts_with("listening"));
}

#[test]
fn the_container_is_built_by_the_compiler_that_the_workspace_asks_for() {
    let manifest = file("Cargo.toml");
    let version = manifest.split_once("rust-version = \"").unwrap().1.split('"').next().unwrap();
    let container = file("Containerfile");
    assert!(container.contains(&format!("rust:{version}-")), "{version}");
    assert!(container.contains(":nonroot\n"));
    let words = container.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    let words: Vec<String> = serde_json::from_str(words).unwrap();
    assert_eq!(words[0], "serve");
    let flags: Vec<&str> = words[1..].iter().map(String::as_str).collect();
    let flags: Vec<&str> = flags.into_iter().filter(|flag| !flag.contains("0.0.0.0")).collect();
    assert!(Served::start(&flags).line.starts_with("listening"));
}

/// All texts under a key, however deep.
pub(crate) fn collect<'a>(value: &'a serde_json::Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        serde_json::Value::Object(map) => {
            found.extend(map.get(key).and_then(serde_json::Value::as_str));
            map.values().for_each(|value| collect(value, key, found));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, key, found)),
        _ => {}
    }
}
