//! `config` under libFuzzer; what it does is told in tests/fuzz/written.rs.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/fuzz/written.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::config_file(bytes));
