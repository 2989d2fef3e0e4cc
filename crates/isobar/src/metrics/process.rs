//! `process_*`, the names every Prometheus client uses, from `/proc`. What cannot be read does not
//! appear.

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use super::family::Families;

/// The kernel shows times to user space in hundredths of a second on every architecture we build
/// for, whatever its own clock runs at.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) fn figures(out: &mut Families) {
    if let Some(times) = fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(times) {
        let title = ("process_cpu_seconds_total", "User and system CPU time spent.");
        out.counter(title, &[], times.cpu);
        if let Some(start) = uptime().and_then(|uptime| Some(now()? - uptime + times.start)) {
            let title = ("process_start_time_seconds", "Start time since the epoch.");
            out.gauge(title, &[], start);
        }
    }
    if let Ok(status) = fs::read_to_string("/proc/self/status") {
        for (key, title, unit) in [
            ("VmSize", ("process_virtual_memory_bytes", "Virtual memory size."), 1024.0),
            ("VmRSS", ("process_resident_memory_bytes", "Resident memory size."), 1024.0),
            ("Threads", ("process_threads", "Threads."), 1.0),
        ] {
            if let Some(value) = field(&status, key) {
                out.gauge(title, &[], value * unit);
            }
        }
    }
    if let Ok(open) = fs::read_dir("/proc/self/fd") {
        // One of them is this very look.
        let open = open.count().saturating_sub(1);
        out.gauge(("process_open_fds", "Open file descriptors."), &[], open as f64);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(limit) = limit {
        let title = ("process_max_fds", "Most file descriptors that may be open.");
        out.gauge(title, &[], limit as f64);
    }
}

struct Times {
    cpu: f64,
    /// Since boot.
    start: f64,
}

/// The command's name may hold anything, so count fields from its closing parenthesis.
fn times(stat: &str) -> Option<Times> {
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok().map(|n| n / TICKS_PER_SECOND);
    Some(Times { cpu: ticks(11)? + ticks(12)?, start: ticks(19)? })
}

fn field(status: &str, key: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

fn uptime() -> Option<f64> {
    fs::read_to_string("/proc/uptime").ok()?.split_whitespace().next()?.parse().ok()
}

fn now() -> Option<f64> {
    SystemTime::now().duration_since(UNIX_EPOCH).ok().map(|now| now.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let rest = (3..=52).map(|n| n.to_string()).collect::<Vec<_>>().join(" ");
        let times = times(&format!("7 (a) b (c) {rest}")).unwrap();
        assert_eq!((times.cpu, times.start), (14.0 / 100.0 + 15.0 / 100.0, 22.0 / 100.0));
    }

    #[test]
    fn this_process_has_them_all() {
        let mut out = Families::default();
        figures(&mut out);
        let page = out.encode().unwrap();
        for name in ["cpu_seconds_total", "start_time_seconds", "resident_memory_bytes", "open_fds"]
        {
            assert!(page.contains(&format!("\nprocess_{name} ")), "{name} in {page}");
        }
    }
}
