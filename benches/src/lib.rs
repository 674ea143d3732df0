//! Benches, and the floor under them.
//!
//! `cargo bench -p halfopen-benches` runs the criterion benches; those of framing are
//! [contests](contest) with other libraries, and `rivals-table` runs them in rounds and writes the
//! [table]. Two programs measure what a heartbeat costs: `floor` is a pair of processes that
//! exchange the bytes of heartbeats and do nothing else, and `heartbeat-cost` runs it against the
//! `halfopen` program in turns.

pub mod contest;
#[cfg(target_os = "linux")]
pub mod cost;
#[cfg(target_os = "linux")]
pub mod floor;
pub mod table;
