use super::*;
use fastrand::Rng;

fn asked(connections: u64, detect_s: f64) -> Question {
    Question { connections, ..Question::within_ms(detect_s * 1e3) }
}

fn near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-3 * b.abs()
}

fn answer(asked: Question) -> Document {
    tune(asked, SystemTime::UNIX_EPOCH, None)
}

fn best(asked: Question) -> Row {
    answer(asked).recommended.expect("a row that breaks nothing")
}

#[test]
fn three_million_behind_alb_within_a_minute() {
    let behind = vec!["alb".to_owned()];
    let row = best(Question { behind, ..asked(3_000_000, 60.0) });
    // 7 s survive five losses, 0.2 · 31 = 6.2 s; 60 − 7 − 0.008 are 52 whole seconds.
    assert_eq!((row.policy, row.interval_ms, row.timeout_ms), (Policy::Periodic, 52e3, 7e3));
    assert_eq!((row.lost_packets_survived, row.breaks.len()), (5, 0));
    // 3,000,000 / 52 pings a second; 4 packets, 280 B and 12.5 µs each.
    for (figure, by_hand) in [
        (row.pings_per_s, 57_692.3),
        (row.packets_per_s, 230_769.0),
        (row.mbit_per_s, 129.23),
        (row.cores, 0.721_15),
        (row.detection[&Death::Blackhole].p50_ms, 33_004.0),
        (row.detection[&Death::Blackhole].p99_ms, 58_484.0),
        (row.detection[&Death::Freeze].max_ms, 59_008.0),
        (row.detection[&Death::Vanish].max_ms, 52_008.0),
        // 3,000,000 a day are 34.722 a second, each kept for 33.004 s, with 4,400 B.
        (row.zombies, 1_145.97),
        (row.zombie_bytes, 5_042_280.0),
        // Six losses in a row or shared: 10⁻¹⁸ · (1 + 6 · 0.999), of 4.9846 · 10⁹ pings a day.
        (row.false_kills_per_day, 3.486e-8),
    ] {
        assert!(near(figure, by_hand), "{figure} is not {by_hand}");
    }
    assert_eq!(row.detection[&Death::Fin].max_ms, 0.0);
}

#[test]
fn half_a_minute_on_average() {
    let row = best(Question { detect_is_mean: true, ..asked(100_000, 30.0) });
    // 7 + I/2 is at most 29.992: 45 whole seconds.
    assert_eq!((row.interval_ms, row.timeout_ms), (45e3, 7e3));
    assert!(near(row.detection_mean_ms, 29_504.0) && near(row.pings_per_s, 2_222.2));
    assert!(row.detection[&Death::Mute].max_ms > 52e3);
}

#[test]
fn who_speaks_often_is_asked_seldom() {
    let row = best(Question { inbound_per_s: 0.1, ..asked(10_000, 60.0) });
    assert_eq!((row.policy, row.interval_ms, row.timeout_ms), (Policy::Idle, 52e3, 7e3));
    // 0.1 / (e^5.2 − 1) each; 59 − (10 − 52 / (e^5.2 − 1)) s.
    assert!(near(row.pings_per_s, 5.547), "{}", row.pings_per_s);
    assert!(near(row.detection_mean_ms, 49_292.0), "{}", row.detection_mean_ms);
}

#[test]
fn a_proxy_that_cuts_the_silent_makes_pings_come_sooner() {
    let behind = ["nginx", "cloudflare"].map(str::to_owned).to_vec();
    let document = answer(Question { behind, ..asked(50_000, 120.0) });
    let row = document.recommended.unwrap();
    // Nine tenths of nginx's 60 s; of those that cost as much the one that finds soonest.
    assert_eq!((row.interval_ms, row.timeout_ms), (54e3, 7e3));
    let spelled = |who: &str| {
        document.settings.iter().find(|s| s.server == who).map(|s| s.text.as_str()).unwrap_or("")
    };
    assert_eq!(spelled("halfopen"), "--ping-interval=54s --ping-timeout=7s");
    assert_eq!(spelled("uvicorn"), "--ws-ping-interval 54 --ws-ping-timeout 7");
    assert_eq!(spelled("Socket.IO"), "pingInterval: 54000, pingTimeout: 7000");
    assert_eq!(spelled("ws (two sweeps)"), "setInterval(sweep, 30500)");
    assert_eq!(spelled("uWebSockets"), "idleTimeout: 60, sendPingsAutomatically: true");
    assert_eq!(spelled("nginx"), "proxy_read_timeout 62s; proxy_send_timeout 62s;");
}

#[test]
fn what_a_row_breaks_is_said_in_words() {
    let behind = vec!["nginx".to_owned()];
    let rows = answer(Question { behind, rtt_ms: 500.0, ..asked(1_000, 39.0) }).rows;
    let of = |interval_ms: f64, timeout_ms: f64| {
        let row = rows.iter().find(|r| r.interval_ms == interval_ms && r.timeout_ms == timeout_ms);
        row.map(|row| row.breaks.join("; ")).unwrap_or_default()
    };
    assert_eq!(of(20e3, 20e3), "a death is found after up to 40 s, 1.01 s later than asked for");
    assert_eq!(of(38e3, 250.0), "an answer takes up to 500 ms, and is waited for 250 ms");
    let within_70 = Question { behind: vec!["nginx".to_owned()], ..asked(1_000, 150.0) };
    let sweep = Question { behind: vec!["gcp".to_owned()], ..within_70.clone() };
    assert!(answer(within_70).rows.iter().all(|row| row.breaks.is_empty()));
    assert!(answer(sweep).notes[0].contains("ends every connection 30 s after it opened"));
    let slow = answer(Question { rtt_ms: 70e3, ..asked(1_000, 60.0) });
    assert!(slow.recommended.is_none() && slow.settings.is_empty());
    assert!(slow.why.contains("every row breaks something"), "{}", slow.why);
}

