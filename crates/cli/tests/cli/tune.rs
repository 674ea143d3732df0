use crate::program::run;
use halfopen_loadgen::tune::json_schema;
use std::fs;

const ASKED: [&str; 5] = ["tune", "--connections=3M", "--detect=60s", "--behind=alb", "--loss=1%"];

#[test]
fn an_interval_is_recommended_and_spelled_for_servers_and_proxies() {
    let told = run(&ASKED);
    assert_eq!(told.status, Some(0), "{told:?}");
    for words in ["* take 52 s / 7 s", "--ws-ping-interval 52", "idle_timeout.timeout_seconds = 60"]
    {
        assert!(told.out.contains(words), "{words}: {told:?}");
    }
    let json = run(&[&ASKED[..], &["--json"]].concat()).document();
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    assert!(schema.is_valid(&json), "{json}");
    assert_eq!(json["recommended"]["interval_ms"], 52_000.0);
    assert_eq!(json["recommended"]["lost_packets_survived"], 5);
}

#[test]
fn a_published_run_gives_the_costs_and_the_answer_is_kept_with_its_picture() {
    let measured = concat!(env!("CARGO_MANIFEST_DIR"), "/../../results/2026-11-30-million");
    let out = tempfile::tempdir().unwrap();
    let place = out.path().to_str().unwrap();
    let own = ["--measured", measured, "--out", place, "--name=fleet"];
    let told = run(&[&ASKED[..], &own].concat());
    assert_eq!(told.status, Some(0), "{told:?}");
    assert!(told.out.contains("a run of 1000000 connections"), "{told:?}");
    let folder = fs::read_dir(place).unwrap().next().unwrap().unwrap().path();
    assert!(folder.to_str().unwrap().ends_with("-fleet"), "{folder:?}");
    for file in ["tune.json", "tune.schema.json", "tune.svg"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
}

#[test]
fn where_nothing_keeps_the_bound_there_is_no_verdict() {
    let told = run(&["tune", "-c", "10k", "--detect", "1s", "--rtt", "2s"]);
    assert_eq!(told.status, Some(4), "{told:?}");
    assert!(told.out.contains("every row breaks something"), "{told:?}");
}

#[test]
fn what_is_recommended_is_tried() {
    let flags =
        ["tune", "-c2k", "--detect=2s", "--rtt=20ms", "--verify", "--scale=500", "--json", "-q"];
    let json = run(&flags).document();
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    assert!(schema.is_valid(&json), "{json}");
    let verified = &json["verified"];
    assert_eq!((&verified["victims"], &verified["found"]), (&450.into(), &450.into()), "{json}");
    let half = &verified["p50_ms"];
    let [predicted, measured] = ["predicted", "measured"].map(|of| half[of].as_f64().unwrap());
    assert!((measured / predicted - 1.0).abs() < 0.5, "{json}");
}
