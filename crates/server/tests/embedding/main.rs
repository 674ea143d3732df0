//! What an app can do, in virtual time: letters, topics, timers, requests, draining.

mod draining;
mod letters;
mod play;
mod requests;
mod timers;
mod topics;
#[path = "../world/mod.rs"]
mod world;
