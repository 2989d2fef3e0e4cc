//! A process lives: `run` and `proxy`.
//!
//! The main thread is the control plane: reload, probes, admin API, signals. The shards are
//! threads of their own that never wait for it. The order of the start: signals are caught, the
//! control plane's doors and the listeners are bound (or the process ends, naming all that
//! failed), workers are probed, traffic is let in, `/ready` says so.

use std::num::NonZeroU32;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use isobar_config::model::{self as config, AccessLogFormat, AccessLogPath, Shards};
use isobar_config::{Config, Loaded};
use isobar_proxy::ProxyContext;
use isobar_proxy::access_log::{AccessLog, Flushed, Format, Sink};
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, watch};

use crate::control::{Control, Phase, Source};
use crate::drain::{Requests, Signals};
use crate::logging::Level;
use crate::metrics::recent::Recent;
use crate::metrics::sampler;
use crate::plan::Live;
use crate::{admin, descriptors, drain, logging, notify, registry, reload, renewal, shard};

/// How long the access log may take to get rid of its last lines.
const LAST_LINES: Duration = Duration::from_secs(2);

/// `isobar run`.
pub(crate) fn run_file(path: &Path) -> Result<(), String> {
    let loaded = isobar_config::load(path, &registry::registry());
    let loaded = loaded.map_err(|problems| problems.to_string());
    to_the_end(loaded.and_then(|loaded| run(loaded, Source::File(path.to_owned()))))
}

/// Why it ended is said here: whoever should read it may have stopped reading long ago, and must
/// not keep the process.
fn to_the_end(ended: Result<(), String>) -> Result<(), String> {
    match ended {
        Ok(()) => logging::flush(),
        Err(message) => {
            logging::last_words(&message);
            return Err(String::new());
        }
    }
    Ok(())
}

/// `isobar proxy`: no file, one listener, one pool.
pub(crate) fn run_proxy(
    from: &str,
    to: &[String],
    strategy: Option<&str>,
    slots: Option<NonZeroU32>,
    log: Option<AccessLogFormat>,
) -> Result<(), String> {
    let config = Config::proxy(from, to, strategy, slots, &registry::registry());
    let log = log.map(|format| config::AccessLog { format, path: AccessLogPath::Stdout });
    let config = config.map(|config| Config { access_log: log, ..config });
    let config = config.map_err(|problems| problems.to_string());
    let loaded = config.map(|config| Loaded { config, warnings: Default::default() });
    to_the_end(loaded.and_then(|loaded| run(loaded, Source::Flags)))
}

/// What a process has before it knows anything else.
struct Early {
    runtime: Runtime,
    requests: Requests,
}

static EARLY: Mutex<Option<Early>> = Mutex::new(None);

/// For a process that is about to run, before it does anything that takes time: HUP, USR1 and USR2
/// would end it while it reads its configuration.
pub(crate) fn catch_requests() {
    // What did not work here is tried again, and said, when it is needed.
    *EARLY.lock().unwrap_or_else(PoisonError::into_inner) = Early::begin().ok();
}

impl Early {
    fn begin() -> Result<Early, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| format!("no runtime: {error}"))?;
        let requests = {
            let _inside = runtime.enter();
            Requests::catch().map_err(|error| format!("cannot catch signals: {error}"))?
        };
        Ok(Early { runtime, requests })
    }

    fn take() -> Result<Early, String> {
        let begun = EARLY.lock().unwrap_or_else(PoisonError::into_inner).take();
        begun.map_or_else(Early::begin, Ok)
    }
}

fn run(loaded: Loaded, source: Source) -> Result<(), String> {
    let Early { runtime, requests } = Early::take()?;
    let level = logging::start(&loaded.config.log);
    if !loaded.warnings.is_empty() {
        tracing::warn!("{}", loaded.warnings);
    }
    let ended = runtime.block_on(live(loaded.config, source, level, requests));
    // A thread that still encodes metrics is not worth waiting for.
    runtime.shutdown_background();
    ended
}

async fn live(
    config: Config,
    source: Source,
    level: Level,
    requests: Requests,
) -> Result<(), String> {
    let started = Instant::now();
    let panics = logging::count_panics();
    let signals =
        Signals::catch(requests).map_err(|error| format!("cannot catch signals: {error}"))?;
    descriptors::raise_limit();
    if let Some(advice) = descriptors::advice(&config) {
        tracing::warn!("{advice}");
    }
    if let Some(path) = std::env::var_os("SSLKEYLOGFILE") {
        let path = path.display();
        tracing::warn!(
            "SSLKEYLOGFILE is set: the keys of every TLS connection are written to {path}"
        );
    }
    let count = shard_count(config.shards);
    // The control plane has the last cell of every counter.
    let cells = count + 1;
    isobar_balance::shard::enter(count);

    let doors = admin::open(&config, &source)?;
    let access_log = access_log(&config)?;
    let (context, inboxes) = ProxyContext::new(count, access_log.clone());
    let shards = shard::spawn(&context, inboxes).map_err(|error| format!("no thread: {error}"))?;
    let (reloads, queue) = reload::channel();
    let (shutdown, shutdown_asked) = mpsc::channel(1);
    let control = Arc::new(Control {
        source,
        context,
        access_log,
        level,
        reloads,
        tally: reload::Tally::default(),
        shutdown,
        panics,
        recent: Recent::begin(),
        started,
        doors: doors.addresses(),
        phase: watch::Sender::new(Phase::Starting),
        live: Mutex::new(Live::new(config.clone(), cells)),
    });
    let doors = doors.serve(&control);
    reload::apply(&control, config).await?;
    control.enter(Phase::Ready);
    tokio::spawn(notify::keep_alive());
    tokio::spawn(reload::run(control.clone(), queue));
    tokio::spawn(sampler::run(control.clone()));
    tokio::spawn(renewal::run(control.clone()));
    tracing::info!(shards = count, "ready: {}", control.lock().config().summary());

    let ended = drain::until_told(&control, signals, shutdown_asked, shards).await;
    drop(doors);
    // The names of the listeners' unix sockets go with us, whoever still holds `control`.
    control.lock().forget_sockets();
    if control.access_log.flush(LAST_LINES) == Flushed::Partly {
        tracing::warn!("the last lines of the access log could not be written in time");
    }
    ended
}

pub(crate) fn shard_count(shards: Shards) -> usize {
    match shards {
        Shards::Count(count) => count.get(),
        // Honours the CPU affinity and a container's quota.
        Shards::Auto => std::thread::available_parallelism().map_or(1, Into::into),
    }
}

fn access_log(config: &Config) -> Result<AccessLog, String> {
    let Some(log) = &config.access_log else { return Ok(AccessLog::off()) };
    let format = match log.format {
        AccessLogFormat::Json => Format::Json,
        AccessLogFormat::Combined => Format::Combined,
    };
    let sink = match &log.path {
        AccessLogPath::Stdout => Sink::Stdout,
        AccessLogPath::Stderr => Sink::Stderr,
        AccessLogPath::File(path) => Sink::File(path.clone()),
    };
    AccessLog::start(format, sink).map_err(|error| match &log.path {
        AccessLogPath::File(path) => format!("access_log: {}: {error}", path.display()),
        _ => format!("access_log: {error}"),
    })
}
