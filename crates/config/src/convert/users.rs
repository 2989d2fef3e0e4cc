//! The users of `basic_auth`: read from where the file says they are, and never shown.
//!
//! What is wrong with a line is told at the place that names the secret, with the line's number.

use std::collections::HashSet;

use crate::model::User;
use crate::problem::Draft;
use crate::raw;
use crate::read::{Concealed, Cx, Spanned};
use crate::source::Span;

const FORM: &str = "lines of `name:hash`, as `htpasswd -B` writes them";

/// None = reported.
pub(super) fn users(secret: Spanned<Concealed<raw::Secret>>, cx: &mut Cx<'_>) -> Option<Vec<User>> {
    let (text, span) = super::secret::text(secret, FORM, cx)?;
    parse(&text, span, cx)
}

fn parse(text: &str, span: Span, cx: &mut Cx<'_>) -> Option<Vec<User>> {
    let mut users: Vec<User> = Vec::new();
    let mut names = HashSet::new();
    let mut wrong_lines = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (name, hash) = line.split_once(':').unwrap_or((line, ""));
        let wrong = if name.is_empty() || hash.is_empty() {
            Some("not `name:hash`")
        } else if !is_hash(hash) {
            Some("a hash that is neither bcrypt nor argon2, or too costly to compute")
        } else if !names.insert(name) {
            Some("a name that was there before")
        } else {
            None
        };
        match wrong {
            None => users.push(User { name: name.to_owned(), hash: hash.to_owned() }),
            // Of a file that is something else a few lines tell enough.
            Some(_) if wrong_lines == 3 => {
                cx.report(Draft::error(span, "more lines of the users are wrong").expected(FORM));
                return None;
            }
            Some(wrong) => {
                wrong_lines += 1;
                let message = format!("line {number} of the users: {wrong}");
                cx.report(Draft::error(span, message).expected(FORM));
            }
        }
    }
    if users.is_empty() && wrong_lines == 0 {
        cx.report(Draft::error(span, "found no user").expected(FORM));
    }
    (wrong_lines == 0 && !users.is_empty()).then_some(users)
}

/// bcrypt, or argon2 as a PHC string, of a cost that a server can bear.
fn is_hash(hash: &str) -> bool {
    is_bcrypt(hash) || is_argon2(hash).is_some()
}

fn is_bcrypt(hash: &str) -> bool {
    let parts: Vec<&str> = hash.split('$').collect();
    let ["", "2a" | "2b" | "2y", cost, rest] = parts[..] else { return false };
    let cost = cost.parse().ok().filter(|_| cost.len() == 2);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'/';
    cost.is_some_and(|cost: u8| (4..=15).contains(&cost))
        && rest.len() == 53
        && rest.bytes().all(fits)
}

fn is_argon2(hash: &str) -> Option<()> {
    let parts: Vec<&str> = hash.split('$').collect();
    let ["", "argon2id" | "argon2i" | "argon2d", "v=19", costs, salt, sum] = parts[..] else {
        return None;
    };
    let mut costs = costs.split(',');
    let mut cost = |key: &str, most: u32| {
        let cost = costs.next()?.strip_prefix(key)?;
        let digits = cost.bytes().all(|b| b.is_ascii_digit());
        cost.parse().ok().filter(|cost| digits && (1..=most).contains(cost))
    };
    let (kib, _, lanes) = (cost("m=", 1 << 18)?, cost("t=", 20)?, cost("p=", 16)?);
    let base64 = |text: &str, least: usize| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'+' || b == b'/';
        (least..=86).contains(&text.len()) && text.len() % 4 != 1 && text.bytes().all(fits)
    };
    let whole = costs.next().is_none() && kib >= 8 * lanes && base64(salt, 11) && base64(sum, 14);
    whole.then_some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BCRYPT: &str = "$2b$04$dmMkFdCgXjPBhFqX5a3qbuhaCKFWgshYTegaOup2PuMswv.gefC2W";
    const ARGON2: &str = "$argon2id$v=19$m=8,t=1,p=1$MDEyMzQ1Njc4OWFiY2RlZg$39tbUSD70LTTCIyCWo9t5sDidhNPptw1P94ISzTyALc";

    #[test]
    fn hashes() {
        assert!(is_hash(BCRYPT) && is_hash(&BCRYPT.replace("2b", "2y")) && is_hash(ARGON2));
        for hash in [
            "secret",
            "$apr1$lZL6V/ci$eIMz/iKDkbtys/uU7LEK00",
            "{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=",
            &BCRYPT.replace("$04$", "$31$"),
            &BCRYPT.replace("$04$", "$4$"),
            &BCRYPT[..59],
            &ARGON2.replace("m=8", "m=9999999"),
            &ARGON2.replace("t=1", "t=99"),
            &ARGON2.replace("m=8", "m=7"),
            &ARGON2.replace("v=19", "v=16"),
            &ARGON2.replace("p=1", "p=1,k=2"),
            "$argon2id$v=19$m=8,t=1,p=1$$",
        ] {
            assert!(!is_hash(hash), "{hash}");
        }
    }
}
