//! `serve` stands still as a whole (SIGSTOP) while its peers live on or die, and comes back to
//! deadlines that have passed and to answers that it has not heard. For seconds, beside short
//! intervals; with `HALFOPEN_LONG=1` for a minute.

use crate::admin::metrics;
use crate::program::{Served, halfopen, is_spoilt, unspoilt, wait_for};
use rustix::process::Signal;
use serde_json::Value;
use std::process::Child;
use std::thread::{scope, sleep};
use std::time::Duration;

const CONNECTIONS: u64 = 200;
/// Deaths that the server has to find by itself.
const SILENT: [&str; 3] = ["blackhole", "freeze", "mute"];
const VICTIMS: u64 = 5;

/// How long it stands still, and what it asks its peers with. An interval and a timeout are less.
#[derive(Clone, Copy)]
struct Stop {
    time: Duration,
    interval: Duration,
    timeout: Duration,
}

impl Stop {
    fn of_this_run() -> Self {
        let seconds = Duration::from_secs;
        match std::env::var_os("HALFOPEN_LONG") {
            Some(_) => Self { time: seconds(60), interval: seconds(5), timeout: seconds(5) },
            None => {
                Self { time: seconds(4), interval: Duration::from_millis(300), timeout: seconds(1) }
            }
        }
    }

    /// All are asked within an interval after they came, and then it stops; a second later they die.
    fn load(&self, url: &str) -> Child {
        let kill_at = ms(self.interval + Duration::from_secs(1));
        let duration = ms(self.interval + self.time + 2 * (self.interval + self.timeout));
        let victims = SILENT.map(|death| format!("{death}={VICTIMS}"));
        halfopen(&["load", url, "--connections=200", "--connect-rate=2k/s", "--json", "-q"])
            .args(["--message-rate=500/s", "--expect=echo", "--duration", &duration])
            .args(["--kill-at", &kill_at, "--kill-over=1s", "--kill"])
            .args(victims)
            .spawn()
            .unwrap()
    }

    /// The report of the load.
    fn play(&self, driver: &str) -> Value {
        let server = Served::start(&[
            "--admin=127.0.0.1:0",
            "--shards=2",
            &format!("--driver={driver}"),
            &format!("--ping-interval={}", ms(self.interval)),
            &format!("--ping-timeout={}", ms(self.timeout)),
        ]);
        let load = self.load(&server.url());
        wait_for("a ping to each", || {
            let sent = metrics(&server).value("halfopen_pings_sent_total");
            (sent >= CONNECTIONS as f64).then_some(())
        });
        server.tell(Signal::STOP);
        sleep(self.time);
        server.tell(Signal::CONT);
        let report = load.wait_with_output().unwrap();
        serde_json::from_slice(&report.stdout).unwrap_or_else(|error| panic!("{error}: {report:?}"))
    }
}

fn ms(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

fn loses_nobody_and_finds_the_dead(report: &Value) -> bool {
    let found = |death: &str| {
        let block = &report["deaths"][death];
        ["killed", "detected", "reclaimed"].iter().all(|what| block[what] == VICTIMS)
    };
    let living = CONNECTIONS - VICTIMS * SILENT.len() as u64;
    report["living"]["at_end"] == living
        && report["false_kills"] == 0
        && SILENT.into_iter().all(found)
}

/// None, if others kept the living from answering as well.
fn try_it(driver: &str) -> Option<()> {
    let report = Stop::of_this_run().play(driver);
    if !loses_nobody_and_finds_the_dead(&report) {
        assert!(is_spoilt(&report), "{driver}: {report}");
        return None;
    }
    assert_eq!(report["connections"]["opened"], CONNECTIONS, "{driver}: {report}");
    // They were asked before and after.
    assert!(report["pings"]["server"]["seen"].as_u64() > Some(CONNECTIONS), "{report}");
    Some(())
}

#[test]
fn a_server_that_stood_still_loses_nobody_who_lives_and_finds_who_died_meanwhile() {
    scope(|scope| {
        for driver in ["io-uring", "tokio-uring", "epoll"] {
            scope.spawn(move || unspoilt(driver, || try_it(driver)));
        }
    });
}
