#![no_main]

#[path = "../checks/body.rs"]
mod body;
#[path = "../checks/peer.rs"]
mod peer;

libfuzzer_sys::fuzz_target!(|data: &[u8]| body::check(data));
