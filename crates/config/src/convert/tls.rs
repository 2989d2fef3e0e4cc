//! TLS on a listener and to workers: certificates are read here, so that what is wrong with one is known before
//! anything is served with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use isobar_tls::{Authority, Bad, Certificate, Clients, Offer, Server};

use crate::leaf::{FilePath, TlsVersion};
use crate::model::{ClientAuth, ClientCa, OnOff, Tls, TlsCertificate, UnknownName, WorkerTls};
use crate::problem::Draft;
use crate::raw;
use crate::read::{Cx, Field, Spanned, Switch};
use crate::source::Span;

pub(super) fn convert(field: Field<Switch<raw::Tls>>, cx: &mut Cx<'_>) -> Option<Tls> {
    let Spanned { value: Switch::On(raw), span } = field.given()? else { return None };
    let listeners = clients(Given::of(raw.client_auth, raw.client_ca, raw.crl), None, span, cx);
    if raw.certificates.is_absent() && !raw.refused.excuses(&["certificates"]) {
        no_certificate(span, cx);
    }
    let mut whole = listeners.is_some() && !matches!(raw.certificates, Field::Broken);
    let listeners = listeners.unwrap_or(Asked { auth: ClientAuth::Off, clients: Clients::Off });
    let written = raw.certificates.value().map_or_else(Vec::new, |all| all.0);
    if written.is_empty() && whole {
        no_certificate(span, cx);
    }
    let (mut certificates, mut offers) = (Vec::new(), Vec::new());
    for Spanned { value, span } in written {
        match certificate(value, &listeners, span, cx) {
            Some((certificate, offer)) => {
                certificates.push(certificate);
                offers.push(offer);
            }
            None => whole = false,
        }
    }
    let tls = Tls {
        certificates,
        tls13_only: raw.min_version.value() == Some(TlsVersion::Tls13),
        unknown_name: raw.unknown_name.or(UnknownName::Default),
    };
    if !whole || offers.is_empty() {
        return None;
    }
    if let Err(words) = Server::new(&offers, tls.options(&[])) {
        cx.report(Draft::error(span, words));
        return None;
    }
    Some(tls)
}

/// TLS to workers.
pub(super) fn to_workers(
    field: Field<Switch<raw::WorkerTls>>,
    cx: &mut Cx<'_>,
) -> Option<WorkerTls> {
    let Spanned { value: Switch::On(raw), span } = field.given()? else { return None };
    let ca = path(raw.ca, cx);
    let verify_at = raw.verify.as_given().map(|verify| verify.span);
    let verify = raw.verify.or(OnOff::On) == OnOff::On;
    if let Some(at) = verify_at.filter(|_| !verify) {
        let message = "workers may be anybody: their certificates are not looked at";
        let hint = "`ca: ca.pem` names who issues them".to_owned();
        cx.report(Draft::warning(at, message).hint(hint));
    }
    let identity = match raw.client.given() {
        Some(Spanned { value: Switch::On(raw), span }) => {
            if raw.cert.is_absent() && !raw.refused.any() {
                let draft = Draft::error(span, "found no certificate");
                cx.report(draft.expected("`cert: client.pem`"));
            }
            let (cert, at) = path(raw.cert, cx)?;
            let key = path(raw.key, cx).map_or_else(|| cert.clone(), |(key, _)| key);
            Some((cert, key, at))
        }
        _ => None,
    };
    let at = ca.as_ref().map(|&(_, at)| at).or(identity.as_ref().map(|&(.., at)| at));
    let tls = WorkerTls {
        ca: ca.map(|(path, _)| path),
        server_name: raw.server_name.value().map(|name| name.0),
        client: identity.map(|(cert, key, _)| (cert, key)),
        verify,
    };
    match tls.load("localhost") {
        Ok(_) => Some(tls),
        Err(bad) => {
            report(&bad, at.unwrap_or(span), cx);
            None
        }
    }
}

fn no_certificate(span: Span, cx: &mut Cx<'_>) {
    let expected = "`certificates: [{ cert: site.pem, key: site.key }]`";
    cx.report(Draft::error(span, "found no certificate").expected(expected));
}

