use super::sample_run::{Run, sample};
use super::*;
use crate::death::Death;
use crate::record::{Back, Sight};
use serde_json::Value;
use std::time::Duration;

fn json_of(report: &Report) -> Value {
    serde_json::to_value(report).unwrap()
}

#[test]
fn a_report_obeys_its_schema() {
    let schema = jsonschema::draft202012::new(&schema::json_schema()).unwrap();
    let runs = [Run::new(), Run::new().without_pings()];
    for run in &runs {
        let document = json_of(&build(&run.input()).0);
        let errors: Vec<_> = schema.iter_errors(&document).map(|e| e.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}");
    }
}

#[test]
fn the_schema_refuses_what_is_no_report() {
    let schema = jsonschema::draft202012::new(&schema::json_schema()).unwrap();
    let document = json_of(&sample().0);
    for (pointer, wrong) in [
        ("/verdict", Value::from("good")),
        ("/connections/opened", Value::Null),
        ("/deaths/freeze/detection_ms/p50", Value::from("1 ms")),
        ("/phases", Value::Null),
        ("/schema", Value::from("halfopen.report/2")),
        ("/deaths", serde_json::json!({ "boredom": {} })),
    ] {
        let mut changed = document.clone();
        *changed.pointer_mut(pointer).unwrap() = wrong;
        assert!(!schema.is_valid(&changed), "{pointer}");
    }
    let blocks = document.as_object().unwrap();
    for block in blocks.keys() {
        let mut lacking = blocks.clone();
        lacking.remove(block);
        assert!(!schema.is_valid(&Value::Object(lacking)), "without {block}");
    }
}

#[test]
fn the_schema_that_is_published_is_the_one_in_use() {
    let published: Value = serde_json::from_str(include_str!("../../report.schema.json")).unwrap();
    let same = published == schema::json_schema();
    assert!(same, "copy the report.schema.json of a new run over loadgen/report.schema.json");
}

/// What others script against: these paths stay.
const PROMISED: &str = "
    schema tool.version tool.git argv plan env started phases verdict thresholds doubts servers
    connections.requested connections.opened connections.failed connections.peak
    connections.connect_ms.p50 connections.handshake_ms.p99
    living.at_end living.lost.heartbeat living.lost.closed living.lost.reset false_kills
    messages.sent messages.received messages.rate_per_s messages.latency_us messages.service_us.p99
    pings.server.seen pings.server.answered pings.server.interval_ms.p50
    pings.server.burst_ratio_100ms pings.server.rtt_us pings.client
    deaths.freeze.killed deaths.freeze.detected deaths.freeze.reclaimed deaths.freeze.pending
    deaths.freeze.unobservable deaths.freeze.watched_s deaths.freeze.observer
    deaths.freeze.detection_ms.count deaths.freeze.detection_ms.min deaths.freeze.detection_ms.mean
    deaths.freeze.detection_ms.p50 deaths.freeze.detection_ms.p90 deaths.freeze.detection_ms.p99
    deaths.freeze.detection_ms.p99_9 deaths.freeze.detection_ms.p99_99
    deaths.freeze.detection_ms.max deaths.freeze.reclaim_ms.max deaths.freeze.residual_ms.min
    deaths.freeze.lateness_ms.p99 deaths.freeze.predicted.min_ms deaths.freeze.predicted.p50_ms
    deaths.freeze.predicted.max_ms deaths.freeze.predicted.ks.distance deaths.freeze.predicted.ks.p
    cost.both_ends_cpu_us_per_heartbeat.value cost.server_cpu_us_per_heartbeat.low
    cost.client_cpu_us_per_heartbeat.high cost.machine_cpu_us_per_heartbeat.method
    cost.packets_per_heartbeat.floor cost.wire_bytes_per_heartbeat cost.syscalls_per_heartbeat
    cost.server_cpu_percent memory.server_user_bytes_per_connection memory.server_rss_bytes
    memory.kernel_bytes_per_connection_pair";

#[test]
fn every_promised_name_is_there() {
    let document = json_of(&sample().0);
    for path in PROMISED.split_whitespace() {
        let pointer = format!("/{}", path.replace('.', "/"));
        assert!(document.pointer(&pointer).is_some(), "{path}");
    }
    assert_eq!(document["schema"], "halfopen.report/1");
}

