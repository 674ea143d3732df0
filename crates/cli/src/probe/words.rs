//! The dozen lines that are pasted into a ticket.

use crate::words::wrapped;
use halfopen_loadgen::probe::{Counts, Document, Phase, Pings};
use halfopen_loadgen::report::number::{count, millis};
use std::fmt::Write;

/// What was found out, in a dozen lines of at most 80 columns.
pub(super) fn text(document: &Document) -> String {
    let opened = document.connections.opened;
    let watched = millis(document.watched_s * 1e3);
    let mut text = format!("{}: {opened} connections, {watched}\n\n", document.url);
    let mut rows = vec![
        ("pings", pings(document)),
        ("timeout", timeout(document)),
        ("traffic", traffic(document)),
        ("idle limit", idle(document)),
        ("detection", detection(document)),
    ];
    rows.extend(document.rtt_ms.mean.map(|rtt| ("round trip", format!("{} (mean)", millis(rtt)))));
    for (name, words) in rows {
        let _ = writeln!(text, "{name:<INDENT$}{}", wrapped(&words, INDENT));
    }
    for doubt in &document.doubts {
        let words = format!("{}. Try: {}.", doubt.message, doubt.hint);
        let _ = writeln!(text, "doubt: {}", wrapped(&words, "doubt: ".len()));
    }
    text
}

fn pings(document: &Document) -> String {
    let interval = interval(document);
    match document.pings {
        Pings::Server => format!("the server, {interval}"),
        Pings::Both => {
            format!("the server, {interval}; and a client has to, or it is ended as idle")
        }
        Pings::Client => "the client has to: the server pings nobody, and ends the idle".into(),
        Pings::None => "nobody, as far as was seen".into(),
    }
}

fn interval(document: &Document) -> String {
    let seen = &document.interval_ms;
    let (Some(mean), Some(min), Some(max)) = (seen.mean, seen.min, seen.max) else {
        return "at an interval that was not seen".into();
    };
    let jitter = document.jitter_ms.unwrap_or_default();
    let every = match jitter > mean * VARIES {
        true => format!("every {} to {}", millis(min), millis(max)),
        false => format!("every {}", millis(mean)),
    };
    let phase = match document.phase {
        Some(Phase::Opening) => ", counted from each opening",
        Some(Phase::Together) => ", all connections at one instant",
        Some(Phase::Spread) => ", each connection at a moment of its own",
        None => "",
    };
    let apart = document.jitter_ms.map_or(String::new(), |jitter| format!("±{}, ", millis(jitter)));
    format!("{every} ({apart}{} seen){phase}", count(seen.count))
}

fn timeout(document: &Document) -> String {
    let seen = &document.timeout_ms;
    let Some((min, max)) = seen.min.zip(seen.max) else {
        return match document.pings {
            Pings::Server | Pings::Both => "not seen: nobody was ended for not answering".into(),
            Pings::Client | Pings::None => "none: nobody is asked".into(),
        };
    };
    let mean = seen.mean.unwrap_or(max);
    let after = match max - min > mean * VARIES {
        true => format!("{} to {}", millis(min), millis(max)),
        false => millis(mean),
    };
    let how = document.ended_by.keys().cloned().collect::<Vec<_>>().join(" or ");
    format!("{after} after the first ping left unanswered, then {how} ({} seen)", seen.count)
}

fn traffic(document: &Document) -> String {
    match document.traffic_suppresses {
        Some(true) => "suppresses pings: who speaks is not asked".into(),
        Some(false) => "suppresses no pings".into(),
        None => "not known".into(),
    }
}

fn idle(document: &Document) -> String {
    let Some(limit) = document.idle_limit_ms else {
        let watched = millis(document.watched_s * 1e3);
        return match document.pings {
            Pings::Server => format!("none in {watched}, with these pings"),
            _ => format!("none in {watched}"),
        };
    };
    let counts = match document.idle_counts {
        Some(Counts::Bytes) => "; anything that is said breaks the silence, a ping too",
        Some(Counts::Messages) => " without a message; pings do not count",
        None => "",
    };
    format!("{}{counts}", millis(limit))
}

