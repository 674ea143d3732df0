//! `report.html`: a page that needs nothing but itself, by day and by night, on a telephone and on
//! a desk.

mod beside;
mod servers;

pub use beside::beside;

use super::number::{count, significant};
use super::picture::{Curves, Picture, dark_rules};
use super::rows::{self, COLUMNS, DEATH_COLUMNS, Fact};
use super::schema::{ObserverKind, Report, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page of a report.
pub fn page(report: &Report, curves: &Curves) -> String {
    let title = title(report);
    let pictures = super::picture::all(report, curves);
    let head = html! { p.finding { (report.finding) } (verdict(report)) };
    let main = match report.servers.is_empty() {
        true => one_server(report, &pictures),
        false => servers::main(report, &pictures),
    };
    frame(&title, report, &head, &main)
}

/// A page that says of itself what it was made of.
fn frame(title: &str, report: &Report, head: &Markup, main: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(style())) }
            }
            body {
                header {
                    p.kicker { "halfopen " (report.tool.version) " · " (report.started) }
                    h1 { (title) }
                    (head)
                }
                main { (main) }
                footer { (footer()) }
            }
        }
    };
    page.into_string()
}

fn one_server(report: &Report, pictures: &[Picture]) -> Markup {
    html! {
        (no_heartbeat(report))
        (doubts(report))
        (figures(report, pictures))
        (deaths(report))
        (distributions(report))
        div.cards { @for (name, facts) in rows::facts(report) { (card(name, &facts)) } }
        (thresholds(report))
        (plan(report))
        (reproduce(report))
    }
}

/// Loopback and VM stand in it.
fn title(report: &Report) -> String {
    if !report.servers.is_empty() {
        return servers::title(report);
    }
    let connections = count(report.figures.connections.opened);
    format!("{connections} WebSocket connections ({})", report.env.label())
}

fn style() -> String {
    let night = dark_rules("svg");
    format!("{}@media (prefers-color-scheme:dark){{{night}}}", include_str!("style.css"))
}

fn verdict(report: &Report) -> Markup {
    let (class, words) = match report.verdict {
        Verdict::Ok => ("good", "done"),
        Verdict::ThresholdMissed => ("bad", "a limit was missed"),
        Verdict::NoVerdict => ("doubtful", "no verdict: the generator was the bottleneck"),
        Verdict::Interrupted => ("doubtful", "interrupted: what had been measured is here"),
        Verdict::Failed => ("bad", "the run failed: what had been measured is here"),
    };
    html! { p { span class=(format!("badge {class}")) { (words) } } }
}

fn no_heartbeat(report: &Report) -> Markup {
    html! {
        @if report.pings_are_off() && report.figures.pings.server.seen == 0 {
            aside {
                b { "The server sent no ping." }
                " A peer that dies without a word leaves the connection as it was: TCP reports "
                "nothing, and the server has no means to notice. It keeps such a connection for ever."
            }
        }
    }
}

fn doubts(report: &Report) -> Markup {
    html! {
        @if !report.doubts.is_empty() {
            section {
                h2 { "Doubts" }
                ul.doubts {
                    @for doubt in &report.doubts {
                        li { b { (doubt.message) } "." br; "Try: " (doubt.hint) "." }
                    }
                }
            }
        }
    }
}

fn figures(report: &Report, pictures: &[Picture]) -> Markup {
    let has_rtt = pictures.iter().any(|picture| picture.name == "rtt");
    html! {
        section {
            h2 { "Pictures (" (report.env.label()) ")" }
            (drawn(pictures))
            @if !has_rtt && report.servers.is_empty() {
                p.note { "No picture of round trips: fewer than 20 pings were answered." }
            }
        }
    }
}

fn drawn(pictures: &[Picture]) -> Markup {
    html! {
        @for picture in pictures {
            figure {
                div.wide { (PreEscaped(&picture.wide)) }
                div.narrow { (PreEscaped(&picture.narrow)) }
            }
        }
    }
}

fn deaths(report: &Report) -> Markup {
    let rows: Vec<Line> = rows::deaths(report)
        .into_iter()
        .map(|[name, note, cells @ ..]| Line { name, note, cells: cells.to_vec() })
        .collect();
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Deaths (" (report.env.label()) ")" }
                p.note {
                    "Detected: the server let go of the connection. Reclaimed: its kernel gave the "
                    "memory back. Pending: not found when the watch ended. p50, p99 and max: from "
                    "the death to its detection. KS: how far that is from the prediction, and how "
                    "often chance alone would be as far. " (watched(report))
                }
                (table(&[&DEATH_COLUMNS[..1], &DEATH_COLUMNS[2..]].concat(), &rows))
            }
        }
    }
}