#[test]
fn every_victim_is_counted_once_and_measured() {
    let (report, histograms) = sample();
    let block = &report.figures.deaths[&Death::Blackhole];
    assert_eq!((block.killed, block.detected, block.reclaimed), (1000, 1000, 1000));
    assert_eq!((block.pending, block.unobservable), (0, 0));
    let residual = block.residual_ms.unwrap();
    assert!(residual.min.unwrap() >= -0.001 && residual.p99.unwrap() <= 8.0, "{residual:?}");
    assert!((block.watched_s - 9.5).abs() < 1e-9);
    let predicted = block.predicted.as_ref().unwrap();
    assert_eq!((predicted.min_ms, predicted.p50_ms, predicted.max_ms), (3000.0, 5500.0, 8000.0));
    assert!(predicted.ks.unwrap().p > 0.001);
    assert_eq!(histograms.whole["detection-blackhole"].len(), 1000);
    let logged = histograms.intervals.iter().filter(|one| one.tag == "detection-blackhole");
    assert_eq!(logged.map(|one| one.histogram.len()).sum::<u64>(), 1000);
    // TCP tells of a FIN without a heartbeat.
    let fin = &report.figures.deaths[&Death::Fin];
    assert!(fin.predicted.is_none() && fin.residual_ms.is_none() && fin.lateness_ms.is_none());
}

#[test]
fn a_percentile_of_a_hundred_victims_is_null_past_the_90th() {
    let (report, _) = sample();
    let fin = report.figures.deaths[&Death::Fin].detection_ms;
    assert!(fin.p90.is_some() && fin.p99.is_none() && fin.max.is_some());
}

#[test]
fn a_victim_that_the_observer_never_saw_is_unobservable_and_others_pend() {
    let mut run = Run::new();
    run.sightings.remove(0);
    (run.sightings[0].detected, run.sightings[0].reclaimed) = (None, None);
    let (report, _) = build(&run.input());
    let block = &report.figures.deaths[&Death::Blackhole];
    assert_eq!((block.detected, block.pending, block.unobservable), (998, 1, 1));
    assert!(report.doubts.iter().any(|doubt| doubt.code == "unobservable"));
}

#[test]
fn who_was_gone_before_its_death_is_lost_and_not_found_in_no_time() {
    let mut run = Run::new();
    let soon = run.tally.victims[0].killed - Duration::from_millis(3);
    (run.sightings[0].detected, run.sightings[0].reclaimed) = (Some(soon), Some(soon));
    let (report, _) = build(&run.input());
    let block = &report.figures.deaths[&Death::Blackhole];
    assert_eq!((block.killed, block.detected, block.reclaimed), (999, 999, 999));
    assert!(block.detection_ms.min.unwrap() > 2_900.0);
    assert_eq!(report.figures.living.lost.reset, 1);
}

#[test]
fn what_the_client_saw_counts_where_nobody_else_looked() {
    let mut run = Run::new();
    run.sightings.clear();
    let victims = &mut run.tally.victims;
    let frozen = victims.iter_mut().find(|victim| victim.death == Death::Freeze).unwrap();
    frozen.client_saw = Some(frozen.killed + Duration::from_secs(6));
    let mut input = run.input();
    input.observed.by = Some(ObserverKind::Client);
    let (report, _) = build(&input);
    let freeze = &report.figures.deaths[&Death::Freeze];
    assert_eq!((freeze.detected, freeze.pending, freeze.unobservable), (1, 999, 0));
    // Behind a blackhole nothing reaches the client.
    let blackhole = &report.figures.deaths[&Death::Blackhole];
    assert_eq!((blackhole.pending, blackhole.unobservable), (0, 1000));
}

