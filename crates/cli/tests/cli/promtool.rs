//! Alerts and dashboard, judged by Prometheus' own `promtool`: it parses what Prometheus would parse,
//! and evaluates it over series. `PROMTOOL` names it; without one nothing here is looked at.

use crate::admin::fetch;
use crate::operations::{collect, file};
use crate::program::Served;
use halfopen_sim::skipped;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const ALERTS: &str = "prometheus-alerts.yml";
const TESTS: &str = "prometheus-alerts.test.yml";

/// Runs `promtool KIND rules FILE`; none where there is no promtool.
fn promtool(kind: &str, path: &Path) -> Option<Output> {
    let tool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".into());
    let ran = Command::new(&tool).args([kind, "rules"]).arg(path).output();
    ran.map_err(|error| skipped(&format!("{tool}: {error}; alerts and queries go unjudged"))).ok()
}

/// Whether the alerts are good and pass their tests.
fn is_sound(alerts: &str) -> Option<bool> {
    let place = tempfile::tempdir().unwrap();
    let [rules, tests] = [ALERTS, TESTS].map(|name| place.path().join(name));
    fs::write(&rules, alerts).unwrap();
    fs::write(&tests, file(&format!("docs/{TESTS}"))).unwrap();
    Some(promtool("check", &rules)?.status.success() && promtool("test", &tests)?.status.success())
}

#[test]
fn every_alert_fires_where_it_has_to_and_nowhere_else() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (kind, name) in [("check", ALERTS), ("test", TESTS)] {
        let Some(output) = promtool(kind, &docs.join(name)) else { return };
        assert!(output.status.success(), "{output:?}");
    }
}

#[test]
fn every_alert_has_a_test_that_it_fires_and_one_that_it_does_not() {
    let (alerts, tests) = (file(&format!("docs/{ALERTS}")), file(&format!("docs/{TESTS}")));
    let names: Vec<_> = alerts.lines().filter_map(|line| line.split_once("- alert: ")).collect();
    assert!(names.len() > 5, "{names:?}");
    for (_, name) in names {
        assert!(tests.contains(&format!("alertname: {name}}}")), "{name} is not seen to be silent");
        assert!(tests.contains(&format!("alertname: {name}\n")), "{name} is not seen to fire");
    }
}

/// Mistakes that were made once: a file that Prometheus does not load, sides that never match, and
/// the restarts of strangers.
#[test]
fn alerts_that_cannot_work_are_caught() {
    let good = file(&format!("docs/{ALERTS}"));
    let mistakes = [
        ("> on (job, instance) (0.5 * halfopen_", "> 0.5 * on (job, instance) (halfopen_"),
        (
            "sum by (job, instance) (increase(halfopen_reclaimed_total",
            "(increase(halfopen_reclaimed_total",
        ),
        ("sum by (job, instance) (halfopen_connections)", "halfopen_connections"),
        ("and on (job, instance) present_over_time(halfopen_build_info[1h])", ""),
    ];
    for (right, wrong) in mistakes {
        let bad = good.replace(right, wrong);
        assert_ne!(bad, good, "{right} is not there");
        let Some(is_sound) = is_sound(&bad) else { return };
        assert!(!is_sound, "{wrong}");
    }
}

/// The series of a page, as promtool's tests are given them: each grows, as seen by two instances.
fn series(page: &str) -> Vec<Value> {
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    let names = samples.map(|line| line.rsplit_once(' ').unwrap().0);
    let of = |instance: &str, series: &str| {
        let labels = format!("job=\"ws\",instance=\"{instance}\"");
        let series = match series.split_once('{') {
            Some((name, rest)) => format!("{name}{{{labels},{rest}"),
            None => format!("{series}{{{labels}}}"),
        };
        json!({"series": series, "values": "0+1x30"})
    };
    names.flat_map(|series| ["a", "b"].map(|instance| of(instance, series))).collect()
}

/// A query as Grafana sends it.
fn filled_in(query: &str) -> String {
    let variables =
        [("$job", "ws"), ("$instance", "a|b"), ("$__rate_interval", "4m"), ("$__interval", "4m")];
    let query = variables.iter().fold(query.to_owned(), |q, (name, value)| q.replace(name, value));
    assert!(!query.contains('$'), "{query}");
    query
}

/// Whether each query finds something on the page of two servers; none where nobody can tell.
fn all_find_something(queries: &[&str], page: &str) -> Option<bool> {
    let found = |query: &&str| {
        let expr = format!("count({}) > bool 0", filled_in(query));
        let samples = json!([{"labels": "{}", "value": 1}]);
        json!({"expr": expr, "eval_time": "30m", "exp_samples": samples})
    };
    let found: Vec<_> = queries.iter().map(found).collect();
    let test = json!({"interval": "1m", "input_series": series(page), "promql_expr_test": found});
    let place = tempfile::NamedTempFile::new().unwrap();
    fs::write(place.path(), json!({"rule_files": [], "tests": [test]}).to_string()).unwrap();
    let output = promtool("test", place.path())?;
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    Some(output.status.success())
}

#[test]
fn every_query_of_the_dashboard_finds_something() {
    let (_, page) = fetch(&Served::start(&["--admin=127.0.0.1:0"]), "/metrics");
    let dashboard: Value = serde_json::from_str(&file("docs/grafana-dashboard.json")).unwrap();
    let mut queries = Vec::new();
    collect(&dashboard, "expr", &mut queries);
    assert!(queries.len() > 30, "{queries:?}");
    let Some(good) = all_find_something(&queries, &page) else { return };
    assert!(good);
    for bad in ["halfopen_reclaimed_total / halfopen_connections", "rate(halfopen_connections)"] {
        assert_eq!(all_find_something(&[bad], &page), Some(false), "{bad}");
    }
}
