//! The flood and the mass death, small: they do what they say, and what they measure is there.
#![cfg(target_os = "linux")]

use halfopen_server::{Config, DriverKind, Echo, End, Server, ServerConfig};
use serde_json::Value;
use std::process::{Command, Output};
use std::time::Duration;

fn run(program: &str, args: &[&str]) -> Value {
    let Output { status, stdout, stderr } = Command::new(program).args(args).output().unwrap();
    assert!(status.success(), "{status}: {}", String::from_utf8_lossy(&stderr));
    serde_json::from_slice(&stdout).unwrap()
}

#[test]
fn every_wave_of_a_flood_does_what_it_is_to_do() {
    let config = ServerConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        driver: DriverKind::IoUring,
        connections_max: Some(400),
        shard: Config { handshake_timeout: Duration::from_millis(300), ..Config::default() },
        ..ServerConfig::default()
    };
    let server = Server::start(&config, |_| Echo).unwrap();
    let address = server.local_addr().to_string();
    let flags =
        ["--duration=2", "--connects=100", "--silent=20", "--slow-heads=20", "--pingers=20"];
    let rates = ["--pings=2000", "--deaf=20", "--messages=2000", "--connect-rate=200"];
    let args = [&["at", &*address], &flags[..], &rates[..]].concat();
    let waves = run(env!("CARGO_BIN_EXE_flood"), &args);
    let waves = waves.as_array().unwrap();
    assert_eq!(waves.len(), 4);
    for wave in waves {
        assert!(wave["connected"].as_u64() >= Some(20), "{wave}");
        assert_eq!(wave["sent"] == 0, wave["kind"] == "silent", "{wave}");
    }
    let stats = server.handle().snapshot();
    assert!(stats.opened >= 40 && stats.ended(End::HandshakeTimeout) > 0, "{stats:?}");
    assert!(stats.pings_received >= 100 && stats.messages_received > 0, "{stats:?}");
    server.handle().stop();
    assert!(server.join().error.is_none());
}

#[test]
fn a_flood_is_only_for_a_server_of_this_machine() {
    let mut flood = Command::new(env!("CARGO_BIN_EXE_flood"));
    let output = flood.args(["at", "192.0.2.1:80", "--duration=1"]).output().unwrap();
    assert!(!output.status.success());
}

#[test]
fn all_victims_are_found_and_the_living_are_measured() {
    let sizes = ["--victims=200", "--living=20", "--rate=2000", "--connect-rate=1000"];
    let times =
        ["--interval=1", "--timeout=0.5", "--quiet=3", "--gather=2", "--rounds=1", "--json"];
    let report = run(env!("CARGO_BIN_EXE_mass-death"), &[&sizes[..], &times[..]].concat());
    assert_eq!(report["schema"], "halfopen.mass-death/3");
    let [falling, gathered] = &report["runs"].as_array().unwrap()[..] else { panic!("{report}") };
    for run in [falling, gathered] {
        // Where the machine stands still for as long as the timeout, some of the living are lost.
        let (found, lost) = (run["found"].as_u64().unwrap(), run["lost"].as_u64().unwrap());
        assert_eq!(found, 200 + lost, "{run}");
        assert_eq!(run["lateness"]["count"], found);
        for echo in ["echo_quiet", "echo_during"] {
            // No echo over loopback takes less than a microsecond.
            assert!(run[echo]["p50_ms"].as_f64() > Some(0.001), "{run}");
        }
        assert!(run["shards_ran_ms"].as_f64() > Some(0.0), "{run}");
        let first_freed_ms = run["first_freed_ms"].as_f64();
        assert!(stood_still(run) || first_freed_ms >= Some(250.0), "not before their time: {run}");
    }
    let over = |run: &Value| run["freed_over_ms"].as_f64().unwrap();
    let stood_still = stood_still(falling) || stood_still(gathered);
    assert!(stood_still || over(gathered) < over(falling), "{report}");
}

/// Then victims, too, may be found before they die, and those who die amid a row of pings in two parts.
fn stood_still(run: &Value) -> bool {
    let longest_ms = ["echo_quiet", "echo_during", "hiccups_quiet", "hiccups_during"]
        .map(|felt| run[felt]["max_ms"].as_f64());
    run["lost"] != 0 || longest_ms.into_iter().any(|ms| ms > Some(250.0))
}
