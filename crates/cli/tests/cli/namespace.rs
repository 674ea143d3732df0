//! A server that is elsewhere: in another network namespace, at the other end of a veth pair.

use crate::program::{Ran, Served, is_spoilt, unspoilt};
use halfopen_sim::skipped;
use std::process::{Command, Stdio};

/// Two namespaces joined by a cable, gone at the end.
struct Places {
    server: String,
    client: String,
}

const SERVER: &str = "198.18.77.1";
const CLIENT: &str = "198.18.77.2";

impl Places {
    /// None where this user may not make them.
    fn make(name: &str) -> Option<Self> {
        let id = std::process::id();
        let places =
            Self { server: format!("ho-{name}-s{id}"), client: format!("ho-{name}-c{id}") };
        let Self { server, client } = &places;
        let made = [
            format!("netns add {server}"),
            format!("netns add {client}"),
            format!("-n {server} link add cable type veth peer name cable netns {client}"),
            format!("-n {server} addr add {SERVER}/30 dev cable"),
            format!("-n {client} addr add {CLIENT}/30 dev cable"),
            format!("-n {server} link set cable up"),
            format!("-n {client} link set cable up"),
        ];
        made.iter().all(|line| ip(line)).then_some(places)
    }

    /// The program, in one of them.
    fn halfopen(place: &str, args: &[&str]) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", place, env!("CARGO_BIN_EXE_halfopen")]).args(args);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.server));
        ip(&format!("netns del {}", self.client));
    }
}

fn ip(line: &str) -> bool {
    let output = Command::new("ip").args(line.split(' ')).output();
    output.is_ok_and(|output| output.status.success())
}

#[test]
fn of_a_server_elsewhere_the_client_side_tells_what_it_can_and_says_so() {
    let Some(places) = Places::make("far") else {
        return skipped("no right to make network namespaces (or no `ip`)");
    };
    let listen = format!("--listen={SERVER}:0");
    let heartbeat = ["--ping-interval=1s", "--ping-timeout=1s"];
    let args = [&["serve", &listen], &heartbeat[..]].concat();
    let server = Served::run(&mut Places::halfopen(&places.server, &args));
    unspoilt("a server elsewhere", || {
        let kill = ["--kill", "blackhole=40", "mute=5", "close=5"];
        let url = server.url();
        let load = ["load", "-c80", "-d1s", "--json", "-q", "--server-ping=1s/1s"];
        let args = [&load[..], &kill[..], &[&url]].concat();
        let ran = Ran::from(Places::halfopen(&places.client, &args).output().unwrap());
        assert_eq!(ran.status, Some(0), "{ran:?}");
        let report = ran.document();
        crate::report::assert_valid(&report);
        if is_spoilt(&report) {
            return None;
        }
        let deaths = &report["deaths"];
        for kind in ["blackhole", "mute", "close"] {
            assert_eq!(deaths[kind]["observer"], "client", "{deaths}");
        }
        // RST reaches who still listens.
        assert_eq!(deaths["mute"]["detected"], 5, "{deaths}");
        assert_eq!(report["false_kills"], 0);
        // The blackholed come back at ages up to 2.5 s. Nobody is found before 1 s, and all are
        // after 2 s (and what a busy machine adds).
        let blackhole = &deaths["blackhole"];
        let count = |of: &serde_json::Value| of.as_u64().unwrap();
        let outcomes = &blackhole["outcomes"];
        let (survived, reset) = (count(&outcomes["survived"]), count(&outcomes["reset"]));
        assert_eq!(survived + reset, 40, "{deaths}");
        assert_eq!(count(&outcomes["unknown"]) + count(&blackhole["unobservable"]), 0, "{deaths}");
        for back in blackhole["revivals"].as_array().unwrap() {
            let age = back["age_ms"].as_f64().unwrap();
            let (revived, found) = (count(&back["revived"]), count(&back["found"]));
            assert!(age > 950.0 || found == 0, "found too soon: {blackhole}");
            assert!(age < 2_200.0 || found == revived, "not found in time: {blackhole}");
        }
        Some(())
    });
}

#[test]
fn a_server_elsewhere_is_probed_as_well() {
    let Some(places) = Places::make("probe") else {
        return skipped("no right to make network namespaces (or no `ip`)");
    };
    let listen = format!("--listen={SERVER}:0");
    let args = ["serve", &listen, "--ping-interval=600ms", "--ping-timeout=300ms"];
    let server = Served::run(&mut Places::halfopen(&places.server, &args));
    let args = ["probe", &server.url(), "--json", "-q"];
    let ran = Ran::from(Places::halfopen(&places.client, &args).output().unwrap());
    assert_eq!(ran.status, Some(0), "{ran:?}");
    let document = ran.document();
    assert_eq!(document["pings"], "server", "{document}");
    assert_eq!(document["timeout_ms"]["count"], 3, "{document}");
}
