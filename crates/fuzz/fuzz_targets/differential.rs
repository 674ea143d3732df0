#![no_main]

use halfopen_fuzz::stream::Stream;

libfuzzer_sys::fuzz_target!(|stream: Stream| halfopen_fuzz::differential::check(&stream));
