//! The answer of a route that has no pool: a redirect, or what the configuration wrote.
//!
//! Called by `serve` instead of a lease. It does not wait for a body that is still on its way:
//! what is already here is read past, and a connection with more to come is closed after the
//! answer.

use super::{Exchange, next::Next};
use crate::{
    answer,
    reason::Reason,
    route::{
        Answer, Reply,
        redirect::{Asked, Redirect},
    },
    scratch::{self, Scratch},
};

/// `Err`: not one byte was sent.
pub(crate) async fn run(exchange: &mut Exchange<'_>, answer: &Answer) -> Result<Next, Reason> {
    let location = match &answer.reply {
        Reply::Redirect(redirect) => location(exchange, redirect)?,
        Reply::Respond(_) => Vec::new(),
    };
    let Exchange { downstream, incoming, scratch, .. } = &mut *exchange;
    scratch::furnish(&mut scratch.body);
    downstream.take_body(incoming, &mut scratch.body)?;
    exchange.name_request();
    let Scratch { request, response, id, .. } = &mut *exchange.scratch;
    let body = match &answer.reply {
        Reply::Redirect(redirect) => {
            answer::begin(response, redirect.status, 0, id, request.method());
            response.add("Location", location);
            &[][..]
        }
        Reply::Respond(respond) => {
            let length = respond.body.len();
            answer::begin(response, respond.status, length, id, request.method());
            for (name, value) in &respond.headers {
                response.add(name, value);
            }
            &respond.body
        }
    };
    exchange.record.status = response.status();
    let keep = exchange.may_keep();
    Ok(match exchange.send(body, keep).await {
        Err(_) => {
            exchange.record.reason = Some(Reason::ClientGone);
            Next::Close
        }
        Ok(()) if keep => Next::Request,
        Ok(()) => exchange.last_words(),
    })
}

fn location(exchange: &Exchange<'_>, redirect: &Redirect) -> Result<Vec<u8>, Reason> {
    let request = &exchange.scratch.request;
    let target = exchange.target.as_deref().unwrap_or(request.path_and_query());
    let matched = exchange.route.as_ref().map_or(0, |route| route.matched);
    if let (Some(route), Some(new)) = (&exchange.route, &redirect.path) {
        let fits = new.fits(target, matched, route.behind, exchange.slashes());
        fits.map_err(|_| Reason::BadRequest)?;
    }
    let (scheme, authority) = (exchange.scheme(), request.authority());
    let asked = Asked { scheme, authority, target, matched };
    let mut location = Vec::new();
    redirect.location(&asked, &mut location).ok_or(Reason::BadRequest)?;
    Ok(location)
}
