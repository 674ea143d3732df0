//! What it costs to watch for dead peers, and what each way of watching finds: the heartbeat, TCP's
//! keepalive and user timeout, and both together.
//!
//! For every way `serve` runs on one core and `load` on another. While all live the CPU of both and
//! the packets are counted for some seconds; then some are blackholed, some freeze and some go mute,
//! and it is watched who is found, and when, and who of the living is lost. All ways are gone over in rounds, so that what drifts
//! drifts through all of them; a figure is the median of the rounds with the least and the greatest.

use crate::process::Process;
use crate::report::Report;
use crate::table::spread::Spread;
use anyhow::{Context, ensure};
use halfopen_loadgen::sample::proc::loopback;
use serde::Serialize;
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How peers die here: those deaths that no FIN and no RST tells.
pub const DEATHS: [&str; 3] = ["blackhole", "freeze", "mute"];

/// What is measured, and with how much of it.
#[derive(Clone, Debug, Serialize)]
pub struct Setup {
    /// The `halfopen` program.
    #[serde(skip)]
    pub program: PathBuf,
    /// Connections.
    pub connections: u32,
    /// How many of them die, in each way.
    pub victims: u32,
    /// Messages a second over all connections; none: they say nothing.
    pub messages: Option<u32>,
    /// Seconds from ping to ping.
    pub interval: u32,
    /// Seconds that a peer has to answer.
    pub timeout: u32,
    /// Seconds of keepalive.
    pub keepalive: u32,
    /// Seconds of TCP_USER_TIMEOUT; at least twice those of keepalive, or lost probes end the living.
    pub user_timeout: u32,
    /// Seconds of a TCP_USER_TIMEOUT that is too short for keepalive.
    pub user_timeout_short: u32,
    /// Seconds that are counted.
    pub window: u32,
    /// The cores of server and client.
    pub cores: [usize; 2],
}

/// One way to watch.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Way {
    /// The heartbeat's policy.
    pub heartbeat: Option<&'static str>,
    /// Whether TCP's keepalive watches.
    pub keepalive: bool,
    /// Which of TCP's user timeouts watches.
    pub user_timeout: Option<UserTimeout>,
}

/// How TCP_USER_TIMEOUT stands to keepalive.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UserTimeout {
    /// It leaves keepalive the time for all of its probes.
    Long,
    /// It ends with the first probe that is lost.
    Short,
}

/// Every combination that somebody might want, and one that nobody should.
pub fn ways() -> Vec<Way> {
    let long = Some(UserTimeout::Long);
    let mut ways = Vec::new();
    for heartbeat in [None, Some("periodic"), Some("idle")] {
        for (keepalive, user_timeout) in [(false, None), (true, None), (false, long), (true, long)]
        {
            ways.push(Way { heartbeat, keepalive, user_timeout });
        }
    }
    let user_timeout = Some(UserTimeout::Short);
    ways.push(Way { heartbeat: None, keepalive: true, user_timeout });
    ways
}

/// All ways, over all rounds.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// How they were measured; times in seconds.
    #[serde(flatten)]
    pub setup: Setup,
    /// Every run, in the order of time.
    pub runs: Vec<Run>,
}

/// What one run of one way showed.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// How it was watched.
    pub way: Way,
    /// Packets a second, both directions, while all lived.
    pub packets_per_s: f64,
    /// CPU of both ends, in per cent of one core, while all lived.
    pub cpu_percent: f64,
    /// The server's share of it.
    pub server_cpu_percent: f64,
    /// What was found, in the order of [`DEATHS`].
    pub found: [Found; 3],
    /// How many were to live.
    pub living: u64,
    /// How many of those were lost.
    pub lost: u64,
}

/// What was found of one kind of death.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Found {
    /// How many died.
    pub killed: u64,
    /// How many the server let go.
    pub detected: u64,
    /// From a death to its detection, the median in ms.
    pub p50_ms: Option<f64>,
    /// The longest, in ms.
    pub max_ms: Option<f64>,
}

