//! A driver made of memory, and the tests that every driver passes.
//!
//! [`World`] runs engines in virtual time on a simulated network with seeded faults. [`contract`]
//! is the suite that checks the [contract](halfopen_driver::seam) on the world and on the drivers
//! of the kernel alike.

pub mod contract;
mod skip;
pub mod world;

pub use contract::Checker;
pub use skip::skipped;
pub use world::{Faults, SILENT, Site, Stall, World};
