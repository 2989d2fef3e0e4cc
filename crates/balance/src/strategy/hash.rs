//! A key stays on its worker, and losing a worker moves few other keys.
//!
//! A table gives every key its own order of the workers; the request goes to the first that may be
//! used. With `on_full: wait` a request whose worker is merely full waits for it; with `bounded` a
//! worker that already holds `bounded` × its share of all leases is passed over, so that one hot
//! key is spread (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, 2016). A
//! request without the key is placed by chance, by weight, and waits for nobody in particular.

mod maglev;
mod rendezvous;
mod ring;

use super::{BadOption, Choice, Entry, Key, OptionDef, Options, Picker, Strategy, Takes, only};
use crate::candidate::{Candidate, PickCx, Reserved};
use crate::slots::SlotWord;

pub(super) const ENTRY: Entry = Entry {
    name: "hash",
    about: "a key stays on its worker, and few others move when a worker goes",
    choice: Choice::Key,
    options: OPTIONS,
    build: |options| {
        only(options, OPTIONS)?;
        Ok(Box::new(Hash::parse(options)?))
    },
    also: &[
        &[("table", "ring")],
        &[("table", "rendezvous")],
        &[("bounded", "1.25")],
        &[("table", "ring"), ("bounded", "1.5"), ("on_full", "wait")],
        &[("table", "rendezvous"), ("bounded", "1.1")],
    ],
};

const OPTIONS: &[OptionDef] = &[
    OptionDef {
        name: "key",
        about: "the part of the request that stays on its worker; a request without it goes \
                anywhere",
        takes: Takes::Text {
            pattern: "client_ip|uri|path|(header|cookie|query):.{1,128}",
            example: "header:x-tenant",
        },
        default: "client_ip",
    },
    OptionDef {
        name: "table",
        about: "maglev: even, and the fastest; ring: a change moves hardly more keys than it \
                must; rendezvous: no more than it must, but every pick looks at every worker",
        takes: Takes::Words(&["maglev", "ring", "rendezvous"]),
        default: "maglev",
    },
    BOUNDED,
    ON_FULL,
];

pub(super) const BOUNDED: OptionDef = OptionDef {
    name: "bounded",
    about: "how much more than its share of all leases a worker may hold, before keys go on to \
            their next one: above 1 and up to 100, or off",
    takes: Takes::Text { pattern: r"[0-9]+(\.[0-9]+)?|off|false", example: "1.25" },
    default: "off",
};

pub(super) const ON_FULL: OptionDef = OptionDef {
    name: "on_full",
    about: "when the worker has no free slot: take the key's next one, or wait for it",
    takes: Takes::Words(&["next", "wait"]),
    default: "next",
};

/// Each conflict means that another shard got on; a pick must end.
const RETRIES: usize = 32;

pub(super) struct Hash {
    key: Key,
    kind: Kind,
    terms: Terms,
}

#[derive(Clone, Copy)]
enum Kind {
    Maglev,
    Ring,
    Rendezvous,
}

#[derive(Clone, Copy)]
struct Terms {
    /// How much more than its share a worker may hold.
    bounded: Option<f64>,
    on_full: OnFull,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OnFull {
    Next,
    Wait,
}

impl Hash {
    /// Which options there may be is the entry's to say.
    pub(super) fn parse(options: &Options) -> Result<Self, BadOption> {
        let word = |name: &str| options.get(name).map(String::as_str);
        let key = Key::parse(word("key").unwrap_or("client_ip"))?;
        let kind = match word("table") {
            None | Some("maglev") => Kind::Maglev,
            Some("ring") => Kind::Ring,
            Some("rendezvous") => Kind::Rendezvous,
            Some(_) => return Err(BadOption::value("table", "maglev, ring or rendezvous")),
        };
        let on_full = match word("on_full") {
            None | Some("next") => OnFull::Next,
            Some("wait") => OnFull::Wait,
            Some(_) => return Err(BadOption::value("on_full", "next or wait")),
        };
        let bounded = match word("bounded") {
            None | Some("off" | "false") => None,
            Some(text) => Some(factor(text)?),
        };
        Ok(Self { key, kind, terms: Terms { bounded, on_full } })
    }
}

fn factor(text: &str) -> Result<f64, BadOption> {
    let bad = BadOption::value("bounded", "a number above 1 and up to 100, like 1.25, or off");
    let number = text.parse().ok().filter(|_| text.bytes().all(|b| b"0123456789.".contains(&b)));
    match number {
        Some(factor) if factor > 1.0 && factor <= 100.0 => Ok(factor),
        Some(_) => Err(bad.with_hint("1.25 lets a worker hold a quarter more than its share")),
        None => Err(bad),
    }
}

impl Strategy for Hash {
    fn prepare(&self, candidates: &[Candidate]) -> Box<dyn Picker> {
        let table = match self.kind {
            Kind::Maglev => Table::Maglev(maglev::table(candidates)),
            Kind::Ring => Table::Ring(ring::Ring::new(candidates)),
            Kind::Rendezvous => Table::Rendezvous(rendezvous::Scores::new(candidates)),
        };
        Box::new(Hashed { table, terms: self.terms })
    }

