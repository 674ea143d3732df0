//! `lab`: server and load together, each on cores of its own, and a report at the end.

mod servers;

use crate::admin::load::Running;
use crate::args::{Lab, LimitFlags, Policy, TcpFlags, kills};
use crate::child::ServerProcess;
use crate::choice::{choose, impatience};
use crate::cores::{cpu_list, own_cores, share_cores};
use crate::exit::{Exit, Failure, Outcome};
use crate::identity::Identity;
use crate::input::{Known, report};
use crate::interrupt::Interrupt;
use crate::measure::{Job, Measured, SAMPLE_EVERY, hopeless, measure, plan_error};
use crate::publish::{Place, check_out, print, publish, thresholds, worse};
use crate::screen::Screen;
use crate::serve::ping_words;
use crate::units::{OrAuto, Typed};
use halfopen_loadgen::death::Death;
use halfopen_loadgen::plan::{Amount, Asked, KillAt, ServerPing, Watch, resolve};
use halfopen_loadgen::report::folder;
use halfopen_loadgen::report::schema::Report;
use halfopen_loadgen::threshold::Threshold;
use halfopen_server::{DriverKind, Stats};
use serde_json::{Map, Value, json};
use std::ffi::OsString;
use std::time::Duration;

/// Runs the lab, as often as was asked for.
pub(crate) fn run(flags: &Lab, json: bool, quiet: bool) -> Outcome {
    if !flags.foreign.server.is_empty() {
        return servers::run(flags, json, quiet);
    }
    let lab = Resolved::of(flags)?;
    let thresholds = thresholds(&flags.thresholds.fail_if)?;
    check_out(&flags.out)?;
    let interrupt = Interrupt::or_leave()?;
    let mut screen = Screen::new(quiet);
    lab.notes.iter().for_each(|note| screen.note(note));
    let mut reports = Vec::new();
    let mut outcome = Ok(Exit::Done);
    for round in 1..=flags.repeat {
        if flags.repeat > 1 {
            screen.note(&format!("run {round} of {}", flags.repeat));
        }
        let (report, ended) = once(flags, &lab, &thresholds, json, &mut screen, &interrupt)?;
        reports.push(report);
        outcome = worse(outcome, ended);
        if interrupt.asked() || outcome.is_err() {
            break;
        }
    }
    if json {
        print(&document(&reports))?;
    }
    outcome
}

/// One report is its own document, several are a list.
fn document(reports: &[Report]) -> String {
    match reports {
        [report] => folder::json(report),
        _ => serde_json::to_string_pretty(reports).expect("reports are JSON"),
    }
}

fn once(
    flags: &Lab,
    lab: &Resolved,
    thresholds: &[Threshold],
    json: bool,
    screen: &mut Screen,
    interrupt: &Interrupt,
) -> Result<(Report, Outcome), Failure> {
    let mut server = ServerProcess::start(&lab.server_flags(flags))?;
    screen.note(&lab.say(flags, &server));
    if let Some(admin) = &server.announced().admin {
        screen.note(&format!("metrics: {admin}/metrics"));
    }
    let url = format!("{}://{}/", lab.scheme(), server.announced().addr);
    let ping = ServerPing { interval: lab.interval, timeout: lab.timeout };
    let asked = lab.asked(flags, &url, Some(ping));
    let job = Job {
        plan: resolve(&asked).map_err(|e| plan_error(&e))?,
        driver: lab.load_driver,
        server_pids: vec![server.pid()],
        hiccups: true,
        sample_every: SAMPLE_EVERY,
        running: Running::default(),
    };
    let settings = lab.settings(flags, &server);
    let mut measured = measure(job, screen, interrupt, || server.died())?;
    let stats = match measured.server_died {
        Some(_) => None,
        None => server.stop(),
    };
    let failure = measured.server_died.take().or_else(|| hopeless(&measured.outcome));
    let known = lab.known(flags, settings, stats, thresholds, failure.as_ref());
    finish(flags, &measured, known, failure, json)
}

fn finish(
    flags: &Lab,
    measured: &Measured,
    known: Known<'_>,
    failure: Option<Failure>,
    json: bool,
) -> Result<(Report, Outcome), Failure> {
    let (report, histograms) = report(measured, known);
    let name = flags.name.as_deref().unwrap_or("lab");
    let place = Place { out: Some(&flags.out), name, json };
    let published = publish(&report, &histograms, &place);
    Ok((report, failure.map_or(published, Err)))
}

/// The flags of `lab` with their defaults, which `--quick` changes.
struct Resolved {
    connections: u32,
    interval: Option<Duration>,
    timeout: Duration,
    kills: Vec<(Death, Amount)>,
    watch: Watch,
    server_cpus: Vec<usize>,
    load_cpus: Vec<usize>,
    load_driver: DriverKind,
    /// Where TLS is spoken.
    identity: Option<Identity>,
    /// What is to be said of all that.
    notes: Vec<String>,
}

