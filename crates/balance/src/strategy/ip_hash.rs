//! A client stays on its worker: [`hash`](super::hash) by the client's address, over Maglev's table.

use super::hash::{BOUNDED, Hash, ON_FULL};
use super::{Choice, Entry, OptionDef, only};

pub(super) const ENTRY: Entry = Entry {
    name: "ip_hash",
    about: "a client address stays on its worker",
    choice: Choice::Key,
    options: OPTIONS,
    build: |options| {
        only(options, OPTIONS)?;
        Ok(Box::new(Hash::parse(options)?))
    },
    also: &[&[("on_full", "wait")]],
};

const OPTIONS: &[OptionDef] = &[BOUNDED, ON_FULL];