fn watched(report: &Report) -> String {
    let blocks = report.figures.deaths.values();
    let least = blocks.clone().map(|block| block.watched_s).fold(f64::MAX, f64::min);
    let by = match blocks.clone().find_map(|block| block.observer) {
        Some(ObserverKind::SockDiag) => {
            " by the kernel's list of the server's sockets, read every 50 ms, and its news of those \
             that it destroyed"
        }
        Some(ObserverKind::Client) => " from the client's end alone",
        None => "",
    };
    format!("Each was watched for at least {} s{by}.", significant(least))
}

fn distributions(report: &Report) -> Markup {
    let rows: Vec<Line> = rows::distributions(report)
        .into_iter()
        .map(|row| Line {
            cells: row.columns().to_vec(),
            note: row.unit.to_owned(),
            name: row.name,
        })
        .collect();
    let columns: Vec<&str> = ["measured"].into_iter().chain(COLUMNS).collect();
    html! {
        section {
            h2 { "Distributions (" (report.env.label()) ")" }
            p.note { "A percentile with fewer than 10 samples beyond it is not printed." }
            (table(&columns, &rows))
        }
    }
}

/// A row of a table: words, and then numbers.
struct Line {
    name: String,
    /// In small letters behind the name.
    note: String,
    cells: Vec<String>,
}

fn table(columns: &[&str], rows: &[Line]) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { @for name in columns { th { (name) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            th { (row.name) " " small { (row.note) } }
                            @for cell in &row.cells { td { (cell) } }
                        }
                    }
                }
            }
        }
    }
}

fn card(name: &str, facts: &[Fact]) -> Markup {
    html! {
        section.card {
            h2 { (name) }
            dl { @for fact in facts { div { dt { (fact.name) } dd { (fact.value) } } } }
        }
    }
}

fn thresholds(report: &Report) -> Markup {
    let rows: Vec<Line> = report
        .thresholds
        .iter()
        .map(|limit| {
            let value = limit.value.map_or_else(|| "not measured".into(), significant);
            let held = if limit.held { "held" } else { "missed" };
            Line { name: limit.expr.clone(), note: String::new(), cells: vec![value, held.into()] }
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            section { h2 { "Limits" } (table(&["fails if", "value", ""], &rows)) }
        }
    }
}

fn plan(report: &Report) -> Markup {
    let settings = report.plan.iter().map(|(name, value)| {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Fact { name: name.clone(), value }
    });
    html! {
        section {
            h2 { "Plan" }
            details {
                summary { "Every setting of the run" }
                dl.plan {
                    @for fact in settings { div { dt { (fact.name) } dd { (fact.value) } } }
                }
            }
        }
    }
}

fn reproduce(report: &Report) -> Markup {
    html! {
        section {
            h2 { "Run it again" }
            pre { code { (command(&report.argv)) } }
            p.note {
                "Version " (report.tool.version)
                @if let Some(git) = &report.tool.git { ", commit " code { (git) } }
                ". The full distributions lie beside this page: "
                code { "*.hgrm" }
                @if report.servers.is_empty() { " and " code { "intervals.hlog" } }
                " in the formats of HdrHistogram, "
                code { "report.json" } " to the schema " code { "report.schema.json" } "."
            }
        }
    }
}

/// The command as a shell takes it.
pub fn command(argv: &[String]) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,@%+".contains(c);
    let quoted = argv.iter().map(|word| match word {
        word if !word.is_empty() && word.chars().all(plain) => word.clone(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

fn footer() -> Markup {
    html! {
        p {
            "Half-open (RFC 9293 §3.5.1): one end of a TCP connection is gone and the other does not "
            "know. CPU is read from the kernel's exact accounts; latency of messages counts from the "
            "intended send; hiccups are what a thread on each core overslept 1 ms by."
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_survives_the_shell() {
        let argv = ["halfopen", "lab", "--fail-if", "false_kills > 0", "it's"].map(String::from);
        assert_eq!(command(&argv), r"halfopen lab --fail-if 'false_kills > 0' 'it'\''s'");
    }
}
