use crate::program::run;
use halfopen_loadgen::calibrate::json_schema;
use std::fs;

/// Few messages: whether the figures are near enough is the machine's affair, and busy machines run
/// tests.
const SHORT: [&str; 6] =
    ["calibrate", "--rates=400", "--duration=2s", "-c20", "--delay=5ms..20ms", "--stall=300ms"];

#[test]
fn each_message_is_in_both_books_and_a_stall_shows_in_one() {
    let out = tempfile::tempdir().unwrap();
    let place = ["--json", "--name=books", "--out", out.path().to_str().unwrap()];
    let told = run(&[&SHORT[..], &place].concat());
    assert!([Some(0), Some(3)].contains(&told.status), "{told:?}");
    let json = told.document();
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    assert!(schema.is_valid(&json), "{json}");
    let runs = json["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    for run in runs {
        assert!(run["recorded"].as_u64().is_some_and(|n| n >= 200), "{run}");
        assert_eq!([&run["sent"], &run["answered"]], [&run["recorded"]; 2], "{run}");
    }
    let stall = &runs[1]["stall"];
    assert_eq!(stall["due"], 300);
    assert!(stall["latest_ms"].as_f64().is_some_and(|ms| ms >= 295.0), "{stall}");
    assert!(stall["latency_max_ms"].as_f64().is_some_and(|ms| ms >= 300.0), "{stall}");
    let folder = fs::read_dir(out.path()).unwrap().next().unwrap().unwrap().path();
    assert!(folder.to_str().unwrap().ends_with("-books"), "{folder:?}");
    for file in ["README.md", "calibrate.json", "calibrate.schema.json"] {
        assert!(folder.join(file).is_file(), "{file}");
    }
}

#[test]
fn a_generator_that_sleeps_in_secret_is_found_out() {
    let told = run(&[&SHORT[..], &["--sabotage=5ms"]].concat());
    assert_eq!(told.status, Some(3), "{told:?}");
    for words in ["not as recorded  400/s: p50 from the intended send is", "Not to be trusted"] {
        assert!(told.out.contains(words), "{words}: {told:?}");
    }
}

#[test]
fn a_stall_wants_room_around_it() {
    let told = run(&["calibrate", "--duration=1s"]);
    assert_eq!(told.status, Some(2), "{told:?}");
    assert!(told.err.contains("--duration=2s"), "{told:?}");
}
