//! What the log has said so far of a pool, and what is news beside it. What is worth a line, and how
//! loud, is not known here.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::num::NonZeroU32;
use std::time::Instant;

use isobar_balance::state::MemberState;

use crate::address::Address;

/// What the log has said so far of who belongs to the pool.
#[derive(Debug, Default)]
pub(super) struct Said {
    members: BTreeMap<String, Terms>,
    /// Somebody may have changed them since.
    pub(super) outdated: bool,
    /// That nobody can serve.
    pub(super) nobody: bool,
    /// That requests wait behind tunnels.
    pub(super) tunnels: Option<Instant>,
}

/// A worker as the file, a discovery or an operator has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Terms {
    address: Address,
    weight: Option<NonZeroU32>,
    slots: Option<NonZeroU32>,
    tunnels: Option<NonZeroU32>,
    tier: u8,
}

impl Said {
    /// Who came, who left, and whose terms are others, since it was last said.
    pub(super) fn edits<'a>(
        &mut self,
        members: impl Iterator<Item = (&'a str, Terms)>,
    ) -> Vec<String> {
        let mut edits = Vec::new();
        if !std::mem::take(&mut self.outdated) {
            return edits;
        }
        let mut before = std::mem::take(&mut self.members);
        for (name, terms) in members {
            match before.remove(name) {
                None => edits.push(format!("{name}: added")),
                Some(old) => edits.extend(difference(name, &old, &terms)),
            }
            self.members.insert(name.to_owned(), terms);
        }
        edits.extend(before.into_keys().map(|name| format!("{name}: removed")));
        edits
    }
}

impl Terms {
    pub(super) fn of(known: &MemberState, address: Address) -> Terms {
        Terms {
            address,
            weight: known.weight(),
            slots: known.slots(),
            tunnels: known.tunnels(),
            tier: known.member().tier,
        }
    }
}

fn difference(name: &str, old: &Terms, new: &Terms) -> Option<String> {
    let mut edits = String::new();
    let mut edit = |what: &str, old: String, new: String| {
        if old != new {
            let comma = if edits.is_empty() { "" } else { ", " };
            let _ = write!(edits, "{comma}{what} {old} -> {new}");
        }
    };
    let number = |n: Option<NonZeroU32>, none: &str| n.map_or(none.to_owned(), |n| n.to_string());
    edit("address", old.address.to_string(), new.address.to_string());
    edit("weight", number(old.weight, "default"), number(new.weight, "default"));
    edit("slots", number(old.slots, "no limit"), number(new.slots, "no limit"));
    edit("tunnels", number(old.tunnels, "as slots"), number(new.tunnels, "as slots"));
    edit("tier", old.tier.to_string(), new.tier.to_string());
    (!edits.is_empty()).then(|| format!("{name}: {edits}"))
}
