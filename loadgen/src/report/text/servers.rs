//! Several servers as Markdown: a row for each.

use super::{doubts, limits, table};
use crate::report::html::command;
use crate::report::rows::servers::{DEATH_COLUMNS, WORK_COLUMNS, deaths, heartbeat, work};
use crate::report::schema::Report;
use std::fmt::Write;

/// The report of several servers as Markdown.
pub(super) fn markdown(report: &Report) -> String {
    let label = report.env.label();
    let mut text = format!(
        "# halfopen: {} servers, {} ({label})\n\n{}\n",
        report.servers.len(),
        report.started,
        report.finding
    );
    text.push_str(&doubts(report));
    let _ = write!(text, "\n## At work ({label})\n\n{}", table(&WORK_COLUMNS, 1, &work(report)));
    let deaths = deaths(report);
    if !deaths.is_empty() {
        let _ = write!(text, "\n## Deaths ({label})\n\n{}", table(&DEATH_COLUMNS, 2, &deaths));
    }
    let _ = write!(
        text,
        "\n## The servers\n\n{}",
        table(&["server", "heartbeat", "command"], 3, &commands(report))
    );
    for skipped in &report.skipped {
        let _ = write!(text, "\nSkipped: {}, because {}.\n", skipped.name, skipped.reason);
    }
    if !report.thresholds.is_empty() {
        let _ = write!(text, "\n## Limits\n\n{}", limits(report));
    }
    let _ = write!(text, "\n## Run it again\n\n```\n{}\n```\n", command(&report.argv));
    text
}

fn commands(report: &Report) -> Vec<[String; 3]> {
    let row = report.servers.iter().map(|server| {
        let command = format!("`{}`", server.command.replace('\n', " "));
        [server.name.clone(), heartbeat(server), command]
    });
    row.collect()
}
