//! What hostile peers do to those beside them, on the real server and on each driver: while a crowd
//! abuses it, somebody living is answered all the time, and afterwards the memory is back.
//!
//! Each test has the process to itself, because what the allocator counts, and how many descriptors
//! there are, is one for all.

mod at_once;
#[path = "../sockets/bad_requests.rs"]
mod bad_requests;
mod canary;
mod crowds;
mod floods;
mod heads;
mod kernel;
mod leaving;
#[path = "../live_bytes/mod.rs"]
mod live_bytes;
mod living;
mod readers;
#[path = "../sockets/rig.rs"]
#[allow(dead_code, reason = "each test program uses its part")]
mod rig;
mod scene;
mod severed;
mod talker;
