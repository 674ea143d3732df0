//! The figures of a report as rows of tables, in one order for every form.

pub mod servers;

use super::number::{bytes, count, significant};
use super::schema::{Measured, Report, SearchBlock};
use crate::stats::Summary;

/// A measured distribution.
#[derive(Clone, Debug)]
pub struct Distribution {
    /// What was measured.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// Its figures.
    pub summary: Summary,
}

/// A single figure, and the words for it.
#[derive(Clone, Debug)]
pub struct Fact {
    /// What it is.
    pub name: String,
    /// The figure with its unit; a dash where it was not measured.
    pub value: String,
}

/// What the columns of a [`Distribution`] are called.
pub const COLUMNS: [&str; 9] =
    ["count", "min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"];

impl Distribution {
    /// The columns of its row.
    pub fn columns(&self) -> [String; 9] {
        let Summary { count: n, min, mean, p50, p90, p99, p99_9, p99_99, max } = self.summary;
        let figures = [min, mean, p50, p90, p99, p99_9, p99_99, max].map(super::number::or_dash);
        let [min, mean, p50, p90, p99, p99_9, p99_99, max] = figures;
        [count(n), min, mean, p50, p90, p99, p99_9, p99_99, max]
    }
}

/// Every distribution that was measured.
pub fn distributions(report: &Report) -> Vec<Distribution> {
    let figures = &report.figures;
    let mut rows = Vec::new();
    let mut add = |name: &str, unit, summary: Option<Summary>| {
        if let Some(summary) = summary.filter(|summary| summary.count > 0) {
            rows.push(Distribution { name: name.to_owned(), unit, summary });
        }
    };
    for (death, block) in &figures.deaths {
        let name = death.name();
        add(&format!("{name}: detected after"), "ms", Some(block.detection_ms));
        add(&format!("{name}: reclaimed after"), "ms", Some(block.reclaim_ms));
        add(&format!("{name}: residual"), "ms", block.residual_ms);
    }
    let lateness = figures.deaths.values().find_map(|block| block.lateness_ms);
    add("lateness of the server's heartbeat", "ms", lateness);
    add("round trip of the server's ping", "µs", figures.pings.server.rtt_us);
    let client = figures.pings.client.as_ref();
    add("round trip of the client's ping", "µs", client.map(|client| client.rtt_us));
    add("between the server's pings", "ms", Some(figures.pings.server.interval_ms));
    add("message, from the intended send", "µs", figures.messages.latency_us);
    add("message, from the actual send", "µs", Some(figures.messages.service_us));
    add("connect", "ms", Some(figures.connections.connect_ms));
    add("opening handshake", "ms", Some(figures.connections.handshake_ms));
    let churn = figures.connections.churn.as_ref();
    add(
        "connect and handshake of who was closed and opened anew",
        "ms",
        churn.map(|c| c.reopen_ms),
    );
    add("hiccups of the machine", "ms", Some(report.machine.hiccups_ms));
    rows
}

/// Every single figure, in groups.
pub fn facts(report: &Report) -> Vec<(&'static str, Vec<Fact>)> {
    let groups = [
        ("Search", report.search.as_ref().map_or(Vec::new(), steps)),
        ("Connections", connections(report)),
        ("Heartbeats", heartbeats(report)),
        ("Slow, flapped and revived", spared(report)),
        ("Cost of a heartbeat", cost(report)),
        ("Memory", memory(report)),
        ("Machine", machine(report)),
    ];
    groups.into_iter().filter(|(_, facts)| !facts.is_empty()).collect()
}

/// The steps of a search.
fn steps(search: &SearchBlock) -> Vec<Fact> {
    let each = search.steps.iter().map(|step| {
        let name = format!("{} {}", search.what.replace('-', " "), significant(step.value));
        fact(
            name,
            if step.held { "held".into() } else { format!("broke: {}", step.broken.join(", ")) },
        )
    });
    each.collect()
}

fn fact(name: impl Into<String>, value: impl Into<String>) -> Fact {
    Fact { name: name.into(), value: value.into() }
}