    fn key(&self) -> Key {
        self.key.clone()
    }
}

struct Hashed {
    table: Table,
    terms: Terms,
}

impl Picker for Hashed {
    fn pick(&self, candidates: &[Candidate], cx: &mut PickCx<'_>) -> Option<Reserved> {
        let (key, on_full) = match cx.key() {
            Some(key) => (key, self.terms.on_full),
            None => (cx.rng().u64(..), OnFull::Next),
        };
        for _ in 0..RETRIES {
            let (i, seen) = match on_full {
                OnFull::Next => self.choose(key, candidates, cx, |i| cx.eligible(i))?,
                OnFull::Wait => self.choose(key, candidates, cx, |i| cx.awaitable(i))?,
            };
            let reserved = match self.terms.bounded {
                None => cx.reserve(i),
                Some(_) => cx.reserve_if(i, seen),
            };
            if reserved.is_some() {
                return reserved;
            }
            if on_full == OnFull::Wait && (cx.is_looking() || !cx.has_room(i, seen)) {
                cx.wait_for(i);
                return None;
            }
        }
        (0..candidates.len()).find_map(|i| cx.reserve(i))
    }
}

impl Hashed {
    /// The key's first worker that `usable` has a word for and that is not above its bound; where
    /// all of them are, its first usable one.
    fn choose(
        &self,
        key: u64,
        candidates: &[Candidate],
        cx: &PickCx<'_>,
        usable: impl Fn(usize) -> Option<SlotWord>,
    ) -> Option<(usize, SlotWord)> {
        let mut seen = None;
        let mut bound = self.terms.bounded.map(|factor| Bound { factor, of_one: None });
        if let Some(bound) = &mut bound {
            let chosen = self.table.first(key, candidates, |i| {
                let word = usable(i).filter(|&word| bound.allows(i, word, candidates, cx));
                seen = word.or(seen);
                word.is_some()
            });
            if let Some(i) = chosen {
                return Some((i, seen?));
            }
        }
        let chosen = self.table.first(key, candidates, |i| {
            let word = usable(i);
            seen = word.or(seen);
            word.is_some()
        });
        Some((chosen?, seen?))
    }
}

/// What a worker may hold: `factor` × its share of all leases, this one included, rounded up. So
/// somebody always is below.
struct Bound {
    factor: f64,
    /// Leases per unit of weight; counted when the first worker that is not idle is met.
    of_one: Option<f64>,
}

impl Bound {
    fn allows(
        &mut self,
        i: usize,
        word: SlotWord,
        candidates: &[Candidate],
        cx: &PickCx<'_>,
    ) -> bool {
        if word.in_flight() == 0 {
            return true;
        }
        let of_one = *self.of_one.get_or_insert_with(|| {
            let (mut held, mut weight) = (1.0, 0.0);
            for (j, candidate) in candidates.iter().enumerate() {
                if let Some(word) = cx.awaitable(j) {
                    held += f64::from(word.in_flight());
                    weight += f64::from(candidate.weight.get());
                }
            }
            self.factor * held / weight
        });
        f64::from(word.in_flight()) < (of_one * f64::from(candidates[i].weight.get())).ceil()
    }
}

/// Every key's own order of the workers.
enum Table {
    Maglev(Box<[u32]>),
    Ring(ring::Ring),
    Rendezvous(rendezvous::Scores),
}

impl Table {
    /// The first worker in the key's order that is `good`. `good` is asked about workers in any
    /// number, and last about the one that is returned.
    fn first(
        &self,
        key: u64,
        candidates: &[Candidate],
        good: impl FnMut(usize) -> bool,
    ) -> Option<usize> {
        match self {
            Self::Maglev(table) => {
                let home = key.checked_rem(table.len() as u64).unwrap_or(0) as usize;
                walk(table, home, key, candidates.len(), good)
            }
            Self::Ring(ring) => walk(&ring.owners, ring.home(key), key, candidates.len(), good),
            Self::Rendezvous(scores) => scores.first(key, good),
        }
    }
}

/// Position by position from `home`. The walk meets everybody sooner or later; where nearly all are
/// taken it is cut short and the rest are asked in order, from a place that is the key's own too.
fn walk(
    table: &[u32],
    home: usize,
    key: u64,
    everybody: usize,
    mut good: impl FnMut(usize) -> bool,
) -> Option<usize> {
    let positions = (home..table.len()).chain(0..home.min(table.len()));
    let mut met = positions.take(2 * everybody).map(|position| table[position] as usize);
    let first = key.checked_rem(everybody as u64)? as usize;
    met.find(|&i| good(i)).or_else(|| (first..everybody).chain(0..first).find(|&i| good(i)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn bad_options_are_refused_in_words() {
        let parse = |given: &[(&str, &str)]| Hash::parse(&super::super::options(given));
        for good in ["1.25", "2", "100", "1.001", "off"] {
            assert!(parse(&[("bounded", good)]).is_ok(), "{good}");
        }
        for bad in ["1", "0.5", "-2", "100.1", "nan", "inf", "1e1", "", "1.2.3", "25%"] {
            let refusal = parse(&[("bounded", bad)]).err().expect(bad);
            assert!(refusal.to_string().contains("above 1 and up to 100"), "{bad}");
        }
        assert!(parse(&[("table", "ketama")]).is_err() && parse(&[("on_full", "")]).is_err());
        assert!(parse(&[("key", "header")]).is_err());
    }
}
