//! A client stays on its worker, and losing a worker moves few other clients.
//!
//! A Maglev table over the workers' names, looked up by the client's key. When the worker is not
//! eligible the table is walked on, so each client has its own second choice; with
//! `on_full: wait` a client whose worker is merely full waits for it instead.

use super::{Entry, Key, OptionDef, Options, Picker, Strategy, Takes, maglev};
use crate::candidate::{Candidate, PickCx, Reserved};

pub(super) const ENTRY: Entry = Entry {
    name: "ip_hash",
    about: "a client address stays on its worker",
    key: Key::ClientIp,
    load_aware: false,
    options: &[OptionDef {
        name: "on_full",
        about: "when the worker has no free slot: take the next one, or wait for it",
        takes: Takes::Words(&["next", "wait"]),
        default: "next",
    }],
    build: |options| Ok(Box::new(IpHash { on_full: on_full(options)? })),
};

struct IpHash {
    on_full: OnFull,
}

#[derive(Clone, Copy)]
enum OnFull {
    Next,
    Wait,
}

fn on_full(options: &Options) -> Result<OnFull, String> {
    let mut on_full = OnFull::Next;
    for (option, value) in options {
        on_full = match (option.as_str(), value.as_str()) {
            ("on_full", "next") => OnFull::Next,
            ("on_full", "wait") => OnFull::Wait,
            ("on_full", other) => return Err(format!("on_full is `{other}`: next or wait")),
            (unknown, _) => return Err(format!("unknown option `{unknown}`: on_full")),
        };
    }
    Ok(on_full)
}

impl Strategy for IpHash {
    fn prepare(&self, candidates: &[Candidate]) -> Box<dyn Picker> {
        Box::new(Hashed { table: maglev::table(candidates), on_full: self.on_full })
    }
}

struct Hashed {
    table: Box<[u32]>,
    on_full: OnFull,
}

impl Picker for Hashed {
    fn pick(&self, candidates: &[Candidate], cx: &mut PickCx<'_>) -> Option<Reserved> {
        let size = self.table.len();
        if size == 0 {
            return None;
        }
        let home = (cx.key() % size as u64) as usize;
        let walk = (home..size).chain(0..home).map(|position| self.table[position] as usize);
        // The walk meets every worker sooner or later; where nearly all are taken it is cut short
        // and the rest are asked in order, from a place that is the key's own as well.
        let everybody = candidates.len();
        let first = (cx.key() % everybody.max(1) as u64) as usize;
        let rest = (first..everybody).chain(0..first);
        for i in walk.take(2 * everybody).chain(rest) {
            if let Some(reserved) = cx.reserve(i) {
                return Some(reserved);
            }
            if matches!(self.on_full, OnFull::Wait) && cx.awaitable(i) {
                cx.wait_for(i);
                return None;
            }
        }
        None
    }
}
