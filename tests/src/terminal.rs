//! The binary in a pseudo terminal of its own.

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use crate::isobar::binary;

const PATIENCE: Duration = Duration::from_secs(20);

/// A pseudo terminal of 80 × 24 with the binary in it.
pub struct Terminal {
    master: File,
    line: File,
    /// All that came so far.
    pub shown: String,
    child: Child,
}

impl Terminal {
    pub fn start(arguments: &[&str]) -> Terminal {
        Terminal::start_with(arguments, |command| command)
    }

    /// `adapt` may change its environment.
    pub fn start_with(
        arguments: &[&str],
        adapt: impl FnOnce(&mut Command) -> &mut Command,
    ) -> Terminal {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a pseudo terminal");
        grantpt(&master).and_then(|()| unlockpt(&master)).expect("its other end");
        let name = ptsname(&master, Vec::new()).expect("its name").into_string().expect("UTF-8");
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&master, size).expect("its size");
        let mut open = File::options();
        open.read(true).write(true).custom_flags(OFlags::NOCTTY.bits() as i32);
        let line = open.open(name).expect("opens it");
        let end = || Stdio::from(line.try_clone().expect("a copy"));
        // In a session of its own, so that the terminal is really its own.
        let mut command = Command::new("setsid");
        command.arg("--ctty").arg(binary()).args(arguments).env("TERM", "xterm-256color");
        let child =
            adapt(&mut command).stdin(end()).stdout(end()).stderr(end()).spawn().expect("setsid");
        Terminal { master: master.into(), line, shown: String::new(), child }
    }

    pub fn type_in(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).expect("types");
    }

    /// As when a window is closed: nobody else holds this end.
    pub fn close(&mut self) {
        let null = File::options().read(true).write(true).open("/dev/null").expect("null");
        drop(std::mem::replace(&mut self.master, null));
    }

    pub fn wait_for(&mut self, text: &str) {
        let until = Instant::now() + PATIENCE;
        while !self.shown.contains(text) {
            assert!(Instant::now() < until, "no {text:?} in {:?}", self.shown);
            self.look();
        }
    }

    /// Reads what is shown, or waits a little for it.
    fn look(&mut self) {
        let mut ready = [PollFd::new(&self.master, PollFlags::IN)];
        let moment = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        poll(&mut ready, Some(&moment)).expect("polls");
        if ready[0].revents().contains(PollFlags::IN) {
            let mut buffer = [0; 16 << 10];
            let read = self.master.read(&mut buffer).unwrap_or(0);
            self.shown += &String::from_utf8_lossy(&buffer[..read]);
        }
    }

    /// Lines are edited and echoed, as a shell wants them.
    pub fn is_cooked(&self) -> bool {
        let modes = tcgetattr(&self.line).expect("its modes").local_modes;
        modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Shows so much that nothing more can be written until somebody reads.
    pub fn fill(&mut self) {
        let name = ptsname(&self.master, Vec::new()).expect("its name").into_string();
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
        let mut open = File::options();
        open.write(true).custom_flags(flags.bits() as i32);
        let mut line = open.open(name.expect("UTF-8")).expect("opens it");
        // The kernel moves what was written, which makes some room again.
        let mut quiet = 0;
        while quiet < 10 {
            std::thread::sleep(Duration::from_millis(10));
            quiet += 1;
            while line.write(b".").is_ok() {
                quiet = 0;
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the process is there");
    }

    /// Its end, although nobody reads what is shown. `None`: it has not ended in time.
    pub fn ends_unread(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("waits") {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        None
    }

    pub fn wait(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        loop {
            self.look();
            if let Some(status) = self.child.try_wait().expect("waits") {
                self.look();
                return status;
            }
            assert!(Instant::now() < until, "it does not end");
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
