//! The page of several servers: a row for each, and a way to the page of each run.

use super::{Line, doubts, figures, plan, reproduce, table, thresholds};
use crate::report::picture::Picture;
use crate::report::rows::servers::{DEATH_COLUMNS, WORK_COLUMNS, deaths, heartbeat, work};
use crate::report::schema::{Report, ServerRun, Verdict};
use maud::{Markup, html};

/// Loopback and VM stand in it.
pub(super) fn title(report: &Report) -> String {
    let names: Vec<&str> = report.servers.iter().map(|server| server.name.as_str()).collect();
    format!("{} at the same work ({})", names.join(", "), report.env.label())
}

pub(super) fn main(report: &Report, pictures: &[Picture]) -> Markup {
    html! {
        (doubts(report))
        @if !pictures.is_empty() { (figures(report, pictures)) }
        (at_work(report))
        (the_dead(report))
        (servers(report))
        (thresholds(report))
        (plan(report))
        (reproduce(report))
    }
}

fn at_work(report: &Report) -> Markup {
    html! {
        section {
            h2 { "At work (" (report.env.label()) ")" }
            p.note {
                "Counts are of all runs of a server together; every other figure is the median of its "
                "runs, in brackets the least and the greatest. A dash: not measured. A heartbeat has "
                "a price only where no messages were sent."
            }
            (table(&WORK_COLUMNS, &lines(&work(report))))
        }
    }
}

fn the_dead(report: &Report) -> Markup {
    let rows = deaths(report);
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Deaths (" (report.env.label()) ")" }
                p.note {
                    "Detected: the server let go of the connection. Reclaimed: its kernel gave the "
                    "memory back. Pending: not found when the watch ended. Times count from the death."
                }
                (table(&DEATH_COLUMNS, &lines(&rows)))
            }
        }
    }
}

fn lines<const N: usize>(rows: &[[String; N]]) -> Vec<Line> {
    let line = |row: &[String; N]| Line {
        name: row[0].clone(),
        note: String::new(),
        cells: row[1..].to_vec(),
    };
    rows.iter().map(line).collect()
}

fn servers(report: &Report) -> Markup {
    html! {
        section {
            h2 { "The servers" }
            @for server in &report.servers { (one(server)) }
            @for skipped in &report.skipped {
                p { b { (skipped.name) } " was skipped: " (skipped.reason) "." }
            }
        }
    }
}

fn one(server: &ServerRun) -> Markup {
    html! {
        h3 { (server.name) }
        p.note {
            (heartbeat(server)) ". Runs: "
            @for (number, run) in server.runs.iter().enumerate() {
                @if number > 0 { ", " }
                a href=(format!("{}/report.html", run.folder)) { (run.folder) }
                (ended(run.verdict))
            }
        }
        pre { code { (server.command) } }
    }
}

fn ended(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "",
        Verdict::ThresholdMissed => " (a limit was missed)",
        Verdict::NoVerdict => " (no verdict)",
        Verdict::Interrupted => " (interrupted)",
        Verdict::Failed => " (failed)",
    }
}

#[cfg(test)]
mod tests {
    use crate::report::html::page;
    use crate::report::servers::tests::contest;
    use crate::report::text::{csv, markdown};

    #[test]
    fn page_and_markdown_name_every_server_and_who_was_skipped() {
        let (report, histograms) = contest();
        let page = page(&report, &histograms.curves());
        let text = markdown(&report);
        for form in [&page, &text] {
            for words in ["pings", "silent", "third", "no node", "serve --no-ping"] {
                assert!(form.contains(words), "{words}: {form}");
            }
        }
        for outside in ["<script", "<link", "src=", "url(", "@import", "href=\"http"] {
            assert!(!page.contains(outside), "{outside}");
        }
        // One picture a silent death, for wide and narrow pages.
        assert_eq!(page.matches("<svg").count(), 4);
        assert!(page.contains("href=\"pings-2/report.html\""));
        for block in text.split("\n\n").filter(|block| block.starts_with('|')) {
            let bars: Vec<_> = block.lines().map(|line| line.matches('|').count()).collect();
            assert!(bars.windows(2).all(|pair| pair[0] == pair[1]), "{block}");
        }
        let csv = csv(&[("x", &report)]);
        assert!(csv.contains("\nx/silent,deaths.freeze.pending,1000\n"), "{csv}");
    }
}
