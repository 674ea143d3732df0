use super::*;
use crate::table::claim;

fn reading(row: &str, contestant: &str, ns: f64) -> Reading {
    Reading {
        bench: "decode".to_owned(),
        contestant: contestant.to_owned(),
        row: row.to_owned(),
        elements: 100,
        bytes: 2_000,
        ns,
    }
}

/// Three rounds of two rows: the machine is twice as slow in the second, and everyone with it.
fn bench() -> Bench {
    let mut readings = Vec::new();
    for slow in [1.0, 2.0, 1.1] {
        for (row, rival) in [("100 of 20 B", 2_100.0), ("100 of 125 B", 8_000.0)] {
            readings.push(reading(row, "other", 9_000.0 * slow));
            readings.push(reading(row, OURS, 1_000.0 * slow));
            readings.push(reading(row, "rival", rival * slow));
            readings.push(reading(row, OURS_AGAIN, 1_010.0 * slow));
        }
    }
    Bench::new("decode", &readings)
}

fn near(spread: Option<Spread>, expected: f64) -> bool {
    let spread = spread.expect("it was measured");
    [spread.min, spread.median, spread.max].iter().all(|one| (one / expected - 1.0).abs() < 1e-9)
}

#[test]
fn ratios_are_of_the_same_round_so_a_slow_one_spoils_none() {
    let bench = bench();
    let names: Vec<_> = bench.rows.iter().map(|row| &*row.name).collect();
    assert_eq!(names, ["100 of 20 B", "100 of 125 B"]);
    let row = &bench.rows[0];
    assert_eq!(row.best_rival.as_deref(), Some("rival"));
    assert_eq!(row.time(OURS).unwrap().ns, Spread { median: 11.0, min: 10.0, max: 20.0 });
    assert!(near(row.ratio, 2.1) && near(row.ratio_again, 1.01));
    assert!(row.ratio_avx2.is_none() && row.ratio_floor.is_none());
    assert!(near(bench.ratio, f64::sqrt(2.1 * 8.0)) && near(bench.ratio_again, 1.01));
    assert!(bench.ratio_avx2.is_none());
}

#[test]
fn a_claim_stands_or_falls_with_its_worst_row() {
    let mut bench = bench();
    let short = |benches: &[Bench]| {
        let claims = claim::all(benches);
        claims.into_iter().find(|claim| claim.claim.starts_with("100 short")).unwrap()
    };
    let claim = short(std::slice::from_ref(&bench));
    assert!(claim.held && claim.rows == 2, "{claim:?}");
    assert_eq!(claim.worst_row.as_deref(), Some("100 of 20 B"));

    bench.rows[1].ratio = Some(Spread { median: 1.99, min: 1.9, max: 2.5 });
    assert!(!short(&[bench]).held);
    assert!(!short(&[]).held, "what was not measured does not hold");
}

#[test]
fn the_page_shows_every_row_and_every_claim() {
    let benches = vec![bench()];
    let machine = machine::Machine {
        cpu: Some("A CPU".to_owned()),
        cores: 2,
        kernels: "Avx2".to_owned(),
        vm: Some(true),
        kernel: "6.18".to_owned(),
        rustc: "rustc 1.95.0".to_owned(),
        commit: "abc".to_owned(),
        load_before: Some(0.1),
    };
    let claims = claim::all(&benches);
    let (schema, started) = ("halfopen.framing/1", "2026-11-23T00:00:00Z".to_owned());
    let command = vec!["rivals-table".to_owned()];
    let table = Table { schema, started, command, machine, rounds: 3, benches, claims };
    let page = markdown::page(&table);
    assert!(
        page.contains("A CPU (2 cores, VM; kernels: Avx2), Linux 6.18, rustc 1.95.0, commit abc")
    );
    assert!(
        page.contains("| 100 of 20 B | 2.10 (2.10–2.10) | – | 1.01 (1.01–1.01) | rival |"),
        "{page}"
    );
    assert!(
        page.contains("| 2 | 2.10 (2.10–2.10) | worst of 2 rows: 100 of 20 B | yes |"),
        "{page}"
    );
    assert!(page.contains("not measured") && page.contains("11 ns<br>1.69 GiB/s"), "{page}");
}
