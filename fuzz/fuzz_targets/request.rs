//! `request` under libFuzzer; what it does is told in tests/fuzz/request.rs.
#![no_main]

#[allow(dead_code)]
#[path = "../../tests/fuzz/request.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::request(bytes));
