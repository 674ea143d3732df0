//! One suite of tests for every driver: what the [contract](halfopen_driver::seam) promises,
//! clause by clause.
//!
//! Each case builds engines out of [`Script`]s, has a [`Harness`] run them until all have stopped,
//! and looks at the [`Log`]s. Around every script stands a [`Checker`], which knows the clauses
//! that hold for all engines at all times. A driver of the kernel gets the suite in one line:
//!
//! ```
//! use halfopen_sim::contract::Threads;
//!
//! halfopen_sim::contract_suite!(tokio, Threads::new(halfopen_driver::tokio::run));
//! ```

pub mod cases;
mod checker;
mod harness;
mod log;
mod script;

pub use checker::Checker;
pub use harness::{Address, Harness, Hush, Node, Shim, Simulated, Threads, run};
pub use log::{Log, Told};
pub use script::{Hands, Script};

/// Makes a module of tests: the whole suite over one [`Harness`].
#[macro_export]
macro_rules! contract_suite {
    ($driver:ident, $harness:expr) => {
        #[allow(unused_imports)]
        mod $driver {
            use super::*;
            use $crate::contract::*;
            $crate::contract_cases!($harness;
                streams::every_byte_comes_back_in_order_however_the_stream_is_split,
                streams::a_chunk_to_a_paused_reader_comes_home_only_when_it_is_taken,
                streams::both_sides_send_much_at_once,
                ending::fin_ends_both_sides,
                ending::an_abort_is_a_reset_for_the_peer,
                ending::an_abort_brings_the_send_in_flight_home_first,
                ending::an_abort_is_told_once_whatever_the_peer_does,
                ending::a_shutdown_sends_what_is_in_flight_before_fin,
                ending::after_a_shutdown_bytes_still_arrive,
                ending::a_peer_that_left_before_it_was_taken_is_opened_and_closed,
                pausing::a_paused_connection_hears_nothing_and_loses_nothing,
                pausing::a_paused_connection_is_told_of_fin,
                pausing::a_paused_connection_is_told_of_reset,
                pausing::pausing_and_resuming_at_every_turn_loses_nothing,
                connecting::a_connect_where_nobody_listens_is_refused,
                connecting::a_connect_that_is_not_answered_ends_at_its_deadline,
                connecting::a_cancelled_connect_is_answered_once,
                connecting::a_connect_without_room_is_refused,
                connecting::a_connect_comes_from_the_address_that_was_asked_for,
                accepting::nobody_is_taken_before_and_after_accepting,
                accepting::nobody_waits_at_a_full_table_while_another_has_room,
                accepting::a_full_table_goes_on_by_itself_when_room_comes_back,
                naming::an_index_is_used_again_with_another_generation,
                naming::operations_on_an_id_that_is_gone_are_ignored,
                naming::very_many_opens_and_closes_over_eight_slots,
                waking::no_wake_of_another_thread_is_lost,
                waking::a_wake_before_the_start_is_heard,
                time::a_deadline_is_called_when_it_has_come,
                time::a_deadline_is_called_again_while_it_stays_in_the_past,
                time::deadlines_do_not_starve_arrivals,
                time::arrivals_do_not_starve_deadlines,
                time::a_crowd_that_never_falls_silent_does_not_starve_deadlines,
                time::sends_without_end_do_not_starve_deadlines,
                silence::nobody_who_answered_is_silent_after_a_stall,
                silence::a_peer_that_never_answers_is_silent_in_the_end,
                silence::a_mute_peer_is_found_by_a_driver_that_is_never_dry,
                silence::a_mute_peer_is_found_where_each_event_takes_long,
                silence::severed_and_restored_it_goes_on,
                silence::a_vanished_connection_is_silent_until_it_is_spoken_to,
                telling::a_probe_tells_what_is_not_acknowledged,
                telling::both_ends_are_located_alike,
                stopping::a_stop_closes_what_is_open,
                stopping::a_stop_at_the_start_is_obeyed,
            );
        }
    };
}

/// One `#[test]` a case; see [`contract_suite!`].
#[doc(hidden)]
#[macro_export]
macro_rules! contract_cases {
    ($harness:expr; $($group:ident :: $case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                $crate::contract::cases::$group::$case(&$harness);
            }
        )*
    };
}