impl Way {
    /// In words.
    pub fn name(self) -> String {
        let heartbeat = self.heartbeat.map(|policy| format!("{policy} pings"));
        let keepalive = self.keepalive.then(|| "keepalive".to_owned());
        let user_timeout = self.user_timeout.map(|time| match time {
            UserTimeout::Long => "user timeout".to_owned(),
            UserTimeout::Short => "short user timeout".to_owned(),
        });
        let words: Vec<_> = [heartbeat, keepalive, user_timeout].into_iter().flatten().collect();
        if words.is_empty() { "nothing".into() } else { words.join(" + ") }
    }

    fn flags(self, setup: &Setup) -> Vec<String> {
        let mut flags = match self.heartbeat {
            None => vec!["--ping-interval=off".into()],
            Some(policy) => vec![
                format!("--ping-interval={}s", setup.interval),
                format!("--ping-timeout={}s", setup.timeout),
                format!("--ping-policy={policy}"),
            ],
        };
        if self.keepalive {
            flags.push(format!("--tcp-keepalive={}s", setup.keepalive));
        }
        if let Some(time) = self.user_timeout {
            let seconds = match time {
                UserTimeout::Long => setup.user_timeout,
                UserTimeout::Short => setup.user_timeout_short,
            };
            flags.push(format!("--tcp-user-timeout={seconds}s"));
        }
        flags
    }
}

impl Setup {
    /// The longest time in which any of the ways finds what it can find.
    fn watch(&self) -> u32 {
        let heartbeat = self.interval + self.timeout;
        // Keepalive's probes, or a ping that the user timeout gives up.
        let tcp = (2 * self.keepalive).max(self.interval + self.user_timeout) + self.user_timeout;
        heartbeat.max(tcp) + 5
    }

    /// Measures one way once.
    ///
    /// # Errors
    /// A program did not start, or ended without its report.
    pub fn run(&self, way: Way) -> anyhow::Result<Run> {
        let mut server = Process::start(
            self.cores[0],
            Command::new(&self.program)
                .args(["serve", "--listen=127.0.0.1:0", "--shards=1", "--with-stdin", "--quiet"])
                .arg(format!("--max-connections={}", self.connections))
                .args(way.flags(self)),
        )?;
        let line = server.line().context("waiting for the server to listen")?;
        let url = line.split(' ').find(|word| word.starts_with("ws://"));
        let url = url.with_context(|| format!("no URL in {line:?}"))?;
        let client = Process::start(self.cores[1], &mut self.load(url))?;

        sleep(self.ramp());
        let (began, before) = (Instant::now(), used(&server, &client)?);
        sleep(Duration::from_secs(self.window.into()));
        let (seconds, after) = (began.elapsed().as_secs_f64(), used(&server, &client)?);
        let report = client.report()?;
        let percent = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() / seconds * 100.0
        };
        let server = percent(before.server, after.server);
        let found = found(&report)?;
        Ok(Run {
            way,
            packets_per_s: (after.packets - before.packets) as f64 / seconds,
            cpu_percent: server + percent(before.client, after.client),
            server_cpu_percent: server,
            living: u64::from(self.connections)
                - found.iter().map(|found| found.killed).sum::<u64>(),
            lost: lost(&report)?,
            found,
        })
    }

    fn load(&self, url: &str) -> Command {
        let settled = self.ramp() + Duration::from_secs(u64::from(self.window) + 2);
        let mut command = Command::new(&self.program);
        command.args(["load", url, "--json", "--quiet", "--shards=1", "--expect=echo"]);
        command.arg(format!("--connections={}", self.connections));
        command.arg(format!("--connect-rate={}", self.connect_rate()));
        command.arg(format!("--kill-at={}s", settled.as_secs()));
        command.arg(format!("--kill-over={}s", self.interval));
        command.arg(format!("--watch={}s", self.watch()));
        command.arg("--kill").args(DEATHS.map(|death| format!("{death}={}", self.victims)));
        if let Some(rate) = self.messages {
            command.arg(format!("--message-rate={rate}"));
        }
        command
    }

    /// All are there within a second; and then another interval, so that all have been pinged once.
    fn connect_rate(&self) -> u32 {
        self.connections.clamp(100, 20_000)
    }

    fn ramp(&self) -> Duration {
        let connecting = self.connections.div_ceil(self.connect_rate());
        Duration::from_secs(u64::from(connecting + self.interval) + 2)
    }
}

