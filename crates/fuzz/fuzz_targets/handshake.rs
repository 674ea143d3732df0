#![no_main]

use halfopen_fuzz::head::Input;

libfuzzer_sys::fuzz_target!(|input: Input| halfopen_fuzz::handshake::check(&input));
