//! The `isobar` command. Everything it does is in the library.

use std::process::ExitCode;

/// It gives what is free back to the system. What glibc's keeps grew with every wave of connections:
/// it frees from the end only, and something always lives there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    isobar::cli::main()
}