#[test]
fn the_slow_are_killed_falsely_only_if_they_would_have_answered_in_time() {
    let mut run = Run::new();
    let secs = Duration::from_secs;
    let frozen = run.tally.victims.iter_mut().filter(|victim| victim.death == Death::Freeze);
    // The timeout is 3 s: 1 of 3 was given up too soon, and 1 lives.
    let fates = [Some(Some(secs(2))), Some(Some(secs(4))), None];
    for (victim, fate) in frozen.zip(fates) {
        victim.death = Death::Slow;
        let seen = run.sightings.iter_mut().find(|seen| seen.client == victim.local).unwrap();
        match fate {
            Some(owed) => (victim.owed, victim.sight) = (owed, Some(Sight::Closed(1011))),
            None => (seen.detected, seen.reclaimed) = (None, None),
        }
    }
    let (report, _) = build(&run.input());
    let slow = &report.figures.deaths[&Death::Slow];
    assert_eq!((slow.killed, slow.detected, slow.pending), (3, 2, 0));
    let fates = slow.outcomes.unwrap();
    assert_eq!((fates.survived, fates.closed, fates.reset, fates.unknown), (1, 2, 0, 0));
    assert_eq!((slow.false_kills, slow.predicted.is_none()), (Some(1), true));
    assert_eq!((report.figures.false_kills, report.figures.living.lost.heartbeat), (1, 1));
    let finding = "Of 3 slow the server had given up 2, 1 of them too soon.";
    assert!(report.finding.contains(finding), "{}", report.finding);
}

#[test]
fn the_revived_tell_the_curve_where_nobody_sees_the_servers_sockets() {
    let mut run = Run::new();
    run.sightings.clear();
    for (n, victim) in (0..).zip(&mut run.tally.victims) {
        if victim.death == Death::Blackhole {
            let age = Duration::from_millis(10 * n);
            let at = victim.killed + age;
            let found = age > Duration::from_secs(5);
            victim.back = Some(Back { at, alive: (!found).then_some(at) });
            victim.sight = found.then_some(Sight::Reset);
            victim.client_saw = found.then_some(at);
        }
    }
    let mut input = run.input();
    input.observed.by = Some(ObserverKind::Client);
    let (report, _) = build(&input);
    let block = &report.figures.deaths[&Death::Blackhole];
    assert_eq!((block.killed, block.detected, block.pending), (1000, 499, 501));
    assert_eq!((block.unobservable, block.detection_ms.count), (0, 0), "when, nobody saw");
    assert_eq!(block.revivals.len(), 20);
    let shares: Vec<_> = block.revivals.iter().map(|back| back.found).collect();
    assert_eq!((shares[9], shares[10], shares[19]), (0, 49, 50), "{shares:?}");
    assert!((block.revivals[0].age_ms - 245.0).abs() < 1.0);
}

#[test]
fn the_dead_that_are_held_are_counted_over_time_beside_the_prediction() {
    let run = Run::new();
    let (report, histograms) = build(&run.input());
    let points = &report.zombies;
    assert_eq!(points.len(), 101);
    let (first, last) = (points[0], points[100]);
    assert_eq!((first.dead, first.held, first.unreclaimed), (2000, 2000, 2000));
    assert_eq!((last.dead, last.held, last.unreclaimed), (2000, 0, 0));
    // The made-up server keeps to its heartbeat: 5 s and 3 s.
    for point in points {
        let expected = point.predicted.unwrap();
        assert!((point.held as f64 - expected).abs() < 100.0, "{point:?}");
    }
    let middle = points.iter().find(|point| point.at_s >= 11.5 + 5.5).unwrap();
    assert!((900..1_100).contains(&middle.held), "{middle:?}");
    let pictures = picture::all(&report, &histograms.curves());
    assert!(pictures.iter().any(|picture| picture.name == "zombies"));
}

#[test]
fn where_nobody_saw_the_sockets_nothing_is_said_of_what_is_held() {
    let run = Run::new();
    let mut input = run.input();
    input.observed.by = Some(ObserverKind::Client);
    assert!(build(&input).0.zombies.is_empty());
    let off = Run::new().without_pings();
    let (report, _) = build(&off.input());
    let last = report.zombies.last().unwrap();
    assert_eq!((last.held, last.predicted), (2000, None), "it keeps them for ever");
}

#[test]
fn without_pings_the_report_says_that_nothing_can_be_noticed() {
    let run = Run::new().without_pings();
    let (report, histograms) = build(&run.input());
    assert!(report.finding.contains("The server sent no ping; it has no means to notice."));
    let block = &report.figures.deaths[&Death::Freeze];
    assert_eq!((block.detected, block.pending), (0, 1000));
    assert_eq!((block.detection_ms.p50, block.predicted.is_none()), (None, true));
    assert!(!histograms.whole.contains_key("detection-freeze"));
    let page = html::page(&report, &histograms.curves());
    assert!(page.contains("The server sent no ping."));
}

