//! The dead that the server still holds, over time: how many there were, and how many its heartbeat
//! promised.

use super::deaths::Deaths;
use super::input::Input;
use super::schema::{ObserverKind, ZombiePoint};
use halfopen_wheel::Instant;

/// Steps from the first death to the end of the watch.
const STEPS: u32 = 100;

/// The series; empty where nobody died silently, or nobody saw the server's sockets.
pub(super) fn series(input: &Input<'_>, deaths: &[Deaths<'_>]) -> Vec<ZombiePoint> {
    let silent: Vec<_> = deaths.iter().filter(|deaths| deaths.death().is_silent()).collect();
    let first = silent.iter().filter_map(|deaths| deaths.first_death()).min();
    let (Some(first), Some(ObserverKind::SockDiag)) = (first, input.observed.by) else {
        return Vec::new();
    };
    let step = input.observed.until.saturating_since(first) / STEPS;
    let moments = (0..=STEPS).map(|n| first + step * n);
    moments.map(|at| point(input, &silent, at)).collect()
}

fn point(input: &Input<'_>, silent: &[&Deaths<'_>], at: Instant) -> ZombiePoint {
    let sum = |of: &dyn Fn(&Deaths<'_>) -> u64| silent.iter().map(|deaths| of(deaths)).sum();
    let predicted: Option<f64> = silent.iter().map(|deaths| deaths.expected_at(input, at)).sum();
    ZombiePoint {
        at_s: at.saturating_since(input.began).as_secs_f64(),
        dead: sum(&|deaths| deaths.dead_at(at)),
        held: sum(&|deaths| deaths.held_at(at)),
        unreclaimed: sum(&|deaths| deaths.unreclaimed_at(at)),
        predicted,
    }
}