fn connections(report: &Report) -> Vec<Fact> {
    let (connections, living) = (&report.figures.connections, &report.figures.living);
    let mut facts = vec![
        fact("requested", count(connections.requested)),
        fact("opened", count(connections.opened)),
        fact("most open at once", count(connections.peak)),
    ];
    let failed = connections.failed.iter();
    facts.extend(failed.map(|(reason, n)| fact(format!("failed: {reason}"), count(*n))));
    facts.extend(returning(report));
    facts.push(fact("living at the end", count(living.at_end)));
    facts.push(fact("living lost to the heartbeat", count(living.lost.heartbeat)));
    facts.push(fact("living reset", count(living.lost.reset)));
    let closed = living.lost.closed.iter();
    facts.extend(closed.map(|(code, n)| fact(format!("living closed with {code}"), count(*n))));
    facts
}

/// Who was ended by our own will.
fn returning(report: &Report) -> Vec<Fact> {
    let connections = &report.figures.connections;
    let mut facts = Vec::new();
    if let Some(churn) = &connections.churn {
        facts.push(fact("closed politely", count(churn.closed)));
        facts.push(fact("opened anew", count(churn.reopened)));
        let failed = churn.failed.iter();
        facts.extend(failed.map(|(why, n)| fact(format!("opening anew: {why}"), count(*n))));
    }
    if let Some(herd) = &connections.herd {
        let time = |ms: Option<f64>| ms.map_or_else(|| "–".into(), super::number::millis);
        let times = &herd.back_ms;
        facts.push(fact("dropped at once", count(herd.dropped)));
        facts.push(fact("of them back", count(herd.back)));
        facts.push(fact("half of them after", time(times.p50)));
        facts.push(fact("90 % of them after", time(times.p90)));
        facts.push(fact("99 % of them after", time(times.p99)));
        facts.push(fact("all of them after", time(times.p100)));
        let failed = herd.failed.iter();
        facts.extend(failed.map(|(why, n)| fact(format!("coming back: {why}"), count(*n))));
    }
    facts
}

fn heartbeats(report: &Report) -> Vec<Fact> {
    let (pings, messages) = (&report.figures.pings, &report.figures.messages);
    let mut facts = vec![
        fact("pings of the server, seen", count(pings.server.seen)),
        fact("answered", count(pings.server.answered)),
        fact("fullest 100 ms over the mean", optional(pings.server.burst_ratio_100ms, "")),
    ];
    if let Some(client) = &pings.client {
        facts.push(fact("pings of the client, sent", count(client.sent)));
        facts.push(fact("answered by the server", count(client.answered)));
    }
    if let Some(script) = &messages.script {
        facts.push(fact("hellos in text", count(script.hellos)));
        facts.push(fact("heartbeats of the server in text, answered", count(script.replies)));
        facts.push(fact("beats in text", count(script.beats)));
    }
    if messages.sent + messages.received > 0 {
        facts.push(fact("messages sent", count(messages.sent)));
        facts.push(fact("messages received", count(messages.received)));
        facts.push(fact("messages a second", optional(messages.rate_per_s, "")));
        facts.extend(messages.latency_reason.as_ref().map(|why| fact("no latency", why)));
    }
    facts
}

/// What became of those who are not dead, or came back.
fn spared(report: &Report) -> Vec<Fact> {
    let mut facts = Vec::new();
    for (death, block) in &report.figures.deaths {
        let name = death.name();
        if let Some(fates) = block.outcomes {
            let each = [
                ("survived", fates.survived),
                ("reset", fates.reset),
                ("closed", fates.closed),
                ("not known", fates.unknown),
            ];
            facts.extend(each.map(|(fate, n)| fact(format!("{name}: {fate}"), count(n))));
        }
        let wrongly = block.false_kills;
        facts.extend(wrongly.map(|n| fact(format!("{name}: ended too soon"), count(n))));
        facts.extend(block.revivals.iter().map(|back| {
            let age = super::number::millis(back.age_ms);
            let found = format!("{} of {}", count(back.found), count(back.revived));
            fact(format!("{name}: found by {age}"), found)
        }));
    }
    facts
}

