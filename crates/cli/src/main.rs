//! The one binary: `demo`, `lab`, `load`, `probe`, `serve`, `calibrate`, `tune`,
//! `report`, `doctor`.
//!
//! Here the command line becomes a plan or a configuration, progress and findings become words,
//! and every failure becomes a cause, a next step and an exit status. What is measured, and how,
//! is in the libraries.

mod admin;
mod args;
mod argv;
mod calibrate;
mod child;
mod choice;
mod cores;
mod dashboard;
mod demo;
mod doctor;
mod exit;
mod foreign;
mod identity;
mod input;
mod interrupt;
mod lab;
mod labour;
mod leftovers;
mod live;
mod load;
mod log;
mod measure;
mod plan_file;
mod probe;
mod publish;
mod report;
mod screen;
mod search;
mod serve;
mod summary;
mod tail;
mod tune;
mod units;
mod usage;
mod words;

use args::Command;
use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// mimalloc asks for huge pages, and they are touched in a few places only: an idle server would
/// weigh 13 MiB instead of 2, and a connection up to 1.1 KiB instead of 0.2.
#[cfg(feature = "mimalloc")]
fn avoid_huge_pages() {
    // A kernel that cannot has none.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

fn main() -> ExitCode {
    #[cfg(feature = "mimalloc")]
    avoid_huge_pages();
    let cli = match usage::parse() {
        Ok(cli) => cli,
        Err(exit) => return exit.into(),
    };
    let outcome = match &cli.command {
        Command::Calibrate(flags) => calibrate::run(flags, cli.json, cli.quiet),
        Command::Demo(flags) => demo::run(flags, cli.json, cli.quiet),
        Command::Doctor => doctor::run(cli.json),
        Command::Lab(flags) => lab::run(flags, cli.json, cli.quiet),
        Command::Load(flags) => load::run(flags, cli.json, cli.quiet),
        Command::Probe(flags) => probe::run(flags, cli.json, cli.quiet),
        Command::Reference(flags) => calibrate::reference::run(flags),
        Command::Report(flags) => report::run(flags, cli.json, cli.quiet),
        Command::Serve(flags) => serve::run(flags, cli.json, cli.quiet),
        Command::Tune(flags) => tune::run(flags, cli.json, cli.quiet),
    };
    match outcome {
        Ok(exit) => exit.into(),
        Err(failure) => {
            eprintln!("{failure}");
            failure.exit.into()
        }
    }
}
