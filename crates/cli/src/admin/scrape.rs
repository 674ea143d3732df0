//! The thread that makes pages.

use super::{Board, process};
use halfopen_server::metrics::Exposition;
use std::sync::mpsc::Receiver;

/// Makes a page whenever one is asked for, until nobody can ask any more.
pub(super) fn run(mut fill: impl FnMut(&mut Exposition), asked: &Receiver<()>, board: &Board) {
    for () in asked {
        let mut page = Exposition::default();
        fill(&mut page);
        process::expose(&mut page);
        if let Ok(mut last) = board.page.lock() {
            *last = Some(page.into_text().into());
        }
        // It can only fail when the count is full, and then the bell has rung.
        let _ = rustix::io::write(&board.bell, &1u64.to_ne_bytes());
    }
}

/// What runs, for alerts that compare.
pub(super) fn build(more: &[(&str, &str)], to: &mut Exposition) {
    let build = [
        ("version", env!("CARGO_PKG_VERSION")),
        ("git", option_env!("HALFOPEN_GIT").unwrap_or("unknown")),
    ];
    to.info("halfopen_build_info", "What runs: always 1.", &[&build[..], more].concat());
}
