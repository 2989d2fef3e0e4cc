//! The demo in words, for whoever has no terminal, and left behind by the one that had.

use std::fmt;

use super::draw::HEADLINE;
use super::journal::GRACE;
use super::view::{Kind, Side, View, count, percent, time, time_or_dash};
use crate::cli::output::complain;

/// What is about to happen; on stderr, since it is no data.
pub(super) fn announce(view: &View) {
    for side in &view.sides {
        complain(&format!("isobar demo: {} on {}", side.title, side.address));
    }
}

pub(super) struct Summary<'v>(pub(super) &'v View);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let View { elapsed, rate, capacity, sides } = self.0;
        let (rate, capacity, seconds) = (rate.round(), capacity.round(), elapsed.as_secs());
        write!(
            f,
            "isobar demo: {seconds} s, {rate} requests/s (Poisson) on workers that can do {capacity}"
        )?;
        for side in sides {
            write!(f, "\n\n{}", Part(side))?;
        }
        Ok(())
    }
}

struct Part<'v>(&'v Side);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = self.0;
        writeln!(f, "{} ({})", side.title, side.address)?;
        writeln!(f, "  worker       pace  requests   busy      p50      p99")?;
        for worker in &side.workers {
            writeln!(
                f,
                "  {:<9} {:>7} {:>9} {:>6} {:>8} {:>8}",
                worker.name,
                time(worker.pace),
                count(worker.requests),
                percent(worker.busy_always),
                time_or_dash(worker.p50),
                time_or_dash(worker.p99),
            )?;
        }
        writeln!(f, "  requests sent: {}", count(side.sent))?;
        writeln!(f, "  requests answered: {}", count(side.answered))?;
        write!(f, "  requests failed: {}", count(side.failed()))?;
        for (reason, times) in &side.failures {
            write!(f, "; {reason}: {times}")?;
        }
        writeln!(f)?;
        for (what, number) in [
            ("under way when it ended", side.unanswered as u64),
            ("held back, too many were under way", side.unsent),
            ("of others than the demo", side.strangers),
        ] {
            if number > 0 {
                writeln!(f, "  requests {what}: {}", count(number))?;
            }
        }
        writeln!(f, "  p50 {}, p99 {}", time_or_dash(side.p50), time_or_dash(side.p99))?;
        writeln!(f, "  requests that waited: {}", count(side.waited))?;
        write!(f, "  {HEADLINE}: {}", count(side.waited_while_free))?;
        write!(f, " (by the workers' journals, over {})", time(GRACE))?;
        if !side.stalled.is_zero() {
            let seconds = side.stalled.as_secs_f64();
            write!(f, "\n  left out, since this machine was busy elsewhere: {seconds:.3} s")?;
        }
        if let Kind::OneQueue { idle_while_waiting } = side.kind {
            let seconds = idle_while_waiting.as_secs_f64();
            write!(f, "\n  time in which a request waited and a slot was free: {seconds:.3} s")?;
            write!(f, " (by the pool)")?;
        }
        Ok(())
    }
}
