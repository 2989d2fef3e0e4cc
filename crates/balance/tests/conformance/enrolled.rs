//! The strategies of the table, each as often as there are sets of options to try it with.

use isobar_balance::strategy::{self, Choice, Entry, Options, TABLE};

/// Every line of the table, plain and with each set of options it names.
pub(crate) fn enrolled() -> impl Iterator<Item = Enrolled> {
    TABLE.iter().flat_map(|entry| {
        let sets = std::iter::once(&[][..]).chain(entry.also.iter().copied());
        sets.map(move |set| Enrolled { entry, options: strategy::options(set) })
    })
}

pub(crate) struct Enrolled {
    pub(crate) entry: &'static Entry,
    pub(crate) options: Options,
}

impl Enrolled {
    /// Its evenness is chance's.
    pub(crate) fn draws(&self) -> bool {
        matches!(self.choice, Choice::Chance | Choice::Sampled)
    }

    pub(crate) fn waits(&self) -> bool {
        self.options.get("on_full").is_some_and(|value| value == "wait")
    }

    pub(crate) fn is_ring(&self) -> bool {
        self.options.get("table").is_some_and(|value| value == "ring")
    }
}

impl std::ops::Deref for Enrolled {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        self.entry
    }
}

impl std::fmt::Display for Enrolled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {:?}", self.name, self.options)
    }
}
