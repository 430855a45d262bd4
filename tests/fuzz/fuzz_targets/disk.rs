#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| tero_fuzz::drive::disk(bytes));
