//! A page on a terminal: formatted by `man`, which knows the user's pager; where there is no `man`, the
//! help's words through the pager.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

/// As `man` shows it.
pub(super) fn formatted(name: &str, page: &[u8]) -> io::Result<()> {
    let path = std::env::temp_dir().join(format!("{name}.{}.1", std::process::id()));
    // Nobody's link is followed, and nobody else may change what is shown.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let written = file.write_all(page);
    let status = written.and_then(|()| Command::new("man").arg("-l").arg(&path).status());
    let _ = fs::remove_file(&path);
    match status?.success() {
        true => Ok(()),
        false => Err(io::Error::other("man failed")),
    }
}

/// The help, through `$PAGER` or `less`, or as it is where there is neither.
pub(super) fn paged(command: &mut clap::Command) -> io::Result<()> {
    let help = command.render_long_help();
    let pager = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(pager.as_deref().unwrap_or("less")).stdin(Stdio::piped());
    if let Ok(mut child) = shell.spawn() {
        if let Some(mut stdin) = child.stdin.take() {
            // A reader who quits closes it early.
            let _ = stdin.write_all(help.to_string().as_bytes());
        }
        if child.wait()?.success() {
            return Ok(());
        }
    }
    write!(io::stdout(), "{help}")
}
