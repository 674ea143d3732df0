//! `serve`: a server that says one line when it listens, and drains when it is asked to end.

use crate::admin::Admin;
use crate::admin::server::{About, page};
use crate::args::{App, LimitFlags, Policy, Serve};
use crate::choice::{choose, impatience};
use crate::exit::{Exit, Failure, Outcome};
use crate::interrupt::Interrupt;
use crate::labour::Labour;
use crate::log;
use crate::units::{OrAuto, Typed};
use halfopen_loadgen::report::number::count;
use halfopen_server::metrics::Monitor;
use halfopen_server::{
    Ack, Config, DriverKind, Echo, Heartbeat, Server, ServerConfig, ServerError, ServerHandle,
    ServerTls, Stats, io_uring,
};
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Runs the server until it is asked to end.
pub(crate) fn run(flags: &Serve, json: bool, quiet: bool) -> Outcome {
    let log = log::begin(flags.log.as_ref(), flags.log_format)?;
    // Before the server, so that whoever asks meanwhile is told to wait.
    let admin = flags.admin.map(Admin::start).transpose()?;
    let outcome = serve(flags, json, quiet || log.is_some(), admin.as_ref());
    if let Some(log) = log {
        log.flush();
    }
    outcome
}

/// With `quiet` nothing is said on stderr but errors: the log has it.
fn serve(flags: &Serve, json: bool, quiet: bool, admin: Option<&Admin>) -> Outcome {
    let (_, note) = choose(flags.driver);
    let config = config(flags)?;
    let server = match (flags.app, flags.work) {
        (App::Echo, None) => Server::start(&config, |_| Echo),
        (App::Echo, Some(work)) => Server::start(&config, |_| Labour { app: Echo, work }),
        (App::Ack, None) => Server::start(&config, |_| Ack),
        (App::Ack, Some(work)) => Server::start(&config, |_| Labour { app: Ack, work }),
    }
    .map_err(|error| failure(&error))?;

    if let Some(admin) = admin {
        let about = About { driver: server.driver().name(), heartbeat: config.shard.heartbeat };
        admin.ready(page(Monitor::new(server.handle()), about))?;
    }
    let cut_short = catch_signals(server.handle(), flags.drain, quiet, admin)?;
    if flags.with_stdin {
        end_with_stdin(server.handle());
    }
    announce(&server, flags, json, admin);
    let notes = [note, fallbacks(&server, &config), impatience(&flags.tcp)];
    for note in notes.into_iter().flatten() {
        tracing::warn!("{}", note.trim_start_matches("note: "));
        tell(&note, quiet);
    }
    warn_of_limits(&server, quiet);

    let outcome = server.join();
    if let Some(path) = &flags.stats_out {
        write_stats(path, &outcome.stats)?;
    }
    tell(&farewell(&outcome.stats), quiet);
    match outcome.error {
        Some(error) => Err(failure(&error)),
        None if cut_short.load(Ordering::Acquire) => Ok(Exit::Interrupted),
        None => Ok(Exit::Done),
    }
}

fn config(flags: &Serve) -> Result<ServerConfig, Failure> {
    let heartbeat = flags.ping_interval.0.map(|interval| Heartbeat {
        policy: policy(flags.ping_policy),
        interval,
        timeout: flags.ping_timeout,
    });
    Ok(ServerConfig {
        listen: flags.listen,
        driver: flags.driver,
        io_uring_without: flags.io_uring_without.iter().copied().collect(),
        shards: given(flags.shards),
        connections_max: given(flags.limits.max_connections),
        cpus: flags.cpu.as_ref().map_or(Vec::new(), |cpus| cpus.0.clone()),
        tcp: flags.tcp.watch(),
        tls: tls(flags)?,
        shard: shard_config(heartbeat, &flags.limits),
        ..ServerConfig::default()
    })
}

/// The command line gives both files or none.
fn tls(flags: &Serve) -> Result<Option<ServerTls>, Failure> {
    let (Some(cert), Some(key)) = (&flags.cert, &flags.key) else { return Ok(None) };
    let tls = ServerTls::from_files(cert, key);
    tls.map(Some).map_err(|error| Failure::usage(error.to_string()))
}

fn shard_config(heartbeat: Option<Heartbeat>, limits: &LimitFlags) -> Config {
    let mut config = Config {
        heartbeat,
        handshake_timeout: limits.handshake_timeout,
        close_timeout: limits.close_timeout,
        idle_timeout: limits.idle_timeout.0,
        output_timeout: limits.output_timeout,
        output_max: limits.output_max,
        slow_consumer: limits.slow_consumer.into(),
        ..Config::default()
    };
    config.limits.message_max = limits.max_message as u64;
    config.limits.frame_max = limits.max_message as u64;
    config.limits.pinned_max = limits.max_message as u64;
    config
}

fn policy(policy: Policy) -> halfopen_server::Policy {
    match policy {
        Policy::Periodic => halfopen_server::Policy::Periodic,
        Policy::Idle => halfopen_server::Policy::Idle,
    }
}

fn given<T>(value: OrAuto<T>) -> Option<T> {
    match value {
        OrAuto::Auto => None,
        OrAuto::Given(value) => Some(value),
    }
}