/// What had been used by some moment.
struct Used {
    server: Duration,
    client: Duration,
    packets: u64,
}

fn used(server: &Process, client: &Process) -> anyhow::Result<Used> {
    let packets = loopback().context("/proc/net/dev has no lo")?.packets;
    Ok(Used { server: server.cpu()?, client: client.cpu()?, packets })
}

fn found(report: &Value) -> anyhow::Result<[Found; 3]> {
    let mut found = Vec::new();
    for death in DEATHS {
        let block = &report["deaths"][death];
        let count =
            |name: &str| block[name].as_u64().with_context(|| format!("{death}: no {name}"));
        let detection = &block["detection_ms"];
        found.push(Found {
            killed: count("killed")?,
            detected: count("detected")?,
            p50_ms: detection["p50"].as_f64(),
            max_ms: detection["max"].as_f64(),
        });
    }
    ensure!(
        report["connections"]["opened"] == report["connections"]["requested"],
        "not all opened"
    );
    found.try_into().ok().context("one for each death")
}

/// The living that ended, in whatever way; those that were closed are counted by code.
fn lost(report: &Value) -> anyhow::Result<u64> {
    let ways = report["living"]["lost"].as_object().context("no living.lost")?;
    let counts = |(name, ways): (&String, &Value)| -> anyhow::Result<u64> {
        let all = match ways.as_object() {
            Some(codes) => codes.values().map(Value::as_u64).sum(),
            None => ways.as_u64(),
        };
        all.with_context(|| format!("no {name}"))
    };
    ways.iter().map(counts).sum()
}

const HOW_TO_READ: &str = "\
All live while packets and CPU are counted: the median of the rounds, and in brackets the least and \
the greatest. Then some are blackholed, some freeze and some go mute, spread over an interval: how \
many were detected over all rounds, the median of the times to a detection, and the longest. *Living \
lost* are connections that nothing ailed: none of them ought to end. The short user timeout is \
shorter than keepalive: a probe that is lost, as some are when thousands go out at once, then ends \
the connection.\n\n";

/// The whole page.
pub fn page(report: &Report<Outcome>) -> String {
    let title = "What each way of watching for dead peers costs and finds";
    let mut page = report.page(title, HOW_TO_READ, std::iter::empty());
    for Outcome { setup, runs } in &report.runs {
        page += &format!(
            "{} connections, {}; a ping every {} s with {} s to answer, keepalive {} s, user timeout {} \
             s, the short one {} s; {} s counted; {} victims of each kind.\n\n{}",
            setup.connections,
            setup.messages.map_or("silent".into(), |rate| format!("{rate} messages/s in all")),
            setup.interval,
            setup.timeout,
            setup.keepalive,
            setup.user_timeout,
            setup.user_timeout_short,
            setup.window,
            setup.victims,
            table(runs),
        );
    }
    page
}

