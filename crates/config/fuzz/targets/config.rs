#![no_main]

#[path = "../checks/config.rs"]
mod config;
#[path = "../../tests/kit/mod.rs"]
mod kit;

libfuzzer_sys::fuzz_target!(|data: &[u8]| config::check(data));
