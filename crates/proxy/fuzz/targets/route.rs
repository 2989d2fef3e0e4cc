#![no_main]

#[path = "../checks/route.rs"]
mod route;

libfuzzer_sys::fuzz_target!(|data: &[u8]| route::check(data));
