//! How often a worker that is down is looked at. While requests wait because the pool has nobody
//! else: at once and often, then slower, so that whoever starts is found soon after it listens.

use std::time::Duration;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Usual,
    /// Requests wait for it.
    Quick,
}

/// The pauses between the looks of a quick pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Quick(Duration);

const FIRST: Duration = Duration::from_millis(50);

impl Pace {
    pub(crate) fn quick(self) -> Option<Quick> {
        match self {
            Pace::Usual => None,
            Pace::Quick => Some(Quick(FIRST)),
        }
    }
}

impl Quick {
    /// The next pause, a quarter longer than the one before. `None`: it is as long as the usual one.
    pub(crate) fn pause(&mut self, usual: Duration) -> Option<Duration> {
        let pause = self.0;
        self.0 = pause.mul_f64(1.25);
        (pause < usual).then_some(pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quick_pace_slows_down_to_the_usual_one() {
        assert!(Pace::Usual.quick().is_none());
        let mut quick = Pace::Quick.quick().expect("it is");
        let pauses: Vec<_> =
            std::iter::from_fn(|| quick.pause(Duration::from_millis(400))).collect();
        assert_eq!(pauses[0], FIRST);
        assert!(pauses.is_sorted() && pauses.len() == 10, "{pauses:?}");
    }
}
