//! `report.html`: a page that needs nothing but itself, by day and by night, on a telephone and on
//! a desk.

use super::number::{count, significant};
use super::picture::{Curves, Picture, dark_rules};
use super::rows::{self, COLUMNS, DEATH_COLUMNS, Fact};
use super::schema::{Report, Verdict};
use maud::{DOCTYPE, Markup, PreEscaped, html};

/// The page of a report.
pub fn page(report: &Report, curves: &Curves) -> String {
    let title = title(report);
    let pictures = super::picture::all(report, curves);
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
                    p.finding { (report.finding) }
                    (verdict(report))
                }
                main {
                    (no_heartbeat(report))
                    (doubts(report))
                    (figures(report, &pictures))
                    (deaths(report))
                    (distributions(report))
                    div.cards { @for (name, facts) in rows::facts(report) { (card(name, &facts)) } }
                    (thresholds(report))
                    (plan(report))
                    (reproduce(report))
                }
                footer { (footer()) }
            }
        }
    };
    page.into_string()
}

/// Loopback and VM stand in it.
fn title(report: &Report) -> String {
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
            @for picture in pictures {
                figure {
                    div.wide { (PreEscaped(&picture.wide)) }
                    div.narrow { (PreEscaped(&picture.narrow)) }
                }
            }
            @if !has_rtt {
                p.note { "No picture of round trips: fewer than 20 pings were answered." }
            }
        }
    }
}

fn deaths(report: &Report) -> Markup {
    let rows = rows::deaths(report);
    html! {
        @if !rows.is_empty() {
            section {
                h2 { "Deaths (" (report.env.label()) ")" }
                p.note {
                    "Detected: the server let go of the connection. Reclaimed: its kernel gave the "
                    "memory back. Pending: not found when the watch ended. " (watched(report))
                }
                (table(&DEATH_COLUMNS, 2, &rows))
            }
        }
    }
}

fn watched(report: &Report) -> String {
    let watches = report.figures.deaths.values().map(|block| block.watched_s);
    let least = watches.fold(f64::MAX, f64::min);
    format!("Each was watched for at least {} s.", significant(least))
}

fn distributions(report: &Report) -> Markup {
    let rows = rows::distributions(report);
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let names = [row.name.clone(), row.unit.to_owned()];
            names.into_iter().chain(row.columns()).collect()
        })
        .collect();
    let columns: Vec<&str> = ["measured", "unit"].into_iter().chain(COLUMNS).collect();
    html! {
        section {
            h2 { "Distributions (" (report.env.label()) ")" }
            p.note { "A percentile with fewer than 10 samples beyond it is not printed." }
            (table(&columns, 2, &rows))
        }
    }
}

/// The first `words` columns are words, the others numbers.
fn table<R: AsRef<[String]>>(columns: &[&str], words: usize, rows: &[R]) -> Markup {
    let class = |i: usize| if i < words { "word" } else { "number" };
    html! {
        div.scroll {
            table {
                thead { tr { @for (i, name) in columns.iter().enumerate() { th class=(class(i)) { (name) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (i, cell) in row.as_ref().iter().enumerate() {
                                td class=(class(i)) { (cell) }
                            }
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
    let rows: Vec<[String; 3]> = report
        .thresholds
        .iter()
        .map(|limit| {
            let value = limit.value.map_or_else(|| "not measured".into(), significant);
            let held = if limit.held { "held" } else { "missed" };
            [limit.expr.clone(), held.into(), value]
        })
        .collect();
    html! {
        @if !rows.is_empty() {
            section { h2 { "Limits" } (table(&["fails if", "", "value"], 2, &rows)) }
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
                code { "*.hgrm" } " and " code { "intervals.hlog" } " in the formats of HdrHistogram, "
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
