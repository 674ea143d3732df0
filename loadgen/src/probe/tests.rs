//! The schema of a probe's document.

use super::{Diary, Findings, Role, json_schema};
use halfopen_wheel::Instant;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

fn document() -> Value {
    let found = Findings {
        url: "ws://127.0.0.1:9001/".into(),
        begun: Instant::from_nanos(1),
        ended: Instant::from_nanos(2),
        diaries: vec![Diary::new(Role::Idle)],
        failed: BTreeMap::new(),
        failure_example: None,
        rtts: Vec::new(),
        late: Duration::ZERO,
        interrupted: false,
        talked: true,
    };
    serde_json::to_value(found.document(None, SystemTime::UNIX_EPOCH)).unwrap()
}

/// What others script against: these paths stay.
const PROMISED: &str = "
    schema url pings interval_ms.count interval_ms.mean timeout_ms.mean jitter_ms
    traffic_suppresses idle_limit_ms detection.min_ms detection.p50_ms detection.max_ms doubts
";

#[test]
fn what_others_script_against_is_there_and_null_where_nothing_was_seen() {
    let document = document();
    for path in PROMISED.split_whitespace() {
        let found = document.pointer(&format!("/{}", path.replace('.', "/")));
        assert!(found.is_some(), "{path}: {document}");
    }
    assert_eq!(document["schema"], "halfopen.probe/1");
    for unknown in ["jitter_ms", "traffic_suppresses", "idle_limit_ms"] {
        assert_eq!(document[unknown], Value::Null, "{unknown}");
    }
}

#[test]
fn a_document_fits_its_schema_and_another_does_not() {
    let validator = jsonschema::validator_for(&json_schema()).unwrap();
    let document = document();
    assert!(validator.is_valid(&document), "{document}");
    for (pointer, wrong) in [
        ("/schema", Value::from("halfopen.probe/2")),
        ("/pings", Value::from("somebody")),
        ("/detection", Value::Null),
        ("/interval_ms", Value::from(20)),
    ] {
        let mut changed = document.clone();
        *changed.pointer_mut(pointer).unwrap() = wrong;
        assert!(!validator.is_valid(&changed), "{pointer}");
    }
    for field in document.as_object().unwrap().keys() {
        let mut lacking = document.as_object().unwrap().clone();
        lacking.remove(field);
        assert!(!validator.is_valid(&Value::Object(lacking)), "without {field}");
    }
}

#[test]
fn the_schema_that_is_published_is_the_one_in_use() {
    let published: Value = serde_json::from_str(include_str!("../../probe.schema.json")).unwrap();
    let same = published == json_schema();
    assert!(
        same,
        "copy the probe.schema.json of `halfopen probe --out` over loadgen/probe.schema.json"
    );
}
