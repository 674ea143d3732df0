//! Reports as Markdown and as comma-separated values.

mod servers;

use super::html::command;
use super::number::significant;
use super::rows::{self, COLUMNS, DEATH_COLUMNS};
use super::schema::{Figures, Report};
use serde_json::Value;
use std::fmt::Write;

/// A report as Markdown.
pub fn markdown(report: &Report) -> String {
    if !report.servers.is_empty() {
        return servers::markdown(report);
    }
    let label = report.env.label();
    let mut text = format!("# halfopen: {} ({label})\n\n{}\n", report.started, report.finding);
    text.push_str(&doubts(report));
    let deaths = rows::deaths(report);
    if !deaths.is_empty() {
        let _ = write!(text, "\n## Deaths ({label})\n\n{}", table(&DEATH_COLUMNS, 2, &deaths));
    }
    let distributions: Vec<Vec<String>> = rows::distributions(report)
        .iter()
        .map(|row| {
            [format!("{} ({})", row.name, row.unit)].into_iter().chain(row.columns()).collect()
        })
        .collect();
    let columns: Vec<&str> = ["measured"].into_iter().chain(COLUMNS).collect();
    let _ = write!(text, "\n## Distributions ({label})\n\n{}", table(&columns, 1, &distributions));
    for (name, facts) in rows::facts(report) {
        let facts: Vec<_> = facts.into_iter().map(|fact| [fact.name, fact.value]).collect();
        let _ = write!(text, "\n## {name} ({label})\n\n{}", table(&["", ""], 1, &facts));
    }
    if !report.thresholds.is_empty() {
        let _ = write!(text, "\n## Limits\n\n{}", limits(report));
    }
    let _ = write!(text, "\n## Run it again\n\n```\n{}\n```\n", command(&report.argv));
    text
}

fn doubts(report: &Report) -> String {
    let mut text = String::new();
    for doubt in &report.doubts {
        let _ = write!(text, "\n> Doubt: {}. Try: {}.\n", doubt.message, doubt.hint);
    }
    text
}

fn limits(report: &Report) -> String {
    let rows = report.thresholds.iter().map(|limit| {
        let value = limit.value.map_or_else(|| "not measured".into(), significant);
        let held = if limit.held { "held" } else { "missed" };
        [format!("`{}`", limit.expr), held.into(), value]
    });
    table(&["fails if", "", "value"], 2, &rows.collect::<Vec<_>>())
}

/// The first `words` columns are words, the others numbers.
pub(crate) fn table<R: AsRef<[String]>>(columns: &[&str], words: usize, rows: &[R]) -> String {
    let mut text = format!("| {} |\n|", columns.join(" | "));
    for i in 0..columns.len() {
        text.push_str(if i < words { "---|" } else { "---:|" });
    }
    text.push('\n');
    for row in rows {
        let cells: Vec<_> = row.as_ref().iter().map(|cell| cell.replace('|', "\\|")).collect();
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Reports as lines of `run,figure,value`, the figures named by their paths in `report.json`. What
/// was not measured has no value. Each of several servers is a run of its own, as `run/server`.
pub fn csv(runs: &[(&str, &Report)]) -> String {
    let mut text = String::from("run,figure,value\n");
    let mut add = |name: &str, figures: Vec<(String, Option<f64>)>| {
        for (path, value) in figures {
            let value = value.map(|value| value.to_string()).unwrap_or_default();
            let _ = writeln!(text, "{},{},{value}", field(name), field(&path));
        }
    };
    for (name, report) in runs {
        add(name, figures(report));
        for server in &report.servers {
            add(&format!("{name}/{}", server.name), figures_of(&server.figures));
        }
    }
    text
}

fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text.to_owned()
}

/// Every number of a report with its path, in the order of the schema; none: not measured.
pub fn figures(report: &Report) -> Vec<(String, Option<f64>)> {
    let mut all = figures_of(&report.figures);
    let machine = serde_json::to_value(&report.machine).expect("figures are JSON");
    collect(&machine, "machine", &mut all);
    all
}

/// Every number of the figures of one run or server.
pub(super) fn figures_of(figures: &Figures) -> Vec<(String, Option<f64>)> {
    let mut all = Vec::new();
    collect(&serde_json::to_value(figures).expect("figures are JSON"), "", &mut all);
    all
}

fn collect(value: &Value, path: &str, all: &mut Vec<(String, Option<f64>)>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(value, &path, all);
            }
        }
        Value::Null => all.push((path.to_owned(), None)),
        Value::Number(number) => all.push((path.to_owned(), number.as_f64())),
        Value::String(_) | Value::Bool(_) | Value::Array(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_run::sample;
    use super::*;

    #[test]
    fn markdown_tables_have_a_cell_for_every_column() {
        let (report, _) = sample();
        let text = markdown(&report);
        assert!(text.contains("(loopback"), "{text}");
        for block in text.split("\n\n").filter(|block| block.starts_with('|')) {
            let bars: Vec<_> = block.lines().map(|line| line.matches('|').count()).collect();
            assert!(bars.windows(2).all(|pair| pair[0] == pair[1]), "{block}");
        }
    }

    #[test]
    fn csv_leaves_out_what_was_not_measured() {
        let (report, _) = sample();
        let text = csv(&[("a,b", &report)]);
        assert!(text.starts_with("run,figure,value\n\"a,b\","));
        assert!(text.contains("\n\"a,b\",connections.opened,10000\n"));
        assert!(text.contains("\n\"a,b\",deaths.blackhole.killed,1000\n"));
        assert!(text.contains("\n\"a,b\",cost.syscalls_per_heartbeat,\n"));
    }
}