impl Resolved {
    fn of(flags: &Lab) -> Result<Self, Failure> {
        let defaults = if flags.quick { QUICK } else { USUAL };
        let connections = flags.connections.unwrap_or(defaults.connections);
        let kills = match &flags.deaths.kill[..] {
            [] => defaults.kills(connections),
            given => kills(given, connections).map_err(Failure::usage)?,
        };
        let (server_cpus, load_cpus) = share_cores(&own_cores());
        let (load_driver, note) = choose(DriverKind::Auto);
        Ok(Self {
            connections,
            interval: flags.ping_interval.map_or(Some(defaults.interval), |given| given.0),
            timeout: flags.ping_timeout.unwrap_or(defaults.timeout),
            kills,
            watch: match flags.deaths.watch {
                OrAuto::Auto => defaults.watch,
                OrAuto::Given(time) => Watch::For(time),
            },
            server_cpus,
            load_cpus,
            load_driver,
            identity: flags.tls.then(Identity::of_loopback).transpose()?,
            notes: [note, impatience(&flags.tcp)].into_iter().flatten().collect(),
        })
    }

    /// What `serve` is started with.
    fn server_flags(&self, flags: &Lab) -> Vec<OsString> {
        let mut line = vec![
            format!("--driver={}", flags.driver.name()),
            format!("--ping-timeout={}", Typed(self.timeout)),
            format!("--ping-policy={}", policy_name(flags.ping_policy)),
            match self.interval {
                Some(interval) => format!("--ping-interval={}", Typed(interval)),
                None => "--ping-interval=off".into(),
            },
        ];
        if !flags.io_uring_without.is_empty() {
            let names: Vec<_> =
                flags.io_uring_without.iter().map(|feature| feature.name()).collect();
            line.push(format!("--io-uring-without={}", names.join(",")));
        }
        if let OrAuto::Given(shards) = flags.shards {
            line.push(format!("--shards={shards}"));
        }
        if !self.server_cpus.is_empty() {
            line.push(format!("--cpu={}", cpu_list(&self.server_cpus)));
        }
        if let Some(identity) = &self.identity {
            line.push(format!("--cert={}", identity.cert().display()));
            line.push(format!("--key={}", identity.key().display()));
        }
        line.extend(tcp(&flags.tcp));
        line.extend(flags.admin.map(|addr| format!("--admin={addr}")));
        line.extend(limits(&flags.limits, self.connections));
        line.into_iter().map(OsString::from).collect()
    }

    fn asked(&self, flags: &Lab, url: &str, server_ping: Option<ServerPing>) -> Asked {
        let idle = if self.kills.is_empty() { DURATION_WITHOUT_DEATHS } else { Duration::ZERO };
        Asked {
            connections: self.connections,
            connect_rate: flags.connect_rate,
            connect_timeout: flags.connect_timeout,
            duration: flags.messages.duration.unwrap_or(idle),
            message_rate: flags.messages.message_rate.clone(),
            arrivals: flags.messages.arrivals.into(),
            window: flags.messages.window(),
            size: flags.messages.size.clone(),
            kind: flags.messages.kind.into(),
            expect: flags.messages.expect.into(),
            client_ping: flags.messages.client_ping,
            kills: self.kills.clone(),
            kill_at: match flags.deaths.kill_at {
                OrAuto::Auto => KillAt::Auto,
                OrAuto::Given(time) => KillAt::After(time),
            },
            kill_over: flags.deaths.kill_over,
            kill_times: flags.deaths.kill_times.into(),
            pong_delay: flags.deaths.pong_delay,
            flap_for: flags.deaths.flap_for,
            revive: flags.deaths.revive(),
            watch: self.watch,
            server_ping,
            cpus: self.load_cpus.clone(),
            seed: flags.seed,
            cacert: self.identity.as_ref().map(Identity::cert),
            ..Asked::new(url)
        }
    }

    /// Where server and load run, if they are kept apart.
    fn cores(&self) -> String {
        match &self.server_cpus[..] {
            [] => String::new(),
            cpus => {
                format!(" on core {}, load on core {}", cpu_list(cpus), cpu_list(&self.load_cpus))
            }
        }
    }