#[test]
fn what_was_not_measured_is_null_and_not_zero() {
    let mut run = Run::new();
    run.server = None;
    run.samples.points.iter_mut().for_each(|point| {
        (point.server_cpu, point.server_memory, point.machine) = (None, None, None);
    });
    let document = json_of(&build(&run.input()).0);
    for pointer in [
        "/pings/client",
        "/pings/server/rtt_us",
        "/messages/latency_us",
        "/messages/rate_per_s",
        "/messages/service_us/p50",
        "/deaths/freeze/lateness_ms",
        "/cost/server_cpu_us_per_heartbeat",
        "/cost/both_ends_cpu_us_per_heartbeat",
        "/cost/machine_cpu_us_per_heartbeat",
        "/cost/syscalls_per_heartbeat",
        "/cost/server_cpu_percent",
        "/memory/server_rss_bytes",
        "/memory/server_user_bytes_per_connection",
    ] {
        assert_eq!(document.pointer(pointer), Some(&Value::Null), "{pointer}");
    }
}

#[test]
fn a_heartbeat_costs_what_was_used_between_ramp_and_death() {
    let (report, _) = sample();
    let cost = &report.figures.cost;
    // 10 µs a heartbeat and 5 ms a second of 2,000 heartbeats; the server at nine tenths of it.
    let near = |measured: &Option<schema::Measured>, expected: f64| {
        let value = measured.as_ref().unwrap().value;
        assert!((value / expected - 1.0).abs() < 0.02, "{value} {expected}");
    };
    near(&cost.client_cpu_us_per_heartbeat, 12.5);
    near(&cost.both_ends_cpu_us_per_heartbeat, 12.5 * 1.9);
    near(&cost.packets_per_heartbeat, 4.0);
    near(&cost.wire_bytes_per_heartbeat, 272.0);
    let memory = &report.figures.memory;
    // What every server takes at its first connections is in no slope.
    assert!((memory.server_user_bytes_per_connection.unwrap() - 200.0).abs() < 1.0);
    assert!((memory.kernel_bytes_per_connection_pair.unwrap() - 9600.0).abs() < 1.0);
}

#[test]
fn with_messages_on_their_way_no_heartbeat_is_priced() {
    let mut run = Run::new();
    run.tally.messages_sent = 1;
    let cost = build(&run.input()).0.figures.cost;
    assert!(cost.both_ends_cpu_us_per_heartbeat.is_none() && cost.server_cpu_percent.is_some());
}

#[test]
fn the_verdict_follows_the_ending_the_doubts_and_the_limits() {
    let run = Run::new();
    let limits = ["false_kills > 0", "deaths.freeze.detected < 1001"].map(|e| e.parse().unwrap());
    let verdict = |change: &dyn Fn(&mut Input<'_>)| {
        let mut input = run.input();
        change(&mut input);
        build(&input).0.verdict
    };
    assert_eq!(verdict(&|_| ()), Verdict::Ok);
    assert_eq!(verdict(&|input| input.ending = Ending::Interrupted), Verdict::Interrupted);
    assert_eq!(verdict(&|input| input.ending = Ending::Failed("x".into())), Verdict::Failed);
    let mut input = run.input();
    input.thresholds = &limits[..1];
    assert_eq!(build(&input).0.verdict, Verdict::Ok);
    input.thresholds = &limits;
    let report = build(&input).0;
    assert_eq!(report.verdict, Verdict::ThresholdMissed);
    let held: Vec<_> = report.thresholds.iter().map(|limit| limit.held).collect();
    assert_eq!(held, [true, false]);
}

#[test]
fn a_client_without_room_spoils_the_verdict() {
    let mut run = Run::new();
    for point in &mut run.samples.points {
        point.client_cpu = point.at.saturating_since(Instant::from_nanos(0)).mul_f64(0.95);
    }
    let report = build(&run.input()).0;
    assert!(
        report.doubts.iter().any(|doubt| doubt.code == CLIENT_SATURATED),
        "{:?}",
        report.doubts
    );
    assert_eq!(report.verdict, Verdict::NoVerdict);
    assert_eq!(report.verdict.exit_status(), 4);
}

#[test]
fn a_run_as_it_should_be_has_no_doubts() {
    let (report, _) = sample();
    assert_eq!(report.doubts, []);
}

