use crate::program::{Served, halfopen};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::thread::{scope, sleep};
use std::time::Duration;

/// Longer than an interval and a timeout, several times.
const STOPPED: Duration = Duration::from_secs(3);

/// `serve` stands still as a whole (SIGSTOP) while its peers go on, and comes back to deadlines that
/// have passed and to answers that it has not heard. The report of the load.
fn load_on_a_server_that_stands_still(driver: &str) -> Value {
    let server = Served::start(&[
        "--ping-interval=300ms",
        "--ping-timeout=300ms",
        &format!("--driver={driver}"),
        "--shards=2",
    ]);
    let mut load = halfopen(&[
        "load",
        &server.url(),
        "--connections=200",
        "--connect-rate=2k/s",
        "--duration=6s",
        "--message-rate=500/s",
        "--expect=echo",
        "--json",
        "-q",
    ]);
    let load = load.spawn().unwrap();
    // Those who come while it stands still are served afterwards, too.
    sleep(Duration::from_secs(1));
    let signal = |signal| kill_process(Pid::from_raw(server.pid() as i32).unwrap(), signal);
    signal(Signal::STOP).unwrap();
    sleep(STOPPED);
    signal(Signal::CONT).unwrap();
    let report = load.wait_with_output().unwrap();
    serde_json::from_slice(&report.stdout).unwrap()
}

#[test]
fn a_server_that_stood_still_for_seconds_loses_nobody_who_lives() {
    let look = |driver| {
        let report = load_on_a_server_that_stands_still(driver);
        let living = &report["living"];
        assert_eq!(report["connections"]["opened"], 200, "{driver}: {report}");
        assert_eq!(living["at_end"], 200, "{driver}: {living}");
        assert_eq!(report["false_kills"], 0, "{driver}: {living}");
        assert_eq!(living["lost"]["reset"], 0, "{driver}: {living}");
        // They were asked before and after.
        assert!(report["pings"]["server"]["seen"].as_u64() > Some(200), "{driver}: {report}");
    };
    scope(|scope| {
        for driver in ["io-uring", "tokio-uring", "epoll"] {
            scope.spawn(move || look(driver));
        }
    });
}