fn cost(report: &Report) -> Vec<Fact> {
    let cost = &report.figures.cost;
    let row = |name: &str, figure: &Option<Measured>, unit: &str| {
        fact(name, figure.as_ref().map_or_else(|| "–".into(), |figure| interval(figure, unit)))
    };
    vec![
        row("CPU of both ends", &cost.both_ends_cpu_us_per_heartbeat, " µs"),
        row("CPU of the server", &cost.server_cpu_us_per_heartbeat, " µs"),
        row("CPU of the client", &cost.client_cpu_us_per_heartbeat, " µs"),
        row("CPU of the whole machine", &cost.machine_cpu_us_per_heartbeat, " µs"),
        row("packets", &cost.packets_per_heartbeat, ""),
        row("bytes on the wire", &cost.wire_bytes_per_heartbeat, " B"),
        row("system calls", &cost.syscalls_per_heartbeat, ""),
        fact("CPU of the server, of one core", optional(cost.server_cpu_percent, " %")),
    ]
}

/// A figure, and its interval of 95 %.
fn interval(figure: &Measured, unit: &str) -> String {
    let value = significant(figure.value);
    match (figure.low, figure.high) {
        (Some(low), Some(high)) => {
            format!("{value}{unit} ({} to {})", significant(low), significant(high))
        }
        _ => format!("{value}{unit}"),
    }
}

fn memory(report: &Report) -> Vec<Fact> {
    let memory = &report.figures.memory;
    let size = |n: Option<f64>| n.map_or_else(|| "–".into(), bytes);
    vec![
        fact("server, user memory a connection", size(memory.server_user_bytes_per_connection)),
        fact("kernel, a connection's two ends", size(memory.kernel_bytes_per_connection_pair)),
        fact("server, all resident", size(memory.server_rss_bytes.map(|n| n as f64))),
    ]
}

fn machine(report: &Report) -> Vec<Fact> {
    let (machine, env) = (&report.machine, &report.env);
    let number = |n: Option<u64>| n.map_or_else(|| "–".into(), count);
    let vm = match env.vm {
        Some(true) => "virtual machine",
        Some(false) => "bare metal",
        None => "not known whether virtual",
    };
    let path = if env.loopback { "loopback" } else { "a network" };
    vec![
        fact("where", format!("{vm}, over {path}")),
        fact("processor", env.cpu.clone().unwrap_or_else(|| env.arch.clone())),
        fact("cores", env.cores.to_string()),
        fact("memory", env.memory_bytes.map_or_else(|| "–".into(), |n| bytes(n as f64))),
        fact("kernel", format!("Linux {} {}", env.kernel, env.arch)),
        fact("hard limit of descriptors", number(env.descriptors_max)),
        fact("time stolen by the hypervisor", optional(machine.steal_percent, " %")),
        fact("CPU taken by others", optional(machine.foreign_cpu_percent, " %")),
        fact("packets swallowed by blackholes", number(machine.ttl_dropped)),
        fact("TCP segments sent again", number(machine.retransmitted)),
    ]
}

fn optional(figure: Option<f64>, unit: &str) -> String {
    figure.map_or_else(|| "–".into(), |figure| format!("{}{unit}", significant(figure)))
}

/// What the columns of [`deaths`] are called.
pub const DEATH_COLUMNS: [&str; 12] = [
    "death",
    "in plain words",
    "killed",
    "detected",
    "reclaimed",
    "pending",
    "unobservable",
    "p50",
    "p99",
    "max",
    "predicted",
    "KS (p)",
];

/// A row for each way to die.
pub fn deaths(report: &Report) -> Vec<[String; 12]> {
    let rows = report.figures.deaths.iter().map(|(death, block)| {
        let time = |ms: Option<f64>| ms.map_or_else(|| "–".into(), super::number::millis);
        let predicted = block.predicted.as_ref();
        let range = predicted.map(|predicted| {
            let [from, to] = [predicted.min_ms, predicted.max_ms].map(super::number::millis);
            format!("{from} to {to}")
        });
        let without = if death.is_silent() { "–" } else { "at once" };
        let ks = predicted.and_then(|predicted| predicted.ks);
        [
            death.name().to_owned(),
            death.in_plain_words().to_owned(),
            count(block.killed),
            count(block.detected),
            count(block.reclaimed),
            count(block.pending),
            count(block.unobservable),
            time(block.detection_ms.p50),
            time(block.detection_ms.p99),
            time(block.detection_ms.max),
            range.unwrap_or_else(|| without.into()),
            ks.map_or_else(|| "–".into(), |ks| format!("{:.3} ({:.2})", ks.distance, ks.p)),
        ]
    });
    rows.collect()
}
