//! The part of a line that is shown under a problem.
//!
//! A line may be a megabyte long, hold escape codes, or a password: it is cut around the caret,
//! cleaned, and what follows a word like `token:`, the hash of a password, and what stands where only
//! secrets are kept is masked, character by character, so that the caret still stands right.

use serde::{Serialize, Serializer};

const SHOWN: usize = 120;
const BEFORE: usize = 60;

const SECRET: [&str; 9] = [
    "token",
    "password",
    "passwd",
    "passphrase",
    "secret",
    "credential",
    "authorization",
    "api_key",
    "api-key",
];

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Excerpt {
    pub(crate) line: String,
    pub(crate) indent: usize,
    pub(crate) width: usize,
}

impl Serialize for Excerpt {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.line)
    }
}

impl Excerpt {
    /// Columns count characters from 1; `concealed` are those of what is not shown, and of its end.
    pub(crate) fn new(
        line: &str,
        column: u32,
        width: u32,
        concealed: impl IntoIterator<Item = (u32, u32)>,
    ) -> Excerpt {
        let at = column.saturating_sub(1) as usize;
        let from = at.saturating_sub(BEFORE);
        let from = if at < SHOWN - 20 { 0 } else { from };
        // Masking looks at the whole line up to the cut: the word may stand before the window.
        let upto: String = line.chars().take(from + SHOWN).collect();
        let cut = line.chars().nth(from + SHOWN).is_some();
        let mut masked = mask(&upto);
        for (start, end) in concealed {
            let place = |column: u32| (column.saturating_sub(1) as usize).min(masked.len());
            let (start, end) = (place(start), place(end));
            masked[start..end].fill('*');
        }
        let mut text: String = masked.into_iter().skip(from).map(printable).collect();
        let mut indent = at - from.min(at);
        if from > 0 {
            text.insert(0, '…');
            indent += 1;
        }
        if cut {
            text.push('…');
        }
        let room = text.chars().count().saturating_sub(indent).max(1);
        Excerpt { line: text.trim_end().to_owned(), indent, width: (width as usize).clamp(1, room) }
    }
}

/// For every text that a file or the environment had a hand in.
pub(crate) fn clean(text: &str) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    mask_login(&mut chars);
    mask_hashes(&mut chars);
    chars.into_iter().map(printable).collect()
}

fn printable(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        // Marks that turn the direction of the text make a line lie.
        '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    }
}

/// Stars instead of the value of anything named like a secret, and of `user:password@` in an address.
fn mask(line: &str) -> Vec<char> {
    let mut chars: Vec<char> = line.chars().collect();
    let lower: Vec<char> = chars.iter().map(char::to_ascii_lowercase).collect();
    for word in SECRET {
        let word: Vec<char> = word.chars().collect();
        let mut at = 0;
        while let Some(found) = find(&lower[at..], &word) {
            let end = at + found + word.len();
            at = end;
            let Some(colon) = lower[end..].iter().position(|c| *c == ':') else { continue };
            let between = &lower[end..end + colon];
            if between.iter().all(|c| c.is_alphanumeric() || "_-\"' ".contains(*c)) {
                stars(&mut chars, end + colon + 1);
            }
        }
    }
    mask_login(&mut chars);
    mask_hashes(&mut chars);
    chars
}

/// What stands between `://` and `@`.
fn mask_login(chars: &mut [char]) {
    let Some(scheme) = find(chars, &[':', '/', '/']) else { return };
    let rest = &mut chars[scheme + 3..];
    if let Some(at) = rest.iter().position(|c| *c == '@') {
        rest[..at].fill('*');
    }
}

/// What crypt(3) and `htpasswd` write: `$2y$…`, `$argon2id$…`, `$apr1$…`.
fn mask_hashes(chars: &mut [char]) {
    let mut at = 0;
    while let Some(dollar) = chars[at..].iter().position(|c| *c == '$') {
        at += dollar + 1;
        let id = chars[at..].iter().take_while(|c| c.is_ascii_alphanumeric()).count();
        if !(1..=10).contains(&id) || chars.get(at + id) != Some(&'$') {
            continue;
        }
        let ends = |c: &char| c.is_whitespace() || "\"'`}]".contains(*c);
        let end = chars[at..].iter().position(ends).map_or(chars.len(), |end| at + end);
        chars[at - 1..end].fill('*');
        at = end;
    }
}

/// From a value's start to its end: the quote that closes it, a comma, a brace, or the line's end.
fn stars(chars: &mut [char], from: usize) {
    let mut quote = None;
    let mut started = false;
    for c in &mut chars[from..] {
        match *c {
            ' ' if !started => continue,
            // `{ file: … }` names where a secret is: that may be shown.
            '{' if !started => return,
            '"' | '\'' if !started => {
                quote = Some(*c);
                started = true;
                continue;
            }
            c if Some(c) == quote => return,
            ',' | '}' | ']' if quote.is_none() => return,
            _ => {}
        }
        started = true;
        *c = '*';
    }
}

fn find(text: &[char], word: &[char]) -> Option<usize> {
    text.windows(word.len()).position(|w| w == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_masked() {
        for (line, shown) in [
            ("  token: abc", "  token: ***"),
            ("admin: { token: \"a, b\", bind: x }", "admin: { token: \"****\", bind: x }"),
            ("db_password : x y", "db_password : ***"),
            ("token: { file: /run/secrets/x }", "token: { file: /run/secrets/x }"),
            ("- http://me:pw@127.0.0.1/", "- http://*****@127.0.0.1/"),
            ("tokens and words", "tokens and words"),
            ("ann: $2y$05$abc, x", "ann: *********** x"),
            ("{ ann: \"$argon2id$v=19$m=8,t=1\" }", "{ ann: \"**********************\" }"),
            ("${A}: ${B} $1 a$", "${A}: ${B} $1 a$"),
        ] {
            assert_eq!(Excerpt::new(line, 1, 1, []).line, shown);
        }
        let concealed = |from, to| Excerpt::new("users: { a b: c }", 8, 1, [(from, to)]).line;
        assert_eq!(concealed(10, 13), "users: { ***: c }");
        assert_eq!(concealed(10, u32::MAX), "users: { ********");
    }

    #[test]
    fn long_lines_are_cut_around_the_caret() {
        let line = format!("{}HERE{}", "x".repeat(500), "y".repeat(500));
        let e = Excerpt::new(&line, 501, 4, []);
        assert!(e.line.chars().count() <= SHOWN + 2, "{}", e.line.len());
        assert_eq!(e.line.chars().skip(e.indent).take(e.width).collect::<String>(), "HERE");
    }

    #[test]
    fn control_characters_never_reach_a_terminal() {
        assert_eq!(clean("a\u{1b}[31mb\u{202e}c"), "a\u{fffd}[31mb\u{fffd}c");
    }
}
