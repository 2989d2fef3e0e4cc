//! What connections cost in memory, and that it comes back: waves of tunnels, event streams, waits
//! and idle connections. Short waves here; `ISOBAR_MEMORY=full tests/run e2e memory` runs the long
//! ones, and twenty waves of 5,000 WebSockets in a cgroup of 256 MiB.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use isobar_tests::cgroup::Cgroup;
use isobar_tests::crowd::{Crowd, Kind};
use isobar_tests::isobar::Isobar;
use isobar_tests::{skip, wait};

const MIB: u64 = 1024;

#[test]
fn waves_of_websockets_leave_no_memory_behind() {
    waves(Kind::WebSocket, 600, 8_000);
}

#[test]
fn waves_of_event_streams_leave_no_memory_behind() {
    waves(Kind::EventStream, 600, 3_000);
}

#[test]
fn waves_of_waits_for_a_slow_worker_leave_no_memory_behind() {
    waves(Kind::SlowWorker, 600, 3_000);
}

#[test]
fn waves_of_idle_connections_leave_no_memory_behind() {
    waves(Kind::KeepAlive, 1_000, 15_000);
}

/// The container is killed when it takes more than its memory.
#[test]
fn waves_of_websockets_fit_into_a_small_container() {
    let (waves, count, room) = if full() { (20, 5_000, 256) } else { (3, 600, 96) };
    let Some(cgroup) = Cgroup::with_memory(room << 20) else {
        return skip::note("small container", "no memory cgroup can be made here");
    };
    let crowd = Crowd::start();
    let mut isobar = start(&crowd);
    cgroup.take(isobar.pid());
    for wave in 1..=waves {
        let held = crowd.open(isobar.address("web"), Kind::WebSocket, count);
        println!("wave {wave}: {} MiB", isobar.resident_kib() / MIB);
        crowd.close(held, Kind::WebSocket);
        until_closed(&isobar);
    }
    assert!(isobar.child().try_wait().expect("its status").is_none(), "it lives");
}

/// Every wave's peak is at most 1.1 times the first; after the last close the memory goes back.
fn waves(kind: Kind, few: usize, many: usize) {
    let count = if full() { many } else { few };
    let waves = if full() { 6 } else { 4 };
    let crowd = Crowd::start();
    let isobar = start(&crowd);
    // One of each kind, so that what is made once is there at the start.
    let first = crowd.open(isobar.address("web"), kind, 1);
    crowd.close(first, kind);
    until_closed(&isobar);
    let start = isobar.resident_kib();
    let mut peaks = Vec::new();
    for _ in 0..waves {
        let peak = peak(&isobar, || {
            let held = crowd.open(isobar.address("web"), kind, count);
            crowd.close(held, kind);
        });
        peaks.push(peak);
        until_closed(&isobar);
    }
    let allowed = start + start / 5 + 16 * MIB;
    let patience = Duration::from_secs(if full() { 30 } else { 10 });
    let closed = Instant::now();
    let end = loop {
        let now = isobar.resident_kib();
        if closed.elapsed() > patience || now <= start + start / 5 {
            break now;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let each = (peaks[0].saturating_sub(start)) as f64 / count as f64;
    println!(
        "{count} × {kind:?}: start {start} KiB, peaks {peaks:?} ({each:.1} KiB each), \
         {end} KiB {:.1} s after the last close",
        closed.elapsed().as_secs_f64()
    );
    for peak in &peaks {
        // In a small wave the least thing is a tenth.
        let allowed = (peaks[0] + peaks[0] / 10).max(peaks[0] + if full() { 0 } else { 3 * MIB });
        assert!(*peak <= allowed, "a wave grows beyond the first: {peaks:?}");
    }
    assert!(end <= allowed, "{end} KiB stay of {start}");
    let most = if full() { 24.0 } else { 28.0 };
    assert!(each <= most, "{each} KiB each");
}

fn start(crowd: &Crowd) -> Isobar {
    Isobar::start(&format!(
        "shards: 2
listeners: {{ web: {{ bind: \"127.0.0.1:0\", limits: {{ connections: 0 }}, \
         routes: [{{ pool: app }}] }} }}
pools: {{ app: {{ connect_timeout: 20s, timeouts: {{ first_byte: 10m }}, workers: [\"{}\"] }} }}
",
        crowd.origin()
    ))
}

fn peak(isobar: &Isobar, run: impl FnOnce()) -> u64 {
    let (peak, over) = (AtomicU64::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        // However it ends: the scope waits for the thread.
        let _over = Over(&over);
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                peak.fetch_max(isobar.resident_kib(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        run();
    });
    peak.into_inner()
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn until_closed(isobar: &Isobar) {
    wait::until(|| {
        let open = isobar.metrics().sum("isobar_connections_active", &[("listener", "web")]);
        (open == 0.0).then_some(())
    });
}

fn full() -> bool {
    std::env::var_os("ISOBAR_MEMORY").is_some_and(|how| how == "full")
}
