//! The layer as pure code: two of them joined by memory.

mod ending;
mod failing;
mod files;
mod identity;
mod pair;
mod streams;