#[test]
fn doubts_name_what_was_wrong() {
    let mut run = Run::new();
    run.tally.failed =
        [("out of descriptors".to_owned(), 5), ("no free port".to_owned(), 2)].into();
    for _ in 0..1000 {
        run.tally.send_late_ns.record(30_000_000).unwrap();
    }
    run.samples.hiccups_ns.record(45_000_000).unwrap();
    run.plan.cpus.clear();
    run.sightings[0].doubtful = true;
    let mut input = run.input();
    input.observed.gaps = 1;
    let codes: Vec<_> = build(&input).0.doubts.into_iter().map(|doubt| doubt.code).collect();
    let expected = [
        "late_sends",
        "hiccups",
        "shared_cores",
        "observer_lost_events",
        "out_of_descriptors",
        "out_of_ports",
    ];
    assert_eq!(codes, expected);
}

#[test]
fn a_ping_that_the_client_saw_late_is_a_doubt() {
    let mut run = Run::new();
    let victim = run.tally.victims.iter_mut().find(|victim| victim.death == Death::Freeze);
    let answered = &mut victim.unwrap().answered;
    *answered = answered.map(|at| at + Duration::from_millis(80));
    let doubts = build(&run.input()).0.doubts;
    assert_eq!(doubts.len(), 1);
    assert_eq!(doubts[0].code, "pings_seen_late");
}

#[test]
fn where_the_kernel_watches_hosts_nothing_is_predicted_of_those_that_are_gone() {
    let run = Run::new();
    for setting in ["tcp_keepalive_ms", "tcp_user_timeout_ms"] {
        let mut input = run.input();
        input.settings.insert(setting.into(), 500.into());
        let report = build(&input).0;
        let predicted = |death| {
            let block = &report.figures.deaths[&death];
            (block.predicted.is_some(), block.residual_ms.is_some())
        };
        assert_eq!(predicted(Death::Blackhole), (false, false));
        assert_eq!(predicted(Death::Freeze), (true, true), "its kernel still acknowledges");
        assert!(report.finding.contains("nothing is predicted"), "{}", report.finding);
        input.settings.insert(setting.into(), serde_json::Value::Null);
        assert!(!build(&input).0.finding.contains("nothing is predicted"));
    }
}

#[test]
fn bursts_are_counted_while_all_are_open_and_none_has_died() {
    let mut run = Run::new();
    let bursts = |run: &Run| build(&run.input()).0.figures.pings.server.burst_ratio_100ms;
    // The steady phase is 1.5 s to 11.5 s; what is fuller outside of it does not count.
    run.tally.pings_per_100ms = vec![5; 200];
    (run.tally.pings_per_100ms[14], run.tally.pings_per_100ms[115]) = (900, 900);
    assert_eq!(bursts(&run), Some(1.0));
    // 99 windows of 5, and one of 15.
    run.tally.pings_per_100ms[60] = 15;
    assert!((bursts(&run).unwrap() - 15.0 / 5.1).abs() < 1e-9);
    run.tally.pings_per_100ms = vec![0; 200];
    assert_eq!(bursts(&run), None);
}

#[test]
fn the_page_needs_nothing_but_itself() {
    let (report, histograms) = sample();
    let page = html::page(&report, &histograms.curves());
    for outside in ["<script", "<link", "src=", "url(", "@import", "href="] {
        assert!(!page.contains(outside), "{outside}");
    }
    assert!(page.contains("prefers-color-scheme:dark"));
    assert_eq!(page.matches("<svg").count(), 8);
    let label = report.env.label();
    assert!(page.contains(&format!("<title>10,000 WebSocket connections ({label})</title>")));
    assert_eq!(page.matches(&format!("({label})</h2>")).count(), 3);
    assert!(page.contains("halfopen lab --name 'a made-up run'"));
}

#[test]
fn the_finding_names_the_numbers() {
    let (report, _) = sample();
    let finding = &report.finding;
    assert!(finding.starts_with("10,000 connections on loopback"), "{finding}");
    assert!(finding.contains("pinged every 5 s with a timeout of 3 s"), "{finding}");
    assert!(
        finding.contains("All 2,000 silent deaths (freeze, blackhole) were found"),
        "{finding}"
    );
    assert!(finding.contains("None of the 7,700 living was lost."), "{finding}");
    assert!(finding.contains("both ends together"), "{finding}");
}