fn certificate(
    raw: raw::Certificate,
    listeners: &Asked,
    span: Span,
    cx: &mut Cx<'_>,
) -> Option<(TlsCertificate, Offer)> {
    let asked =
        clients(Given::of(raw.client_auth, raw.client_ca, raw.crl), Some(listeners), span, cx);
    if raw.cert.is_absent() && !raw.refused.any() {
        let draft = Draft::error(span, "found no certificate");
        cx.report(draft.expected("`cert: site.pem`"));
    }
    let (cert, at) = path(raw.cert, cx)?;
    let key = match raw.key {
        Field::Broken => return None,
        key => path(key, cx),
    };
    let key_at = key.as_ref().map_or(at, |&(_, span)| span);
    let key = key.map_or_else(|| cert.clone(), |(path, _)| path);
    let loaded = match Certificate::load(&cert, &key) {
        Ok(loaded) => loaded,
        Err(bad) => {
            let at = if bad.file == key { key_at } else { at };
            report(&bad, at, cx);
            return None;
        }
    };
    for bad in &loaded.warnings {
        cx.report(Draft::warning(at, bad.to_string()));
    }
    let names = match raw.names {
        Field::Broken => return None,
        names => names.value().map_or_else(Vec::new, |names| names.0),
    };
    let names: Vec<String> = names.into_iter().map(|name| name.value.0).collect();
    if names.is_empty() && loaded.certificate.names().is_empty() {
        let draft = Draft::warning(at, "the certificate names no host");
        cx.report(draft.hint("`names: [host]` says whom it is for".to_owned()));
    }
    let Asked { auth, clients } = asked?;
    let offer = Offer { certificate: Arc::new(loaded.certificate), names: names.clone(), clients };
    Some((TlsCertificate { cert, key, names, client_auth: auth }, offer))
}

/// What is asked of clients: in words, and ready.
struct Asked {
    auth: ClientAuth,
    clients: Clients,
}

/// What is written about clients, in one place.
struct Given {
    auth: Field<Switch<raw::ClientAuth>>,
    ca: Field<FilePath>,
    crl: Field<FilePath>,
}

impl Given {
    fn of(
        auth: Field<Switch<raw::ClientAuth>>,
        ca: Field<FilePath>,
        crl: Field<FilePath>,
    ) -> Given {
        Given { auth, ca, crl }
    }
}

/// `above`: what the listener says, where a certificate says nothing. None = reported.
fn clients(given: Given, above: Option<&Asked>, span: Span, cx: &mut Cx<'_>) -> Option<Asked> {
    let inherited = above.and_then(|above| above.auth.ca());
    let broken = [&given.ca, &given.crl].into_iter().any(|field| matches!(field, Field::Broken));
    if broken || matches!(given.auth, Field::Broken) {
        return None;
    }
    let silent = given.auth.is_absent() && given.ca.is_absent() && given.crl.is_absent();
    if silent && let Some(above) = above {
        return Some(Asked { auth: above.auth.clone(), clients: above.clients.clone() });
    }
    let mode = match given.auth.value() {
        Some(Switch::On(mode)) => Some(mode),
        Some(Switch::Off) => None,
        None => match above.map(|above| &above.auth) {
            Some(ClientAuth::Optional(_)) => Some(raw::ClientAuth::Optional),
            Some(ClientAuth::Required(_)) => Some(raw::ClientAuth::Required),
            Some(ClientAuth::Off) | None => None,
        },
    };
    let (ca, crl) = (path(given.ca, cx), path(given.crl, cx));
    let Some(mode) = mode else {
        if let Some((_, at)) = ca.or(crl) {
            let message = "nobody is asked for a certificate: `client_auth` is off";
            let hint = "`client_auth: required` or `optional` asks for one";
            cx.report(Draft::warning(at, message).hint(hint.to_owned()));
        }
        return Some(Asked { auth: ClientAuth::Off, clients: Clients::Off });
    };
    let at = ca.as_ref().map_or(span, |&(_, at)| at);
    let crl_at = crl.as_ref().map(|&(_, at)| at);
    let ca = ca.map(|(path, _)| path).or_else(|| inherited.map(|ca| ca.ca.clone()));
    let Some(ca) = ca else {
        let draft = Draft::error(span, "found no issuer of the clients' certificates");
        cx.report(draft.expected("`client_ca: clients.pem`"));
        return None;
    };
    let crl = crl.map(|(path, _)| path).or_else(|| inherited.and_then(|ca| ca.crl.clone()));
    let authority = match Authority::load(&ca, crl.as_deref()) {
        Ok(authority) => Arc::new(authority),
        Err(bad) => {
            let at = crl_at.filter(|_| crl.as_ref() == Some(&bad.file)).unwrap_or(at);
            report(&bad, at, cx);
            return None;
        }
    };
    let files = ClientCa { ca, crl };
    Some(match mode {
        raw::ClientAuth::Optional => {
            Asked { auth: ClientAuth::Optional(files), clients: Clients::Optional(authority) }
        }
        raw::ClientAuth::Required => {
            Asked { auth: ClientAuth::Required(files), clients: Clients::Required(authority) }
        }
    })
}

/// Relative to the file that says it.
fn path(field: Field<FilePath>, cx: &Cx<'_>) -> Option<(PathBuf, Span)> {
    let Spanned { value: FilePath(path), span } = field.given()?;
    let here = Path::new(cx.sources.name(span.source)).parent().unwrap_or(Path::new(""));
    Some((here.join(path), span))
}

fn report(bad: &Bad, at: Span, cx: &mut Cx<'_>) {
    let draft = Draft::error(at, bad.to_string());
    cx.report(match &bad.hint {
        Some(hint) => draft.hint(hint.clone()),
        None => draft,
    });
}
