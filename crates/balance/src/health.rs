//! The one word that says what a worker may be used for, as users and metrics see it.
//!
//! [`PoolState`](crate::state::PoolState) derives it from what was observed and what an operator
//! asked for; `rise` and `fall` turn single observations into a verdict here.

use std::fmt;
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// No verdict yet.
    Starting,
    /// Ready, and being exercised before it serves.
    Warming,
    Up,
    /// No new leases; those it holds go on.
    Draining,
    /// As draining, by an operator who works on it: probes do not bring it back.
    Maintenance,
    /// Taken out by its own traffic.
    Ejected,
    Down(Arc<str>),
}

impl Health {
    /// Every label there is, for metrics that show one series per state.
    pub const LABELS: [&'static str; 7] =
        ["starting", "warming", "up", "draining", "maintenance", "ejected", "down"];

    pub fn label(&self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Warming => "warming",
            Self::Up => "up",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
            Self::Ejected => "ejected",
            Self::Down(_) => "down",
        }
    }

    /// Why it is down.
    pub fn cause(&self) -> Option<&str> {
        match self {
            Self::Down(cause) => Some(cause),
            _ => None,
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())?;
        self.cause().map_or(Ok(()), |cause| write!(f, " ({cause})"))
    }
}