fn failure(error: &ServerError) -> Failure {
    match error {
        ServerError::Cpu { .. } => Failure::usage(error.to_string()),
        _ => Failure::run(error.to_string()),
    }
}

/// The first signal drains, the second ends at once. What is given back tells whether the second
/// came.
fn catch_signals(
    handle: ServerHandle,
    window: Duration,
    quiet: bool,
    admin: Option<&Admin>,
) -> Result<Arc<AtomicBool>, Failure> {
    let cut_short = Arc::new(AtomicBool::new(false));
    let (at_first, at_second, told) = (handle.clone(), handle, cut_short.clone());
    let tell_admin = admin.map(Admin::on_drain);
    let drain = move || {
        if let Some(tell) = tell_admin {
            tell();
        }
        let (open, time) = (count(at_first.open()), Typed(window));
        let words = format!("draining {open} connections over {time}; Ctrl-C again ends at once");
        tell(&words, quiet);
        at_first.drain(window);
    };
    let end = move || {
        told.store(true, Ordering::Release);
        at_second.stop();
        // Only if a shard does not listen any more.
        thread::sleep(Duration::from_secs(1));
        std::process::exit(Exit::Interrupted as i32);
    };
    Interrupt::catch(drain, end).map_err(|e| Failure::run(format!("catching signals: {e}")))?;
    Ok(cut_short)
}

/// Whoever started this holds the other end of its stdin; when they are gone, so is the reason to
/// run.
fn end_with_stdin(handle: ServerHandle) {
    thread::spawn(move || {
        let _ = io::copy(&mut io::stdin().lock().by_ref(), &mut io::sink());
        handle.stop();
    });
}

/// Tells where it listens: one line, or one document.
fn announce(server: &Server, flags: &Serve, json: bool, admin: Option<&Admin>) {
    let (driver, shards) = (server.driver().name(), server.layout().shards);
    let scheme = if flags.cert.is_some() { "wss" } else { "ws" };
    let url = format!("{scheme}://{}", server.local_addr());
    let admin = admin.map(|admin| format!("http://{}", admin.addr()));
    let line = if json {
        let interval = flags.ping_interval.0.map(|interval| interval.as_secs_f64() * 1e3);
        serde_json::json!({
            "schema": "halfopen.serve/1",
            "listening": url,
            "driver": driver,
            "shards": shards,
            "ping_interval_ms": interval,
            "ping_timeout_ms": interval.map(|_| flags.ping_timeout.as_secs_f64() * 1e3),
            "connections_max": server.layout().connections_max,
            "admin": admin,
            "pid": std::process::id(),
        })
        .to_string()
    } else {
        let ping = ping_words(flags.ping_interval.0, flags.ping_timeout);
        let admin = admin.map_or(String::new(), |admin| format!(" admin={admin}"));
        format!("listening on {url} driver={driver} shards={shards} ping={ping}{admin}")
    };
    // Nobody may be reading; the server serves all the same.
    let mut out = io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// A heartbeat in short: `20s/20s`, or `off`.
pub(crate) fn ping_words(interval: Option<Duration>, timeout: Duration) -> String {
    match interval {
        Some(interval) => format!("{}/{}", Typed(interval), Typed(timeout)),
        None => "off".into(),
    }
}

/// What of io_uring is done without here, and why.
fn fallbacks(server: &Server, config: &ServerConfig) -> Option<String> {
    if server.driver() != DriverKind::IoUring {
        return None;
    }
    let fallbacks = io_uring::probe(config.io_uring_without).ok()?.fallbacks;
    let words = || format!("note: io_uring falls back to {}", io_uring::list(&fallbacks));
    (!fallbacks.is_empty()).then(words)
}

fn warn_of_limits(server: &Server, quiet: bool) {
    let layout = server.layout();
    if layout.exceeds_descriptor_limit() {
        let words = format!(
            "note: {} connections are above the descriptor limit of {}, as asked: {} rings hold them",
            count(layout.connections_max.into()),
            count(layout.descriptors),
            layout.shards
        );
        tell(&words, quiet);
    }
}

/// Nobody may be reading stderr any more, and the server serves all the same.
fn tell(words: &str, quiet: bool) {
    if !quiet {
        let _ = writeln!(io::stderr(), "{words}");
    }
}

fn write_stats(path: &Path, stats: &Stats) -> Result<(), Failure> {
    let json = serde_json::to_string(stats).expect("numbers and names become JSON");
    if path == Path::new("-") {
        println!("{json}");
        return Ok(());
    }
    fs::write(path, json).map_err(|e| Failure::run(format!("cannot write {}: {e}", path.display())))
}

fn farewell(stats: &Stats) -> String {
    let ended: Vec<String> = stats
        .ended
        .iter()
        .map(|(end, times)| {
            let end = serde_json::to_value(end).expect("a name");
            let end = end.as_str().unwrap_or_default().replace('_', " ");
            format!("{} {end}", count(*times))
        })
        .collect();
    let opened = count(stats.opened);
    match ended.is_empty() {
        true => format!("served {opened} connections"),
        false => format!("served {opened} connections; ended: {}", ended.join(", ")),
    }
}
