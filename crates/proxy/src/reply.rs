//! The answer of a route that has no pool: a redirect, or what the configuration wrote.
//!
//! Called by `exchange` instead of a lease. It does not wait for a body that is still on its way:
//! what is already here is read past, and a connection with more to come is closed after the
//! answer.

use crate::{
    answer::{HeadOnly, KeepAlive, Own},
    exchange::Exchange,
    h1::Next,
    headers,
    reason::Reason,
    route::{
        Answer, Reply,
        redirect::{Asked, Redirect},
    },
    scratch,
};

/// `Err`: not one byte was sent.
pub(crate) async fn run(exchange: &mut Exchange<'_>, answer: &Answer) -> Result<Next, Reason> {
    let mut lines = Vec::new();
    let own = match &answer.reply {
        Reply::Redirect(redirect) => {
            lines.extend_from_slice(b"Location: ");
            location(exchange, redirect, &mut lines)?;
            lines.extend_from_slice(b"\r\n");
            Own { status: redirect.status, lines: &lines, body: b"" }
        }
        Reply::Respond(respond) => {
            Own { status: respond.status, lines: &respond.lines, body: &respond.body }
        }
    };
    send(exchange, &own).await
}

fn location(
    exchange: &Exchange<'_>,
    redirect: &Redirect,
    lines: &mut Vec<u8>,
) -> Result<(), Reason> {
    let request = &exchange.scratch.request;
    let target = exchange.target.as_deref().unwrap_or(request.path_and_query());
    let matched = exchange.route.as_ref().map_or(0, |route| route.matched);
    if let (Some(route), Some(new)) = (&exchange.route, &redirect.path) {
        let fits = new.fits(target, matched, route.behind, exchange.slashes());
        fits.map_err(|_| Reason::BadRequest)?;
    }
    let (scheme, authority) = (headers::scheme(exchange), request.authority());
    let asked = Asked { scheme, authority, target, matched };
    redirect.location(&asked, lines).ok_or(Reason::BadRequest)
}

/// Sends a whole answer, and says what it leaves of the connection.
pub(crate) async fn send(exchange: &mut Exchange<'_>, own: &Own<'_>) -> Result<Next, Reason> {
    let Exchange { client, incoming, scratch, record, .. } = &mut *exchange;
    scratch::furnish(&mut scratch.body);
    incoming.decode(&mut client.inbuf, &mut scratch.body)?;
    record.status = own.status;
    let keep = exchange.may_keep();
    headers::name_request(exchange);
    let request = &exchange.scratch.request;
    let alive = KeepAlive::of(keep, request.version());
    let head_only = match request.method() == b"HEAD" {
        true => HeadOnly::Yes,
        false => HeadOnly::No,
    };
    let mut out = std::mem::take(&mut exchange.scratch.out);
    scratch::furnish(&mut out);
    out.clear();
    let body = own.write(&mut out, &exchange.scratch.id, alive, head_only);
    exchange.show_answer(&mut out, alive);
    exchange.record.head = (out.len() - body) as u64;
    let stall = exchange.listener.timeouts.write_stall;
    let wrote = match keep {
        true => exchange.client.write_all(&out, stall, &mut exchange.record.sent).await,
        false => exchange.client.write_last(&out, stall, &mut exchange.record.sent).await,
    };
    exchange.scratch.out = out;
    Ok(match wrote {
        Err(_) => {
            exchange.record.reason = Some(Reason::ClientGone);
            Next::Close
        }
        Ok(()) if keep => Next::Request,
        Ok(()) => exchange.last_words(),
    })
}
