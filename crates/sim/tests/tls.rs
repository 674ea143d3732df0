//! The contract over TLS: between the simulated driver and every engine of the suite stands a layer.
//!
//! Not among the cases are those that pause a connection before its handshake is done, and those
//! that count turns or bytes: a record may come in several. A seed replays the world, but not
//! to the byte: keys are drawn by the kernel.

mod identity;

use fastrand::Rng;
use halfopen_driver::{ConnId, Engine, Event, Heard, Op};
use halfopen_sim::Faults;
use halfopen_sim::contract::Simulated;
use halfopen_tls::{ClientTls, ServerTls, Tls};
use halfopen_wheel::Instant;
use std::sync::LazyLock;

static BOTH: LazyLock<(ServerTls, ClientTls)> = LazyLock::new(identity::both);

/// An engine that is not told of bytes that have made no record yet: the scripts of the suite take
/// whatever they receive for an answer.
struct Whole<'a>(&'a mut dyn Engine);

impl Engine for Whole<'_> {
    fn on_event(&mut self, now: Instant, event: Event<'_>, ops: &mut Vec<Op>) {
        if !matches!(&event, Event::Received { bytes, .. } if bytes.is_empty()) {
            self.0.on_event(now, event, ops);
        }
    }

    fn on_deadline(&mut self, now: Instant, heard: Heard, ops: &mut Vec<Op>) {
        self.0.on_deadline(now, heard, ops);
    }

    fn deadline(&self) -> Option<Instant> {
        self.0.deadline()
    }

    fn foresee(&self, id: ConnId) {
        self.0.foresee(id);
    }
}

fn over_tls(simulated: Simulated) -> Simulated {
    simulated.churning(300).through(|engine| {
        let (server, client) = BOTH.clone();
        Box::new(Tls::both(Whole(engine), server, client))
    })
}

fn rough(seed: u64) -> Simulated {
    let faults = Faults { lost: 0.0, ..Faults::survivable(&mut Rng::with_seed(seed)) };
    over_tls(Simulated::new(seed, faults))
}

/// Those cases of the suite that hold over a layer.
macro_rules! suite {
    ($name:ident, $harness:expr) => {
        mod $name {
            use super::*;
            halfopen_sim::contract_cases!($harness;
                streams::every_byte_comes_back_in_order_however_the_stream_is_split,
                streams::both_sides_send_much_at_once,
                ending::fin_ends_both_sides,
                ending::an_abort_is_a_reset_for_the_peer,
                ending::an_abort_is_told_once_whatever_the_peer_does,
                ending::a_shutdown_sends_what_is_in_flight_before_fin,
                ending::a_peer_that_left_before_it_was_taken_is_opened_and_closed,
                pausing::a_paused_connection_is_told_of_reset,
                pausing::pausing_and_resuming_at_every_turn_loses_nothing,
                connecting::a_connect_where_nobody_listens_is_refused,
                connecting::a_cancelled_connect_is_answered_once,
                connecting::a_connect_without_room_is_refused,
                accepting::a_full_table_goes_on_by_itself_when_room_comes_back,
                naming::an_index_is_used_again_with_another_generation,
                naming::operations_on_an_id_that_is_gone_are_ignored,
                naming::very_many_opens_and_closes_over_eight_slots,
                waking::no_wake_of_another_thread_is_lost,
                time::a_deadline_is_called_again_while_it_stays_in_the_past,
                silence::nobody_who_answered_is_silent_after_a_stall,
                silence::a_peer_that_never_answers_is_silent_in_the_end,
                telling::both_ends_are_located_alike,
                stopping::a_stop_closes_what_is_open,
                stopping::a_stop_at_the_start_is_obeyed,
            );
        }
    };
}

suite!(calm, over_tls(Simulated::new(1, Faults::none())));
suite!(rough_1, rough(1));
suite!(rough_2, rough(2));
