use crate::program::{Served, run};
use std::fs;

#[test]
fn a_plan_runs_and_its_report_does_the_run_again() {
    let server = Served::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let plan = folder.path().join("plan.toml");
    let text = format!(
        "url = '{}'\nconnections = 7\nduration = '100ms'\nmessage-rate = '100/s'\nname = 'planned'\n\
         [kill]\nfin = 2\n",
        server.url()
    );
    fs::write(&plan, text).unwrap();
    let (plan, out) = (plan.to_str().unwrap(), folder.path().to_str().unwrap());
    let first = run(&["load", "--plan", plan, "--kill-at=50ms", "-q", "--out", out]);
    assert_eq!(first.status, Some(0), "{first:?}");
    let runs = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let published = runs.into_iter().find(|path| path.is_dir()).unwrap().join("report.json");
    // The plan is not needed any more.
    fs::remove_file(plan).unwrap();
    let published = published.to_str().unwrap();
    let again = run(&["load", "--plan", published, "-c9", "--json", "-q"]);
    assert_eq!(again.status, Some(0), "{again:?}");
    let report = again.document();
    assert_eq!(report["connections"]["opened"], 9, "what is typed goes first");
    assert_eq!(report["deaths"]["fin"]["killed"], 2);
    let first: serde_json::Value = serde_json::from_slice(&fs::read(published).unwrap()).unwrap();
    for setting in ["url", "duration_ms", "message_rate_per_s", "kill", "kill_at", "seed"] {
        assert_eq!(report["plan"][setting], first["plan"][setting], "{setting}");
    }
    assert!(!report["argv"].to_string().contains("--plan"), "{}", report["argv"]);
}

#[test]
fn a_lab_is_done_again_by_its_report_and_load_says_whose_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let first = run(&["lab", "-c10", "--kill=fin=2", "-d100ms", "--seed=5", "-q", "--out", out]);
    assert_eq!(first.status, Some(0), "{first:?}");
    let ran = fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let published = ran.join("report.json");
    let published = published.to_str().unwrap();
    let again = run(&["lab", "--plan", published, "--json", "-q", "--out", out]);
    assert_eq!(again.status, Some(0), "{again:?}");
    let report = again.document();
    assert_eq!(
        (&report["plan"]["seed"], &report["connections"]["opened"]),
        (&5.into(), &10.into())
    );
    assert_eq!(report["deaths"]["fin"]["killed"], 2);
    let other = run(&["load", "--plan", published]);
    assert_eq!(other.status, Some(2), "{other:?}");
    assert!(other.err.contains("halfopen lab --plan"), "{other:?}");
}
