#![no_main]

#[path = "../checks/head.rs"]
mod head;
#[path = "../checks/peer.rs"]
mod peer;

libfuzzer_sys::fuzz_target!(|data: &[u8]| head::check(data));