/// A row for each way, over all of its rounds.
fn table(runs: &[Run]) -> String {
    let mut table = String::from(
        "| watched by | packets/s | CPU of both ends, % of a core | blackhole | freeze | mute | \
         living lost |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for way in ways() {
        let name = way.name();
        let rounds: Vec<_> = runs.iter().filter(|run| run.way.name() == name).collect();
        if rounds.is_empty() {
            continue;
        }
        let over = |value: fn(&Run) -> f64| spread(rounds.iter().map(|run| value(run)));
        let (packets, cpu) = (over(|run| run.packets_per_s), over(|run| run.cpu_percent));
        let deaths = [0, 1, 2].map(|death| cell(rounds.iter().map(|run| run.found[death])));
        let sum = |value: fn(&Run) -> u64| rounds.iter().map(|run| value(run)).sum::<u64>();
        let lost = format!("{} of {}", sum(|run| run.lost), sum(|run| run.living));
        table += &format!("| {name} | {packets} | {cpu} | {} | {lost} |\n", deaths.join(" | "));
    }
    table
}

/// The median, with the least and the greatest.
fn spread(values: impl Iterator<Item = f64>) -> String {
    let Spread { median, min, max } = Spread::of(&values.collect::<Vec<_>>());
    let digits = if max < 100.0 { 2 } else { 0 };
    format!("{median:.digits$} ({min:.digits$} to {max:.digits$})")
}

/// How many were found over all rounds, and when.
fn cell(rounds: impl Iterator<Item = Found>) -> String {
    let rounds: Vec<_> = rounds.collect();
    let sum = |value: fn(&Found) -> u64| rounds.iter().map(value).sum::<u64>();
    let (killed, detected) = (sum(|found| found.killed), sum(|found| found.detected));
    let longest = rounds.iter().filter_map(|found| found.max_ms).fold(0.0, f64::max);
    let medians: Vec<_> = rounds.iter().filter_map(|found| found.p50_ms).collect();
    if detected == 0 || medians.is_empty() {
        return format!("{detected} of {killed}");
    }
    let (median, longest) = (Spread::of(&medians).median / 1e3, longest / 1e3);
    format!("{detected} of {killed}, {median:.1} s, at most {longest:.1} s")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(packets_per_s: f64, detected: u64) -> Run {
        let way = Way { heartbeat: Some("idle"), keepalive: true, user_timeout: None };
        let p50_ms = (detected > 0).then_some(1_500.0);
        let found = Found { killed: 10, detected, p50_ms, max_ms: p50_ms.map(|ms| ms * 2.0) };
        let (cpu_percent, server_cpu_percent) = (1.0, 0.5);
        let (found, living, lost) = ([found; 3], 70, 10 - detected);
        Run { way, packets_per_s, cpu_percent, server_cpu_percent, found, living, lost }
    }

    #[test]
    fn a_row_has_the_median_of_its_rounds_and_the_sum_of_its_dead() {
        let table = table(&[run(300.0, 10), run(100.0, 9), run(200.0, 10)]);
        let row = table.lines().nth(2).unwrap();
        assert!(
            row.starts_with("| idle pings + keepalive | 200 (100 to 300) | 1.00 (1.00 to 1.00)")
        );
        assert!(row.ends_with("| 29 of 30, 1.5 s, at most 3.0 s | 1 of 210 |"), "{row}");
        let none = super::table(&[run(1.0, 0)]);
        assert!(none.contains("| 0 of 10 | 0 of 10 | 0 of 10 |"), "{none}");
    }

    #[test]
    fn the_living_are_lost_in_several_ways_and_closed_by_several_codes() {
        let lost_of = |lost: Value| super::lost(&serde_json::json!({ "living": { "lost": lost } }));
        let lost =
            serde_json::json!({ "heartbeat": 1, "closed": { "1000": 2, "none": 3 }, "reset": 4 });
        assert_eq!(lost_of(lost).unwrap(), 10);
        assert_eq!(lost_of(serde_json::json!({ "heartbeat": 1, "closed": {} })).unwrap(), 1);
        assert!(lost_of(serde_json::json!({ "reset": null })).is_err());
    }

    #[test]
    fn each_way_has_a_name_of_its_own() {
        let mut names: Vec<_> = ways().into_iter().map(Way::name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 13);
    }
}
