//! The table for people.

use super::{Deaths, Driver, Table};
use crate::table::spread::Spread;
use halfopen_loadgen::report::number::{bytes, significant};
use serde_json::Value;
use std::fmt::Write;

/// The page.
pub fn page(table: &Table) -> String {
    let mut page = head(table);
    page.push_str(&echo(&table.drivers));
    page.push_str(&heartbeats(&table.drivers));
    page.push_str(&memory(&table.drivers));
    page.push_str(&deaths(&table.drivers));
    page
}

fn head(table: &Table) -> String {
    let (work, machine) = (&table.work, &table.machine);
    let place = if machine.vm == Some(true) { ", VM" } else { "" };
    let load = machine.load_before.map_or_else(String::new, |load| format!(", load before {load}"));
    let mut head = format!(
        "# The drivers at the same work, over loopback{place}\n\n{} ({} cores{place}), Linux {}, {}, \
         commit {}{load}. Begun {}.\n\n",
        machine.cpu.as_deref().unwrap_or("an unnamed processor"),
        machine.cores,
        machine.kernel,
        machine.rustc,
        machine.commit,
        table.started,
    );
    head.push_str(&crate::report::doubts(&machine.doubt()));
    let _ = writeln!(head, "```sh\n{}\n```\n", table.command.join(" "));
    let _ = writeln!(
        head,
        "Medians of {} rounds that go over the drivers forth and back, and behind them the least and \
         the greatest. CPU is that of server and client together where nothing else is said: \
         loopback charges the receiver's work to the sender.\n",
        work.rounds
    );
    head
}

fn echo(drivers: &[Driver]) -> String {
    let Some(first) = drivers.first() else { return String::new() };
    let mut text = String::from("## Echo, closed loop, one server core\n\n");
    let baseline = format!("beside {}", first.driver);
    let titles = ["driver", "load", "messages/s", "CPU a message, µs", "server's part", &baseline];
    text.push_str(&header(&titles));
    for driver in drivers {
        for echo in &driver.echo {
            let load = format!("{} × {}", echo.load.connections, bytes(echo.load.bytes as f64));
            let cells = [
                driver.driver.clone(),
                load,
                spread(&echo.per_second),
                spread(&echo.both_ends_us),
                spread(&echo.server_us),
                spread(&echo.ratio),
            ];
            text.push_str(&line(&cells));
        }
    }
    text + "\n"
}

fn heartbeats(drivers: &[Driver]) -> String {
    if drivers.iter().all(|driver| driver.heartbeat.is_none()) {
        return String::new();
    }
    let mut text = String::from("## A heartbeat, CPU by the slope over a ladder of rates\n\n");
    let titles = ["driver", "connections", "both ends, µs", "of the floor", "the floor of itself"];
    text.push_str(&header(&titles));
    for driver in drivers {
        let steps = driver.heartbeat.as_ref().and_then(|report| report["runs"].as_array());
        for step in steps.into_iter().flatten() {
            let cells = [
                driver.driver.clone(),
                step["connections"].to_string(),
                estimate(&step["both_ends_us"]["halfopen"]),
                estimate(&step["ratio"]),
                estimate(&step["ratio_of_the_same"]),
            ];
            text.push_str(&line(&cells));
        }
    }
    text + "\nIn brackets the 95 % interval. The client is the load generator on the driver of its \
            own choice; the floor speaks io_uring.\n\n"
}

fn memory(drivers: &[Driver]) -> String {
    let mut text = String::from("## Memory of an idle connection\n\n");
    text.push_str(&header(&["driver", "server, user space, B", "kernel, both ends, B"]));
    for driver in drivers {
        let cells = [driver.driver.clone(), maybe(&driver.user_bytes), maybe(&driver.kernel_bytes)];
        text.push_str(&line(&cells));
    }
    text + "\n"
}

fn deaths(drivers: &[Driver]) -> String {
    let mut text = String::from("## The dead\n\n");
    let titles = [
        "driver",
        "death",
        "killed",
        "detected",
        "reclaimed",
        "p50 of each round, ms",
        "max of each round, ms",
        "server's lateness, p99 of each round, ms",
        "false kills",
    ];
    text.push_str(&header(&titles));
    for driver in drivers {
        for (kind, deaths) in &driver.deaths {
            text.push_str(&line(&row(driver, kind, deaths)));
        }
    }
    text.push_str("\nDoubts of the labs, and in how many rounds:\n\n");
    for driver in drivers {
        let doubts = driver.doubts.iter().map(|(code, rounds)| format!("{code} {rounds}"));
        let doubts: Vec<_> = doubts.collect();
        let doubts = if doubts.is_empty() { "none".to_owned() } else { doubts.join(", ") };
        let _ = writeln!(text, "- {}: {doubts}", driver.driver);
    }
    text
}

fn row(driver: &Driver, kind: &str, deaths: &Deaths) -> [String; 9] {
    [
        driver.driver.clone(),
        kind.to_owned(),
        deaths.killed.to_string(),
        deaths.detected.to_string(),
        deaths.reclaimed.to_string(),
        list(&deaths.detection_p50_ms),
        list(&deaths.detection_max_ms),
        list(&deaths.lateness_p99_ms),
        driver.false_kills.to_string(),
    ]
}

fn header(titles: &[&str]) -> String {
    let titles: Vec<_> = titles.iter().map(|title| (*title).to_owned()).collect();
    let rule: Vec<_> = titles.iter().map(|_| "---".to_owned()).collect();
    line(&titles) + &line(&rule)
}

fn line(cells: &[String]) -> String {
    format!("| {} |\n", cells.join(" | "))
}

fn spread(spread: &Spread) -> String {
    let [median, min, max] = [spread.median, spread.min, spread.max].map(significant);
    format!("{median} ({min}–{max})")
}

fn maybe(value: &Option<Spread>) -> String {
    value.as_ref().map_or_else(|| "–".to_owned(), spread)
}

/// An estimate of `heartbeat-cost`.
fn estimate(value: &Value) -> String {
    let parts = ["value", "low", "high"].map(|name| value[name].as_f64());
    match parts {
        [Some(value), Some(low), Some(high)] => {
            format!("{} ({}–{})", significant(value), significant(low), significant(high))
        }
        _ => "–".to_owned(),
    }
}

fn list(values: &[Option<f64>]) -> String {
    let shown = values.iter().map(|value| value.map_or_else(|| "–".to_owned(), significant));
    shown.collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::collections::BTreeMap;

    #[test]
    fn a_step_of_heartbeats_is_a_row_and_what_is_missing_a_dash() {
        let estimate = json!({ "value": 21.5, "low": 20.0, "high": 23.0 });
        let step = json!({
            "connections": 10_000,
            "both_ends_us": { "halfopen": estimate },
            "ratio": estimate,
        });
        let driver = Driver {
            driver: "epoll".to_owned(),
            echo: Vec::new(),
            heartbeat: Some(json!({ "runs": [step] })),
            user_bytes: None,
            kernel_bytes: None,
            false_kills: 0,
            deaths: BTreeMap::new(),
            doubts: BTreeMap::from([("hiccups".to_owned(), 2)]),
        };
        let drivers = [driver];
        let row = "| epoll | 10000 | 21.5 (20–23) | 21.5 (20–23) | – |";
        assert!(heartbeats(&drivers).contains(row), "{}", heartbeats(&drivers));
        assert!(memory(&drivers).contains("| epoll | – | – |"));
        assert!(deaths(&drivers).ends_with("- epoll: hiccups 2\n"));
    }
}
