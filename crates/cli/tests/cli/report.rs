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
    assert!(beside.out.contains("Beside the baseline"), "{beside:?}");

    let missed = run(&["report", one, "--format=csv", "--fail-if=connections.opened < 11"]);
    assert_eq!(missed.status, Some(3), "{missed:?}");
    assert_eq!(run(&["report", one, "--fail-if=connections.opened > 11"]).status, Some(0));

    lose_one(Path::new(other));
    let worse = run(&["report", other, "--baseline", one, "--format=csv", "--fail-if=worse"]);
    assert_eq!(worse.status, Some(3), "{worse:?}");
    assert!(worse.err.contains("false_kills"), "{worse:?}");
}

/// As if a living connection had been lost to the heartbeat.
fn lose_one(folder: &Path) {
    let path = folder.join("report.json");
    let mut report: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    report["false_kills"] = 1.into();
    fs::write(&path, report.to_string()).unwrap();
}