    fn scheme(&self) -> &'static str {
        if self.identity.is_some() { "wss" } else { "ws" }
    }

    /// What begins, in a line.
    fn say(&self, flags: &Lab, server: &ServerProcess) -> String {
        let said = server.announced();
        let cores = self.cores();
        let ping = ping_words(self.interval, self.timeout);
        let policy = policy_name(flags.ping_policy);
        let shards = match said.shards {
            1 => "1 shard".into(),
            shards => format!("{shards} shards"),
        };
        let tls = if self.identity.is_some() { ", TLS" } else { "" };
        format!("server: {} in {shards}{cores}{tls}; ping {ping} {policy}", said.driver)
    }

    /// What the report's plan says of the server.
    fn settings(&self, flags: &Lab, server: &ServerProcess) -> Map<String, Value> {
        let said = server.announced();
        let settings = json!({
            "ping_policy": policy_name(flags.ping_policy),
            "server_driver": said.driver,
            "server_shards": said.shards,
            "server_cpus": self.server_cpus,
            "tcp_keepalive_ms": flags.tcp.tcp_keepalive.0.map(|time| time.as_millis() as u64),
            "tcp_user_timeout_ms": flags.tcp.tcp_user_timeout.0.map(|time| time.as_millis() as u64),
            "load_driver": self.load_driver.name(),
        });
        settings.as_object().cloned().unwrap_or_default()
    }

    fn known<'a>(
        &self,
        flags: &Lab,
        settings: Map<String, Value>,
        stats: Option<Stats>,
        thresholds: &'a [Threshold],
        failure: Option<&Failure>,
    ) -> Known<'a> {
        Known {
            settings,
            pings_only_the_silent: flags.ping_policy == Policy::Idle,
            server: stats,
            server_cpus: self.server_cpus.clone(),
            thresholds,
            failure: failure.map(|failure| failure.cause.clone()),
        }
    }
}

/// What is done if nothing is said.
struct Defaults {
    connections: u32,
    interval: Duration,
    timeout: Duration,
    kills: [(Death, u32); 5],
    watch: Watch,
}

impl Defaults {
    /// Who dies. Of few connections fewer die, in the same proportions, so that half of them live.
    fn kills(&self, connections: u32) -> Vec<(Death, Amount)> {
        let victims: u32 = self.kills.iter().map(|(_, count)| count).sum();
        let share = f64::min(1.0, f64::from(connections) / 2.0 / f64::from(victims));
        let scaled = self.kills.iter().map(|&(death, count)| {
            (death, Amount::Count((f64::from(count) * share).floor() as u32))
        });
        scaled.filter(|(_, amount)| *amount != Amount::Count(0)).collect()
    }
}

const fn default_kills(silent: u32, loud: u32) -> [(Death, u32); 5] {
    [
        (Death::Blackhole, silent),
        (Death::Freeze, silent),
        (Death::Fin, loud),
        (Death::Reset, loud),
        (Death::Close, loud),
    ]
}

fn policy_name(policy: Policy) -> &'static str {
    match policy {
        Policy::Periodic => "periodic",
        Policy::Idle => "idle",
    }
}

/// What the kernel watches, as the server's flags.
fn tcp(tcp: &TcpFlags) -> impl Iterator<Item = String> {
    let watches = [("keepalive", tcp.tcp_keepalive), ("user-timeout", tcp.tcp_user_timeout)];
    let given = watches.into_iter().filter_map(|(name, time)| Some((name, time.0?)));
    given.map(|(name, time)| format!("--tcp-{name}={}", Typed(time)))
}

/// The limits of the server, as its flags.
fn limits(limits: &LimitFlags, connections: u32) -> Vec<String> {
    let max = match limits.max_connections {
        OrAuto::Auto => connections,
        OrAuto::Given(max) => max,
    };
    let slow_consumer = halfopen_server::SlowConsumer::from(limits.slow_consumer);
    let mut flags = vec![
        format!("--max-connections={max}"),
        format!("--handshake-timeout={}", Typed(limits.handshake_timeout)),
        format!("--close-timeout={}", Typed(limits.close_timeout)),
        format!("--max-message={}", limits.max_message),
        format!("--output-max={}", limits.output_max),
        format!("--output-timeout={}", Typed(limits.output_timeout)),
        format!("--slow-consumer={}", slow_consumer.name()),
    ];
    flags.extend(limits.idle_timeout.0.map(|time| format!("--idle-timeout={}", Typed(time))));
    flags
}

const USUAL: Defaults = Defaults {
    connections: 10_000,
    interval: Duration::from_secs(5),
    timeout: Duration::from_secs(3),
    kills: default_kills(1_000, 100),
    watch: Watch::Auto,
};
const QUICK: Defaults = Defaults {
    connections: 2_000,
    interval: Duration::from_secs(1),
    timeout: Duration::from_millis(600),
    kills: default_kills(200, 200),
    watch: Watch::AtMost(Duration::from_secs(5)),
};
const DURATION_WITHOUT_DEATHS: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_few_connections_at_most_half_die() {
        for connections in [1, 2, 10, 100, 1_000, 4_600, 10_000, 1_000_000] {
            let kills = USUAL.kills(connections);
            let victims: u32 = kills
                .iter()
                .map(|(_, amount)| match amount {
                    Amount::Count(count) => *count,
                    Amount::Share(_) => unreachable!("they are counts"),
                })
                .sum();
            assert!(victims <= connections / 2 && victims <= 2_300, "{connections}: {victims}");
        }
        assert_eq!(USUAL.kills(10_000)[0], (Death::Blackhole, Amount::Count(1_000)));
        assert_eq!(QUICK.kills(2_000)[4], (Death::Close, Amount::Count(200)));
    }
}
