//! The certificates of the listeners: read when a configuration is made live, and again when a file
//! changes. A file that is not good is said, and what was read before stays.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use isobar_config::Config;
use isobar_config::model::{Listener, ListenerKind, Tls};
use isobar_tls::Server;

/// For ALPN, where the listener speaks HTTP.
const HTTP: &[&[u8]] = &[b"http/1.1", b"http/1.0"];

/// By the listener's name.
pub(crate) type AllSecured = BTreeMap<String, Secured>;

/// TLS on a listener, as it is now.
#[derive(Clone)]
pub(crate) struct Secured {
    wanted: Tls,
    protocols: &'static [&'static [u8]],
    files: Stamp,
    /// Of files that were not good.
    refused: Option<Stamp>,
    server: Arc<ArcSwap<Server>>,
}

/// What tells one content of the files from another: device, inode, size, and when it was changed.
type Stamp = Vec<Option<(u64, u64, u64, i64, i64)>>;

/// Reads what has to be read; what has not changed is kept, and with it the sessions that clients may
/// take up again. Beside it what is wrong, in words.
pub(super) fn stage(before: &AllSecured, config: &Config) -> (AllSecured, Vec<String>) {
    let (mut secured, mut wrong) = (AllSecured::new(), Vec::new());
    for (name, listener) in &config.listeners {
        let Some(tls) = &listener.tls else { continue };
        let protocols = protocols(listener);
        let files = stamp(tls);
        let kept = before.get(name).filter(|kept| {
            kept.wanted == *tls && kept.protocols == protocols && kept.files == files
        });
        if let Some(kept) = kept {
            secured.insert(name.clone(), kept.clone());
            continue;
        }
        match tls.load(protocols) {
            Ok(server) => {
                let server = Arc::new(ArcSwap::from_pointee(server));
                let wanted = tls.clone();
                let fresh = Secured { wanted, protocols, files, refused: None, server };
                secured.insert(name.clone(), fresh);
            }
            Err(words) => wrong.push(format!("listener {name}: {words}")),
        }
    }
    (secured, wrong)
}

impl Secured {
    pub(super) fn server(&self) -> &Arc<ArcSwap<Server>> {
        &self.server
    }

    /// The certificates that are shown, and until when they are good, in seconds since 1970.
    pub(crate) fn expiries(&self) -> Vec<(String, f64)> {
        let server = self.server.load();
        let certificates = server.certificates().iter();
        certificates.map(|one| (one.file().display().to_string(), one.expires_at())).collect()
    }

    /// Its files are good as they lie there.
    pub(crate) fn is_current(&self) -> bool {
        self.refused.is_none()
    }

    /// What there is to say about files that have changed.
    fn look_again(&mut self, listener: &str) {
        let files = stamp(&self.wanted);
        if files == self.files || self.refused.as_ref() == Some(&files) {
            return;
        }
        match self.wanted.load(self.protocols) {
            Ok(server) => {
                self.server.store(Arc::new(server));
                (self.files, self.refused) = (files, None);
                tracing::info!(listener, "certificates read again: their files have changed");
            }
            Err(words) => {
                self.refused = Some(files);
                tracing::warn!(listener, "{words}; what was read before is served on");
            }
        }
    }
}

/// Looks whether files have changed; it reads files, and blocks.
pub(crate) fn look_again(mut secured: AllSecured) -> AllSecured {
    secured.iter_mut().for_each(|(listener, one)| one.look_again(listener));
    secured
}

/// What the watch has found of those that are still there.
pub(super) fn take_over(live: &mut AllSecured, found: AllSecured) {
    for (name, found) in found {
        if let Some(live) = live.get_mut(&name)
            && Arc::ptr_eq(&live.server, &found.server)
        {
            *live = found;
        }
    }
}

fn protocols(listener: &Listener) -> &'static [&'static [u8]] {
    match listener.kind {
        ListenerKind::Http { .. } => HTTP,
        ListenerKind::Tcp { .. } | ListenerKind::Passthrough(_) => &[],
    }
}

fn stamp(tls: &Tls) -> Stamp {
    let of = |path: &_| {
        let file = fs::metadata(path).ok()?;
        Some((file.dev(), file.ino(), file.size(), file.mtime(), file.mtime_nsec()))
    };
    tls.files().iter().map(of).collect()
}
