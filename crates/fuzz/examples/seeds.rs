//! Writes what a corpus begins with: `cargo run --example seeds DIR` makes a folder in DIR for each
//! target, with a file for each seed.

use halfopen_fuzz::seeds;
use std::path::Path;
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let corpus = env::args_os().nth(1).expect("usage: seeds DIR");
    let corpus = Path::new(&corpus);
    for target in ["decode", "split", "differential"] {
        write(&corpus.join(target), &seeds::streams())?;
    }
    write(&corpus.join("handshake"), &seeds::heads())
}

fn write(folder: &Path, seeds: &[(String, Vec<u8>)]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    seeds.iter().try_for_each(|(name, input)| fs::write(folder.join(name), input))
}
