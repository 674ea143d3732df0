use super::*;
use crate::plan::Fault;
use crate::record::histogram;
use crate::report::build;
use crate::report::sample_run::Run as Sample;
use proptest::prelude::*;

/// Messages that were answered after 1 to 10 ms.
const MESSAGES: u64 = 20_000;

/// The same delays in the record and in what is published, changed by `publish`.
fn seen(fault: Fault, publish: impl Fn(u64) -> (u64, u64)) -> Run {
    let mut run = Sample::new();
    run.plan.fault = fault;
    let mut record = Record { delay_ns: histogram(), look_ns: histogram() };
    let tally = &mut run.tally;
    (tally.latency_ns, tally.service_ns, tally.send_late_ns) =
        (histogram(), histogram(), histogram());
    for n in 0..MESSAGES {
        let delay = 1_000_000 + n * 9_000_000 / MESSAGES;
        let (late, service) = publish(delay);
        record.delay_ns.record(delay).unwrap();
        tally.service_ns.record(service).unwrap();
        tally.latency_ns.record(service + late).unwrap();
        tally.send_late_ns.record(late).unwrap();
    }
    tally.messages_sent = MESSAGES;
    let late = tally.send_late_ns.clone();
    let plan = run.plan.clone();
    let (report, _) = build(&run.input());
    Run::judge(&Seen {
        plan: &plan,
        rate_per_s: 1_000.0,
        report: &report,
        send_late_ns: &late,
        record: &record,
    })
}

#[test]
fn what_is_published_as_it_was_recorded_is_trusted() {
    let run = seen(Fault::NONE, |delay| (20_000, delay + 20_000));
    assert_eq!(run.faults, [""; 0]);
    let percentiles: Vec<_> = run.rows.iter().map(|row| row.percentile.as_str()).collect();
    // Of 20,000 samples two lie beyond the p99.99.
    assert_eq!(percentiles, ["p50", "p90", "p99", "p99.9"]);
}

#[test]
fn a_sleep_that_either_figure_hides_is_found() {
    let in_service = seen(Fault::NONE, |delay| (0, delay + 200_000));
    assert!(in_service.faults[0].starts_with("p50 from the actual send is 5.7"), "{in_service:?}");
    let before_it = seen(Fault::NONE, |delay| (200_000, delay));
    assert!(before_it.faults[0].starts_with("p50 from the intended send is 5.7"), "{before_it:?}");
    let lost = seen(Fault::NONE, |delay| (0, delay));
    let lost = Run { recorded: MESSAGES - 1, ..lost };
    assert!(lost.find_faults()[0].contains("19,999 were recorded"), "{lost:?}");
}

#[test]
fn a_stall_shows_in_latency_and_in_nothing_else() {
    let lasts = Duration::from_millis(500);
    let fault = Fault { stall: Some(Stall { after: Duration::ZERO, lasts }), nap: None };
    // 500 of the 20,000 were due within half a second.
    let late = |delay: u64| 500_000_000_u64.saturating_sub((delay - 1_000_000) / 450 * 1_000_000);
    assert_eq!(seen(fault, |delay| (late(delay), delay)).faults, [""; 0]);
    let unseen = seen(fault, |delay| (0, delay));
    assert_eq!(unseen.faults.len(), 3, "{:?}", unseen.faults);
    let in_service = seen(fault, |delay| (late(delay), delay + late(delay)));
    let last = in_service.faults.last().unwrap();
    assert!(last.ends_with("shows the stall") && last.starts_with("a service time"), "{last}");
}

#[test]
fn the_document_fits_its_schema_and_the_page_holds_each_row() {
    let delay = Between { from: Duration::from_millis(2), to: Duration::from_millis(50) };
    let argv = ["halfopen", "calibrate"].map(str::to_owned).to_vec();
    let setup =
        Setup { argv, started: SystemTime::UNIX_EPOCH, git: None, delay, connections: 1_000 };
    let document = Document::new(setup, vec![seen(Fault::NONE, |delay| (0, delay))]);
    assert!(document.trusted);
    let schema = jsonschema::validator_for(&json_schema()).unwrap();
    assert!(schema.is_valid(&serde_json::to_value(&document).unwrap()));
    let page = document.markdown();
    for words in ["Trusted:", "| 1,000/s | p99.9 | 20,000 |", "halfopen calibrate"] {
        assert!(page.contains(words), "{words}: {page}");
    }
}

proptest! {
    #[test]
    fn one_percent_or_fifty_microseconds(recorded in 1.0f64..1e6, off in -0.05f64..0.05) {
        let allowed_us = (recorded * SHARE_ALLOWED).max(US_ALLOWED);
        let row = Row {
            percentile: "p50".into(),
            recorded_us: recorded,
            service_us: 0.0,
            latency_us: 0.0,
            allowed_us,
        };
        let published = recorded * (1.0 + off);
        let near = off.abs() <= 0.01 || (published - recorded).abs() <= 50.0;
        prop_assert_eq!(row.allows(published), near);
    }
}