fn detection(document: &Document) -> String {
    let window = &document.detection;
    match (window.min_ms, window.p50_ms, window.max_ms) {
        (Some(min), Some(p50), Some(max)) => format!(
            "a silent death is found after {} to {}, half of them within {}",
            millis(min),
            millis(max),
            millis(p50)
        ),
        (_, _, Some(max)) => {
            format!("a silent death is found by the idle limit, within {}", millis(max))
        }
        _ => "not known: no dead one would be found in the time watched".into(),
    }
}

/// Times that differ by more than this share of them are told as from and to.
const VARIES: f64 = 0.02;
/// Where the words begin.
const INDENT: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use halfopen_loadgen::probe::json_schema;
    use serde_json::json;

    /// A document as the probe of such a server makes it.
    fn document(pings: &str, times: Option<(f64, f64)>) -> Document {
        let summary = |at: Option<f64>| {
            json!({ "count": if at.is_some() { 4 } else { 0 }, "min": at, "mean": at, "p50": null,
                    "p90": null, "p99": null, "p99_9": null, "p99_99": null, "max": at })
        };
        let (interval, timeout) = times.unzip();
        let window = times
            .map(|(interval, timeout)| (timeout, interval / 2.0 + timeout, interval + timeout));
        let document = json!({
            "schema": "halfopen.probe/1", "tool": { "version": "1", "git": null },
            "url": "ws://localhost/", "started": "2026-11-30T12:00:00Z", "watched_s": 61.2,
            "complete": true, "connections": { "requested": 8, "opened": 8, "failed": {} },
            "pings": pings, "interval_ms": summary(interval), "jitter_ms": interval.map(|_| 30.0),
            "phase": interval.map(|_| "spread"), "timeout_ms": summary(timeout),
            "ended_by": if times.is_some() { json!({ "Close 1011": 3 }) } else { json!({}) },
            "traffic_suppresses": interval.map(|_| false), "idle_limit_ms": null,
            "idle_counts": null, "detection": {
                "min_ms": window.map(|w| w.0), "p50_ms": window.map(|w| w.1),
                "max_ms": window.map(|w| w.2),
            },
            "rtt_ms": summary(Some(0.2)),
            "doubts": [{ "code": "x", "message": "it is so", "hint": "again" }],
        });
        let schema = jsonschema::validator_for(&json_schema()).unwrap();
        assert!(schema.is_valid(&document), "{document}");
        serde_json::from_value(document).unwrap()
    }

    #[test]
    fn a_server_that_pings_is_told_in_a_dozen_lines_of_80_columns() {
        let text = text(&document("server", Some((20_000.0, 10_000.0))));
        let in_a_row = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for words in [
            "the server, every 20 s (±30 ms, 4 seen), each connection at a moment of its own",
            "10 s after the first ping left unanswered, then Close 1011 (4 seen)",
            "suppresses no pings",
            "none in 61.2 s, with these pings",
            "after 10 s to 30 s, half of them within 20 s",
            "doubt: it is so. Try: again.",
        ] {
            assert!(in_a_row.contains(words), "{words}: {text}");
        }
        assert!(text.lines().count() <= 12, "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn where_nobody_pings_nothing_is_claimed() {
        let text = text(&document("none", None));
        for words in ["nobody, as far as was seen", "none: nobody is asked", "not known: no dead"] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }

    #[test]
    fn an_idle_limit_is_told_with_what_breaks_the_silence() {
        let limited = Document {
            idle_limit_ms: Some(60_000.0),
            idle_counts: Some(Counts::Bytes),
            ..document("client", None)
        };
        let text = text(&limited);
        assert!(text.contains("60 s; anything that is said breaks the silence"), "{text}");
        assert!(text.contains("the client has to"), "{text}");
    }
}
