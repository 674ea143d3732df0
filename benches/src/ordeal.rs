//! What a server's living connections feel while something happens to the others: the pieces that
//! `flood-table` and `mass-death` are made of.
//!
//! The [`Bystanders`] are connections of the load generator, in the measuring process: each message's
//! latency counts from the moment at which it was to be sent, and stands in the second in which its
//! answer came. The [`Child`] is the server, or whoever does something to it, in a process of its own.

mod bystanders;
mod child;
pub mod flood_table;
pub mod mass_death;
mod watch;

pub use bystanders::{Bystanders, Witnessed};
pub use child::Child;
pub use watch::{MemoryUse, MemoryWatch};