#[test]
fn a_timeout_survives_what_its_retransmissions_fit_into() {
    let cases = [(200.0, 0), (201.0, 1), (700.0, 2), (3_500.0, 4), (7e3, 5), (20e3, 6), (26e3, 7)];
    for (timeout_ms, survived) in cases {
        assert_eq!(losses_survived(timeout_ms), survived, "{timeout_ms}");
    }
    assert!(losses_survived(1e12) >= 30);
}

#[test]
fn no_more_answers_are_late_than_is_said() {
    let mut rng = Rng::with_seed(7);
    // How long n losses in a row hold a packet up.
    let held_up = |rng: &mut Rng, loss: f64| {
        let losses = std::iter::repeat_with(|| rng.f64() < loss).take_while(|&lost| lost).count();
        200.0 * ((1u64 << losses.min(40)) - 1) as f64
    };
    for (loss, timeout_ms) in [(0.3, 700.0), (0.3, 3_500.0), (0.1, 700.0), (0.5, 13e3)] {
        let runs = 200_000;
        let is_late = |rng: &mut Rng| 50.0 + held_up(rng, loss) + held_up(rng, loss) > timeout_ms;
        let late = (0..runs).filter(|_| is_late(&mut rng)).count() as f64 / f64::from(runs);
        let bound = loss::lost(timeout_ms, 50.0, loss);
        // Four standard deviations of the count.
        let chance = 4.0 * (bound / f64::from(runs)).sqrt();
        assert!(late <= bound + chance, "{loss} {timeout_ms}: {late} is above {bound}");
        assert!(bound < 8.0 * late + 1e-3, "{loss} {timeout_ms}: {bound} says little of {late}");
    }
}

#[test]
fn measured_round_trips_bound_what_comes_late() {
    let seen =
        Measured { count: 3_000, max_ms: 800.0, percentiles: vec![(0.5, 20.0), (0.99, 300.0)] };
    assert!(near(seen.later_than(900.0), 0.001));
    assert!(near(seen.later_than(400.0), 0.01));
    assert!(near(seen.later_than(100.0), 0.5) && near(seen.later_than(1.0), 1.0));
    let quiet = Question { loss: 0.0, ..asked(1_000, 10.0) };
    let (unknown, known) = (best(quiet.clone()), best(Question { measured: Some(seen), ..quiet }));
    assert_eq!(unknown.false_kills_per_day, 0.0);
    assert!(near(known.false_kills_per_day, known.pings_per_s * 86.4));
}

/// Lets one connection live, spoken on at random, and draws deaths: mean detection and pings a second.
fn lived(beat: Beat, inbound_per_s: f64) -> (f64, f64) {
    let mut rng = Rng::with_seed(11);
    let (interval_s, mut now, mut pings) = (beat.interval_ms / 1e3, 0.0, 0u32);
    let wait = |rng: &mut Rng| match inbound_per_s > 0.0 && beat.policy == Policy::Idle {
        true => -(1.0 - rng.f64()).ln() / inbound_per_s,
        false => f64::INFINITY,
    };
    // Ages of the silence, weighed by how long they last: a death falls anywhere.
    let (mut weighed, until) = (0.0, 400_000.0);
    while now < until {
        let said = wait(&mut rng);
        let silent = said.min(interval_s);
        pings += u32::from(said > interval_s);
        weighed += silent * (interval_s - silent / 2.0);
        now += silent;
    }
    (weighed / now + beat.timeout_ms / 1e3, f64::from(pings) / now)
}

#[test]
fn the_formulas_are_what_a_simulation_gives() {
    let beat = |policy, interval_s: f64, timeout_s: f64| Beat {
        policy,
        interval_ms: interval_s * 1e3,
        timeout_ms: timeout_s * 1e3,
    };
    for (beat, inbound) in [
        (beat(Policy::Periodic, 20.0, 20.0), 0.3),
        (beat(Policy::Sweep, 30.0, 30.0), 0.0),
        (beat(Policy::Idle, 20.0, 10.0), 0.0),
        (beat(Policy::Idle, 20.0, 10.0), 0.1),
        (beat(Policy::Idle, 50.0, 7.0), 0.05),
    ] {
        let (mean_s, pings) = lived(beat, inbound);
        let told = beat.prediction(inbound).mean_ms() / 1e3;
        assert!((mean_s - told).abs() < 0.01 * told, "{beat:?}: {mean_s} and {told}");
        let told = beat.pings_per_s(inbound);
        assert!((pings - told).abs() < 0.03 * told, "{beat:?}: {pings} and {told}");
    }
}

#[test]
fn the_document_fits_its_schema() {
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    for asked in [asked(3_000_000, 60.0), Question { rtt_ms: 1e6, ..asked(10, 1.0) }] {
        let document = serde_json::from_str(&answer(asked).json()).unwrap();
        assert!(schema.is_valid(&document), "{document}");
    }
    assert_eq!(Ceiling::named(&["alb".into(), "wall".into()]), Err("wall"));
}
