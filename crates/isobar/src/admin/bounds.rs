//! What a worker's numbers may be at run time: as in the file. A larger weight would make a turn
//! sequence without end.

/// The most that `weight` may be.
pub(crate) const WEIGHT: u32 = 10_000;
/// The most that `slots` may be.
pub(crate) const SLOTS: u32 = 1_000_000;
