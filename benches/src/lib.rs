//! Benches, and the floor under them.
//!
//! `cargo bench -p halfopen-benches` runs the criterion benches; those of framing are
//! [contests](contest) with other libraries, and `rivals-table` runs them in rounds and writes the
//! [table]; the program `peer` is an echo server of one of them, which `benches/peers/run` measures
//! beside ours. Three programs measure the whole: `floor` is a pair of processes that exchange the bytes
//! of heartbeats (or of an echo) and do nothing else, `heartbeat-cost` and `echo-floor` run it
//! against the `halfopen` program in turns. `drivers-table` does the same work on each
//! [driver](drivers), and writes the page. `watch-table` compares what each way of [watching] for
//! dead peers costs and finds, `idle-memory` what the kernel holds of an idle connection
//! ([`idle_memory`]). All of them write the same kind of page ([`report`]).
//! Two more measure what the living feel: `flood-table`
//! while a server is flooded by the program `flood`, and `mass-death` when very many die in one
//! instant ([ordeal]).

pub mod contest;
#[cfg(target_os = "linux")]
pub mod cost;
#[cfg(target_os = "linux")]
pub mod drivers;
#[cfg(target_os = "linux")]
pub mod echo;
#[cfg(target_os = "linux")]
pub mod flood;
#[cfg(target_os = "linux")]
pub mod floor;
#[cfg(target_os = "linux")]
pub mod idle_memory;
#[cfg(target_os = "linux")]
pub mod million;
#[cfg(target_os = "linux")]
pub mod ordeal;
#[cfg(target_os = "linux")]
mod process;
#[cfg(target_os = "linux")]
pub mod report;
pub mod table;
#[cfg(target_os = "linux")]
pub mod watching;
