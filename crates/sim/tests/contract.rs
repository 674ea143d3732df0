//! The simulator keeps the contract that it models, on a calm day and on bad ones.
//!
//! The churn is of 20,000 connections here; `HALFOPEN_CHURN=1000000` makes it a million.

use fastrand::Rng;
use halfopen_sim::Faults;
use halfopen_sim::contract::Simulated;

/// What connections survive, without lost packets: the cases wait a moment for what is on its way.
fn rough(seed: u64) -> Simulated {
    let faults = Faults { lost: 0.0, ..Faults::survivable(&mut Rng::with_seed(seed)) };
    Simulated::new(seed, faults)
}

halfopen_sim::contract_suite!(calm, Simulated::new(1, Faults::none()));
halfopen_sim::contract_suite!(rough_1, rough(1));
halfopen_sim::contract_suite!(rough_2, rough(2));
halfopen_sim::contract_suite!(rough_3, rough(3));
halfopen_sim::contract_suite!(rough_4, rough(4));
