//! The answer on a terminal of 80 columns.

use crate::words::wrapped;
use halfopen_loadgen::death::Death;
use halfopen_loadgen::report::number::{bytes, count, millis, significant};
use halfopen_loadgen::tune::{Document, Pair, Row, Verified};
use std::fmt::Write;

/// What was asked and assumed, the table, what is recommended and why, and how others spell it.
pub(super) fn text(document: &Document) -> String {
    let mut text = question(document);
    text += "\n\n";
    for head in HEAD {
        // Writing into a String does not fail.
        let _ = writeln!(text, "{}", line(head).trim_end());
    }
    for row in &document.rows {
        let is_best = document.recommended.as_ref() == Some(row);
        let figures = figures(row);
        let figures = line(figures.each_ref().map(String::as_str));
        let _ = writeln!(text, "{figures}{}", if is_best { " *" } else { "" });
        if let Some(known) = &row.known {
            let _ = writeln!(text, "  {}", wrapped(known, 2));
        }
        for broken in &row.breaks {
            let _ = writeln!(text, "  breaks: {}", wrapped(broken, "  breaks: ".len()));
        }
    }
    text.push('\n');
    if let Some(best) = &document.recommended {
        let beat = format!("{} / {}", millis(best.interval_ms), millis(best.timeout_ms));
        let zombies = bytes(best.zombie_bytes);
        let words = format!(
            "{beat}, {}: {}. The silent dead hold {zombies} at any moment.",
            best.policy, document.why
        );
        let _ = writeln!(text, "* take {}", wrapped(&words, "* take ".len()));
        text.push('\n');
        for setting in &document.settings {
            let _ = writeln!(text, "{:<18}{}", setting.server, setting.text);
        }
    } else {
        let _ = writeln!(text, "{}", wrapped(&document.why, 0));
    }
    if let Some(verified) = &document.verified {
        text += &tried(verified);
    }
    for note in &document.notes {
        let _ = writeln!(text, "note: {}", wrapped(note, "note: ".len()));
    }
    text
}

/// Predicted beside measured.
fn tried(verified: &Verified) -> String {
    let Verified { connections, victims, found, false_kills, ks, .. } = verified;
    let mut text = format!(
        "\ntried with {} connections: {} of {} dead found, {} false kills\n\n",
        count(*connections),
        count(*found),
        count(*victims),
        count(*false_kills),
    );
    let _ = writeln!(text, "{:<20} {:>10} {:>10} {:>8}", "", "predicted", "measured", "apart");
    let seconds = |ms: f64| format!("{} s", significant(ms / 1e3));
    text += &compared("half found within", &verified.p50_ms, seconds);
    text += &compared("99 % found within", &verified.p99_ms, seconds);
    text += &compared("all found within", &verified.max_ms, seconds);
    text += &compared("cores of the server", &verified.server_cores, significant);
    if let Some(ks) = ks {
        let (distance, p) = (significant(ks.distance), significant(ks.p));
        let _ = writeln!(text, "distribution         KS distance {distance}, p = {p}");
    }
    text
}

fn compared(what: &str, pair: &Pair, shown: impl Fn(f64) -> String) -> String {
    let shown = |x: Option<f64>| x.map_or("–".into(), &shown);
    let (predicted, measured) = (shown(pair.predicted), shown(pair.measured));
    let apart = pair.apart().map_or("–".into(), |share| format!("{:+.1} %", share * 100.0));
    format!("{what:<20} {predicted:>10} {measured:>10} {apart:>8}\n")
}

fn question(document: &Document) -> String {
    let asked = &document.asked;
    let bound = if asked.detect_is_mean { "on average within" } else { "within" };
    let deaths = match asked.deaths_per_s {
        Some(rate) => format!("{} silent deaths a second", significant(rate)),
        None => "each dying silently once a day".into(),
    };
    let inbound = match asked.inbound_per_s > 0.0 {
        true => format!("{} messages a second from each, ", significant(asked.inbound_per_s)),
        false => String::new(),
    };
    let trips = match &asked.measured {
        Some(seen) => format!("{} measured round trips", count(seen.count)),
        None => format!("round trips of up to {}", millis(asked.rtt_ms)),
    };
    let costs = &asked.costs;
    let words = format!(
        "{} connections, {deaths}, to be found {bound} {}. {inbound}{} % of packets lost, {trips}. \
         A heartbeat: {} µs of the server's CPU, {} packets, {} B ({}).",
        count(asked.connections),
        millis(asked.detect_ms),
        significant(asked.loss * 100.0),
        significant(costs.server_cpu_us),
        significant(costs.packets),
        significant(costs.wire_bytes),
        costs.source,
    );
    wrapped(&words, 0)
}

