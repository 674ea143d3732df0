//! What is written for operators holds: commands run, and names are those of the server.

use crate::admin::metrics;
use crate::exposition::Page;
use crate::program::Served;
use halfopen_sim::skipped;
use std::collections::HashSet;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

#[test]
fn every_command_in_the_manual_runs() {
    if let Some(missing) = ["curl", "jq"].into_iter().find(|tool| !is_there(tool)) {
        return skipped(&format!("no {missing}, so the commands of the manual are not run"));
    }
    let manual = file("docs/operations.md");
    let place = tempfile::tempdir().unwrap();
    // Stands for the profile of a container engine, which lies on a server of its own.
    let profile = r#"{"defaultAction": "SCMP_ACT_ERRNO", "syscalls": []}"#;
    fs::write(place.path().join("default.json"), profile).unwrap();
    let blocks = commands(&manual);
    assert!(blocks.len() >= 4, "{blocks:?}");
    for block in blocks {
        run(&block, place.path());
    }
    let profile = fs::read(place.path().join("halfopen.json")).unwrap();
    let profile: serde_json::Value = serde_json::from_slice(&profile).unwrap();
    assert_eq!(profile["syscalls"][0]["names"][0], "io_uring_setup");
}

fn is_there(tool: &str) -> bool {
    Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success())
}

#[test]
fn every_command_about_the_interval_runs() {
    let place = tempfile::tempdir().unwrap();
    let blocks = commands(&file("docs/which-interval.md"));
    assert_eq!(blocks.len(), 3, "{blocks:?}");
    blocks.iter().for_each(|block| run(block, place.path()));
}

/// The blocks of `sh` that are not marked as not to be run.
fn commands(manual: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut before = "";
    let mut lines = manual.lines();
    while let Some(line) = lines.next() {
        if line == "```sh" {
            let block: Vec<_> = lines.by_ref().take_while(|line| *line != "```").collect();
            if !before.starts_with("<!-- not run: ") {
                blocks.push(block.join("\n"));
            }
        }
        before = line;
    }
    blocks
}

/// Runs a block as a newcomer would, but on ports that are free.
fn run(block: &str, place: &Path) {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_halfopen"));
    let path = std::env::var("PATH").unwrap();
    let free: Vec<TcpListener> =
        (0..2).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> = free.iter().map(|l| l.local_addr().unwrap().port()).collect();
    drop(free);
    let block = block.replace("9001", &ports[0].to_string()).replace("9100", &ports[1].to_string());
    let output = Command::new("sh")
        .args(["-euc", &block])
        .current_dir(place)
        .env("PATH", format!("{}:{path}", program.parent().unwrap().display()))
        .env_remove("HALFOPEN_LOG")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{block}\n{}\n{text}",
        String::from_utf8_lossy(&output.stdout)
    );
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
