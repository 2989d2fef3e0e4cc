//! The kinds of doors, by what may be asked through them.

/// What may be asked through a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// Everything; the file system says who may connect.
    AdminUnix,
    /// Everything; a browser on this machine may be tricked into connecting.
    AdminTcp,
    /// `/live`, `/ready` and `/metrics`; anybody.
    Metrics,
}
