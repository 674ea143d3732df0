use super::super::sample_run::sample;
use super::*;
use crate::death::Death;

fn alone(baseline: &Report, run: &Report) -> Comparison {
    compare(&[baseline], &[run], &Terms::default())
}

#[test]
fn a_run_is_the_same_as_itself() {
    let (report, _) = sample();
    let comparison = alone(&report, &report);
    assert_eq!(comparison.judgement, Judgement::Same, "{:?}", comparison.reasons);
    assert!(comparison.rows.iter().all(|row| row.ratio.is_none_or(|ratio| ratio == 1.0)));
    assert!(comparison.rows.len() > 50);
}

#[test]
fn a_loss_that_was_not_there_before_is_worse() {
    let (report, _) = sample();
    let mut lossy = report.clone();
    lossy.figures.false_kills = 1;
    assert_eq!(alone(&report, &lossy).judgement, Judgement::Worse);
    assert_eq!(alone(&lossy, &report).judgement, Judgement::Same);
    let mut pending = report.clone();
    pending.figures.deaths.get_mut(&Death::Freeze).unwrap().pending = 3;
    let comparison = alone(&report, &pending);
    assert_eq!(comparison.reasons, ["deaths.freeze.pending: 3 after 0"]);
    assert!(comparison.markdown().contains("Worse, one run beside one run:\n- deaths.freeze"));
}

#[test]
fn two_runs_cannot_settle_a_ratio() {
    let (report, _) = sample();
    let slower = scaled(&report, &|figure| if figure == SLOW { 1.6 } else { 1.0 });
    assert_eq!(alone(&report, &slower).judgement, Judgement::NoVerdict);
    assert_eq!(alone(&slower, &report).judgement, Judgement::NoVerdict);
}

const SLOW: &str = "deaths.freeze.detection_ms.p50";

#[test]
fn other_plans_and_machines_are_not_compared_unless_that_is_asked_for() {
    let (report, _) = sample();
    let mut other = report.clone();
    other.plan.insert("connections".into(), 5.into());
    other.env.cores += 1;
    let comparison = alone(&report, &other);
    assert_eq!(comparison.judgement, Judgement::NoVerdict);
    assert_eq!(comparison.reasons, ["the plans differ in connections", "the machines differ"]);
    assert_eq!(comparison.judged(Some(SLOW)), Judgement::NoVerdict);
    let anyway = Terms { anyway: true, ..Terms::default() };
    let comparison = compare(&[&report], &[&other], &anyway);
    assert_eq!(comparison.judgement, Judgement::Same);
    assert_eq!(comparison.judged(Some(SLOW)), Judgement::Same);
}

#[test]
fn a_run_over_tls_is_not_compared_with_one_without_whether_that_says_so_or_is_older() {
    let (plain, _) = sample();
    let (mut secure, mut older) = (plain.clone(), plain.clone());
    secure.plan.insert("tls".into(), true.into());
    assert_eq!(alone(&plain, &secure).reasons, ["the plans differ in tls"]);
    older.plan.remove("tls");
    assert_eq!(alone(&older, &plain).judgement, Judgement::Same);
}

/// The report with each figure times a factor of its own.
fn scaled(report: &Report, factor: &dyn Fn(&str) -> f64) -> Report {
    let mut document = serde_json::to_value(report).unwrap();
    for (figure, value) in figures(report) {
        let pointer = format!("/{}", figure.replace('.', "/"));
        if let (Some(value), Some(place)) = (value, document.pointer_mut(&pointer))
            && Better::of(&figure).is_some()
        {
            let scaled = value * factor(&figure);
            *place = if place.is_u64() { (scaled as u64).into() } else { scaled.into() };
        }
    }
    serde_json::from_value(document).unwrap()
}

/// Several runs of a program, each figure of each run off by as much as those of single runs.
fn repeated(report: &Report, seed: u64, factor: &dyn Fn(&str) -> f64) -> Vec<Report> {
    let random = std::cell::RefCell::new(fastrand::Rng::with_seed(seed));
    let noise = |figure: &str| Noise::of(figure).runs.powf(random.borrow_mut().f64() - 0.5);
    (0..5).map(|_| scaled(report, &|figure| factor(figure) * noise(figure))).collect()
}

fn compared(seed: u64, factor: &dyn Fn(&str) -> f64) -> Comparison {
    let (report, _) = sample();
    let baseline = repeated(&report, 2 * seed, &|_| 1.0);
    let runs = repeated(&report, 2 * seed + 1, factor);
    let [before, now] = [&baseline, &runs].map(|runs| runs.iter().collect::<Vec<_>>());
    compare(&before, &now, &Terms::default())
}

#[test]
fn a_program_is_the_same_as_itself_nineteen_times_in_twenty() {
    let same = |seed: &u64| compared(*seed, &|_| 1.0).judgement == Judgement::Same;
    let count = (0..20).filter(same).count();
    assert!(count >= 19, "{count} of 20");
}

#[test]
fn what_is_slower_by_a_third_is_worse_each_time_and_what_is_faster_is_better() {
    let slower = |factor: f64| move |figure: &str| if figure == SLOW { factor } else { 1.0 };
    for seed in 0..20 {
        let comparison = compared(seed, &slower(1.33));
        assert_eq!(comparison.judgement, Judgement::Worse, "{seed}");
        assert!(comparison.reasons[0].starts_with(SLOW), "{:?}", comparison.reasons);
        assert_eq!(comparison.judged(Some(SLOW)), Judgement::Worse);
        assert_eq!(compared(seed, &slower(0.75)).judgement, Judgement::Better, "{seed}");
    }
}

#[test]
fn of_a_rate_more_is_better() {
    let rate = "connections.rate_per_s";
    let factor = |figure: &str| if figure == rate { 0.7 } else { 1.0 };
    assert_eq!(compared(1, &factor).judged(Some(rate)), Judgement::Worse);
}

#[test]
fn a_figure_that_is_not_judged_of_itself_can_be() {
    let (report, _) = sample();
    let figure = "connections.opened";
    assert_eq!(alone(&report, &report).judged(Some(figure)), Judgement::NoVerdict);
    let terms = Terms { also: vec![figure.into()], anyway: false };
    let comparison = compare(&[&report], &[&report], &terms);
    assert_eq!(comparison.judged(Some(figure)), Judgement::Same);
}

#[test]
fn an_interval_holds_the_ratio_of_what_does_not_vary_and_wants_five_runs() {
    let side = [2.0; RUNS];
    assert_eq!(interval(&side, &[3.0; RUNS], ERROR), Some([1.5, 1.5]));
    assert_eq!(interval(&side[1..], &side, ERROR), None);
    assert_eq!(interval(&[0.0; RUNS], &side, ERROR), None);
}

#[test]
fn an_interval_as_near_to_one_as_this_settles_nothing() {
    let judged = |values: [f64; RUNS]| {
        let (baseline, figure) = ([1.0, 1.0, 1.0, 2.0, 2.0], SLOW.to_owned());
        let (median, ratio) = (Some(values[2]), Some(values[2]));
        let mut row = Row {
            figure,
            baseline: Some(1.0),
            value: median,
            ratio,
            interval: None,
            judgement: None,
        };
        row.judge(Better::Less, &baseline, &values, ERROR);
        row.judgement
    };
    assert_eq!(judged([2.1; RUNS]), Some(Judgement::NoVerdict));
    assert_eq!(judged([4.0; RUNS]), Some(Judgement::Worse));
}
