//! Some file descriptors are reserved for connections to workers, for probes and for the admin API. When
//! clients have taken all the others, idle client connections are closed, and new ones wait in the kernel's
//! back-log.
//!
//! Nothing is counted. The kernel always gives the lowest free number, so the number of the newest
//! descriptor says how many are open.

use std::os::fd::{AsFd, AsRawFd, RawFd};

use rustix::process::{Resource, getrlimit};

/// How many descriptors this process may have, and how many of them clients may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Descriptors {
    /// Numbers from here on are kept back.
    reserved_from: u64,
}

impl Descriptors {
    /// By the limit that is in force now.
    pub fn of_this_process() -> Self {
        Self::of(getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX))
    }

    fn of(limit: u64) -> Self {
        // A small limit is not eaten up by what is kept back, and a large one needs no more.
        let kept_back = (limit / 8).clamp(32, 1024).min(limit / 2);
        Self { reserved_from: limit - kept_back }
    }

    /// Clients that can be served at once, if each of them also needs a connection to a worker.
    pub fn clients(self) -> u64 {
        self.reserved_from / 2
    }

    /// Whether whoever got this number has one of those that are kept back.
    pub(crate) fn is_kept_back(self, number: RawFd) -> bool {
        u64::try_from(number).is_ok_and(|number| number >= self.reserved_from)
    }

    /// Whether the next one would be kept back, or there is none. `any`: something to copy.
    pub(crate) fn are_short(self, any: &impl AsFd) -> bool {
        rustix::io::fcntl_dupfd_cloexec(any, 0)
            .map_or(true, |next| self.is_kept_back(next.as_raw_fd()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_are_kept_back_and_most_are_not() {
        let from = |limit| Descriptors::of(limit).reserved_from;
        assert_eq!([from(40), from(128), from(1024)], [20, 96, 896]);
        assert_eq!([from(1_048_576), from(u64::MAX)], [1_047_552, u64::MAX - 1024]);
        let some = Descriptors::of(128);
        assert!(some.is_kept_back(96) && !some.is_kept_back(95));
        assert!(!some.is_kept_back(-1), "no descriptor");
        assert_eq!(some.clients(), 48);
    }

    #[test]
    fn the_next_number_says_how_many_are_open() {
        let file = std::fs::File::open("/dev/null").unwrap();
        assert!(!Descriptors::of(1_000_000).are_short(&file));
        assert!(Descriptors { reserved_from: 0 }.are_short(&file));
    }
}
