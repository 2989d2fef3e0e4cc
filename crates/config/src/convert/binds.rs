//! Who listens where: the addresses of listeners, admin API and metrics, each bound once. Asks the disk
//! for a socket's folder, and opens nothing.

use std::path::Path;

use crate::model::Bind;
use crate::problem::Draft;
use crate::read::Cx;
use crate::source::Span;

/// What is taken already.
#[derive(Default)]
pub(super) struct Binds {
    taken: Vec<(Bind, Span)>,
}

impl Binds {
    pub(super) fn claim(&mut self, bind: &Bind, span: Span, cx: &mut Cx<'_>) {
        if let Some((other, first)) = self.taken.iter().find(|(other, _)| collide(bind, other)) {
            let place = format!("{}:{}", cx.sources.name(first.source), first.line);
            let both = takes_both_families(bind) || takes_both_families(other);
            let why = if both { ", and `[::]` takes IPv4 connections, too" } else { "" };
            cx.report(
                Draft::error(span, "found this address a second time")
                    .expected("every address and port bound once")
                    .hint(format!("it is taken at {place} already{why}")),
            );
        }
        if let Bind::Unix { path, .. } = bind
            && let Some(folder) = missing_folder(path)
        {
            let message = format!("there is no folder `{}` yet", folder.display());
            let hint =
                "it must be there when isobar starts; systemd makes it by `RuntimeDirectory=`";
            cx.report(Draft::warning(span, message).hint(hint.to_owned()));
        }
        self.taken.push((bind.clone(), span));
    }
}

fn collide(one: &Bind, other: &Bind) -> bool {
    match (one, other) {
        (Bind::Tcp(a), Bind::Tcp(b)) => {
            let any = a.ip().is_unspecified() || b.ip().is_unspecified();
            let family = a.is_ipv4() == b.is_ipv4()
                || takes_both_families(one)
                || takes_both_families(other);
            a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || (any && family))
        }
        (Bind::Unix { path: a, .. }, Bind::Unix { path: b, .. }) => a == b,
        (Bind::Fd(a), Bind::Fd(b)) => a == b,
        _ => false,
    }
}

/// `[::]` takes IPv4 connections, too.
fn takes_both_families(bind: &Bind) -> bool {
    matches!(bind, Bind::Tcp(addr) if addr.is_ipv6() && addr.ip().is_unspecified())
}

/// A mode is a file's.
pub(super) fn no_mode_without_socket(mode: Option<Span>, unix: bool, cx: &mut Cx<'_>) {
    if let Some(span) = mode
        && !unix
    {
        cx.report(
            Draft::error(span, "found permission bits without a socket file")
                .expected("`mode` only where an address is `unix:/path`"),
        );
    }
}

/// The folder of a file, where it is not there.
pub(super) fn missing_folder(path: &Path) -> Option<&Path> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty())?;
    (!folder.is_dir()).then_some(folder)
}