const HEAD: [[&str; 11]; 2] = [
    ["", "", "", "", "", "", "found", "after", "zom-", "false", "lost"],
    [
        "interval", "timeout", "policy", "pings/s", "Mbit/s", "cores", "half", "all", "bies",
        "kills", "pkts",
    ],
];

fn line(cells: [&str; 11]) -> String {
    let [interval, timeout, policy, pings, mbit, cores, half, all, zombies, kills, lost] = cells;
    format!(
        "{interval:>8} {timeout:>7} {policy:<8} {pings:>7} {mbit:>6} {cores:>5} {half:>6} {all:>6} \
         {zombies:>6} {kills:>5} {lost:>4}"
    )
}

fn figures(row: &Row) -> [String; 11] {
    let found = &row.detection[&Death::Blackhole];
    let seconds = |ms: f64| format!("{}s", significant(ms / 1e3));
    [
        seconds(row.interval_ms),
        seconds(row.timeout_ms),
        row.policy.to_string(),
        short(row.pings_per_s),
        short(row.mbit_per_s),
        short(row.cores),
        seconds(found.p50_ms),
        seconds(found.max_ms),
        short(row.zombies),
        short(row.false_kills_per_day),
        row.lost_packets_survived.to_string(),
    ]
}

/// A figure in few columns: `0`, `0.05`, `1,146`, `58k`, `3e-8`.
fn short(x: f64) -> String {
    match x {
        0.0 => "0".into(),
        x if x < 0.01 => format!("{x:.0e}"),
        x if x < 10.0 => format!("{x:.2}"),
        x if x < 10_000.0 => format!("{x:.0}"),
        x if x < 1e7 => format!("{:.0}k", x / 1e3),
        x => format!("{:.0}M", x / 1e6),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_loadgen::tune::{Question, tune};
    use std::time::SystemTime;

    #[test]
    fn the_answer_fits_a_terminal_and_says_what_to_take() {
        let behind = vec!["alb".to_owned(), "gcp".to_owned()];
        let asked = Question { connections: 3_000_000, behind, ..Question::within_ms(60e3) };
        let text = text(&tune(asked, SystemTime::UNIX_EPOCH, None));
        for words in [
            "3,000,000 connections, each dying silently once a day, to be found within 60 s",
            "* take 52 s / 7 s, periodic",
            "--ping-interval=52s --ping-timeout=7s",
            "note: Google Cloud's HTTP load balancer ends every connection 30 s",
        ] {
            let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flat.contains(words), "{words}: {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn where_nothing_will_do_nothing_is_recommended() {
        let hopeless = Question { rtt_ms: 1e6, ..Question::within_ms(1e3) };
        let text = text(&tune(hopeless, SystemTime::UNIX_EPOCH, None));
        assert!(text.contains("every row breaks something") && !text.contains("* take"), "{text}");
    }

    #[test]
    fn what_was_tried_stands_beside_what_was_predicted() {
        let pair = |predicted, measured| Pair { predicted: Some(predicted), measured };
        let text = tried(&Verified {
            connections: 10_000,
            victims: 9_000,
            found: 8_999,
            false_kills: 0,
            p50_ms: pair(33_000.0, Some(33_330.0)),
            p99_ms: pair(58_500.0, None),
            max_ms: pair(59_008.0, Some(59_010.0)),
            server_cores: pair(0.04, Some(0.036)),
            ks: None,
        });
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "10,000 connections: 8,999 of 9,000 dead found, 0 false kills",
            "half found within 33 s 33.3 s +1.0 %",
            "99 % found within 58.5 s – –",
            "cores of the server 0.04 0.036 -10.0 %",
        ] {
            assert!(flat.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn figures_are_short() {
        let cases = [(0.0, "0"), (3.486e-8, "3e-8"), (0.7212, "0.72"), (1_146.0, "1146")];
        let more = [(57_692.0, "58k"), (4.2e7, "42M")];
        for (x, text) in cases.into_iter().chain(more) {
            assert_eq!(short(x), text);
        }
    }
}
