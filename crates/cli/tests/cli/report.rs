use crate::program::run;
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Checks a document against the schema that is published beside each report.
pub(crate) fn assert_valid(report: &Value) {
    let schema = halfopen_loadgen::report::schema::json_schema();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> =
        validator.iter_errors(report).map(|e| format!("{}: {e}", e.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?}");
}

#[test]
fn a_report_is_shown_in_every_format_and_beside_another() {
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let flags = ["lab", "-c10", "--kill=fin=2", "-d100ms", "--repeat=2", "-q", "--out", place];
    assert_eq!(run(&flags).status, Some(0));
    let mut folders: Vec<_> =
        fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let [one, other] = &folders[..] else { panic!("{folders:?}") };
    let (one, other) = (one.to_str().unwrap(), other.to_str().unwrap());

    let json = run(&["report", one, "--format=json"]);
    assert_valid(&json.document());
    assert_eq!(json.document()["connections"]["opened"], 10);
    assert_eq!(run(&["report", one, "--json"]).out, json.out);
    assert!(run(&["report", one, "--format=md"]).out.starts_with("# halfopen"));
    assert!(run(&["report", one, other, "--format=csv"]).out.lines().count() > 100);
    assert!(run(&["report", one]).out.starts_with("<!DOCTYPE html>"));

    let beside = run(&["report", one, "--baseline", one, "--format=md", "--fail-if=worse"]);
    assert_eq!(beside.status, Some(0), "{beside:?}");
    assert!(beside.out.contains("beside the baseline"), "{beside:?}");

    let missed = run(&["report", one, "--format=csv", "--fail-if=connections.opened < 11"]);
    assert_eq!(missed.status, Some(3), "{missed:?}");
    assert_eq!(run(&["report", one, "--fail-if=connections.opened > 11"]).status, Some(0));

    let page = run(&["report", one, other]);
    assert!(page.out.contains("2 runs beside each other"), "{page:?}");
    let into = tempfile::tempdir().unwrap();
    let kept = ["report", one, "--baseline", other, "--out", into.path().to_str().unwrap()];
    let kept = run(&kept).out;
    assert!(kept.trim_end().ends_with("-comparison/comparison.html"), "{kept}");
    assert!(fs::read_to_string(kept.trim_end()).unwrap().contains("beside the baseline"));
    let trend = run(&["report", one, other, "--format=trend"]).document();
    let point =
        trend.as_array().unwrap().iter().find(|p| p["name"] == "connections.connect_ms.p50");
    assert_eq!(point.map(|point| &point["unit"]), None, "ten connections have no median");
    assert!(!trend.as_array().unwrap().is_empty(), "{trend}");

    lose_one(Path::new(other));
    let worse = run(&["report", other, "--baseline", one, "--format=csv", "--fail-if=worse"]);
    assert_eq!(worse.status, Some(3), "{worse:?}");
    assert!(worse.err.contains("false_kills"), "{worse:?}");
}

#[test]
fn figures_have_names_and_one_of_them_can_be_what_must_not_be_worse() {
    let list = run(&["report", "--list-metrics"]);
    assert_eq!(list.status, Some(0), "{list:?}");
    let line = list.out.lines().find(|line| line.starts_with("pings.client.rtt_us.p99 "));
    let words: Vec<_> = line.unwrap().split_whitespace().collect();
    assert_eq!(words, ["pings.client.rtt_us.p99", "µs", "less"]);
    assert!(list.out.lines().all(|line| line.chars().count() <= 80), "{list:?}");
    let all = run(&["report", "--list-metrics", "--json"]).document();
    assert_eq!(all.as_array().unwrap().len(), list.out.lines().count() - 1);

    let measured = concat!(env!("CARGO_MANIFEST_DIR"), "/../../results/2026-11-30-million");
    let beside = |limit: &str| {
        run(&["report", measured, "--baseline", measured, "--format=csv", "--fail-if", limit])
    };
    assert_eq!(beside("worse:pings.server.rtt_us.p50").status, Some(0));
    // Asked for, even a count is judged: less of it is better.
    assert_eq!(beside("worse:connections.opened").status, Some(0));
    assert_eq!(beside("worse:messages.latency_us.p50").status, Some(4));
    let unknown = beside("worse:pings.rtt");
    assert_eq!(unknown.status, Some(2), "{unknown:?}");
    assert!(unknown.err.contains("--list-metrics"), "{unknown:?}");
    let alone = run(&["report", measured, "--fail-if=worse"]);
    assert_eq!(alone.status, Some(2), "{alone:?}");
}

/// As if a living connection had been lost to the heartbeat.
fn lose_one(folder: &Path) {
    let path = folder.join("report.json");
    let mut report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    report["false_kills"] = 1.into();
    fs::write(&path, report.to_string()).unwrap();
}

#[test]
fn slices_of_a_plan_are_shown_as_the_one_run_that_they_are() {
    let server = crate::program::Served::start(&["--ping-interval=200ms"]);
    let out = tempfile::tempdir().unwrap();
    let (url, place) = (server.url(), out.path().to_str().unwrap());
    let common =
        ["load", &url, "-c31", "-d500ms", "-r200/s", "--kill=fin=5", "--kill-at=100ms", "-q"];
    let slice = |of: &str| {
        let own = [format!("--slice={of}"), format!("--name={}", of.replace('/', "of"))];
        let flags = [&common[..], &["--out", place], &own.each_ref().map(String::as_str)].concat();
        crate::program::halfopen(&flags).spawn().unwrap()
    };
    for mut child in ["1/3", "2/3", "3/3"].map(slice) {
        assert!(child.wait().unwrap().success());
    }
    let folders = fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path());
    let folders: Vec<String> = folders.map(|path| path.to_str().unwrap().into()).collect();
    let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
    let whole = tempfile::tempdir().unwrap();
    let into = ["report", "--format=json", "--out", whole.path().to_str().unwrap()];
    let ran = run(&[&into[..], &folders].concat());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let report = ran.document();
    assert_valid(&report);
    assert_eq!(
        (&report["connections"]["requested"], &report["connections"]["opened"]),
        (&31.into(), &31.into())
    );
    assert_eq!(
        (&report["deaths"]["fin"]["killed"], &report["living"]["at_end"]),
        (&5.into(), &26.into())
    );
    let messages = &report["messages"];
    assert_eq!(messages["sent"], messages["latency_us"]["count"]);
    assert!(messages["sent"].as_u64().unwrap() >= 90, "{messages}");
    let sum: u64 = folders.iter().map(|folder| opened(folder)).sum();
    assert_eq!(sum, 31);
    // What was put together is a run like any other.
    let folder = fs::read_dir(whole.path()).unwrap().next().unwrap().unwrap().path();
    assert_eq!(run(&["report", "--json", folder.to_str().unwrap()]).document(), report);

    let lacking = run(&[&["report"], &folders[1..]].concat());
    assert_eq!(lacking.status, Some(2), "{lacking:?}");
    assert!(lacking.err.contains("is missing"), "{lacking:?}");
}

fn opened(folder: &str) -> u64 {
    let report = fs::read(Path::new(folder).join("report.json")).unwrap();
    let report: Value = serde_json::from_slice(&report).unwrap();
    report["connections"]["opened"].as_u64().unwrap()
}
