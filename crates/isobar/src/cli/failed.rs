//! Why a command did not do what was asked: what the user is told, and with which code the process ends.

/// What to tell the user about a command that failed; empty = it has been told already.
pub(crate) type ErrorText = String;

/// Why a command did not do what was asked.
#[derive(Debug)]
pub(super) enum Failed {
    /// Exit code 1.
    Command(ErrorText),
    /// Exit code 2: nothing was tried.
    Usage(ErrorText),
}

impl From<ErrorText> for Failed {
    fn from(message: ErrorText) -> Failed {
        Failed::Command(message)
    }
}

/// For what is planned.
pub(super) fn not_built(command: &str) -> Failed {
    Failed::Usage(format!("isobar {command}: not built yet"))
}
