//! One file as far as its names go: what it imports, what it passes on, and which paths it writes
//! out. A scanner for well-formatted Rust and no more; it knows no file but the one it reads.

use std::collections::BTreeSet;

/// What a file says of names.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub(crate) uses: Vec<Use>,
    /// Paths of two words or more beside the `use` lines.
    pub(crate) paths: Vec<Vec<String>>,
    /// Every word beside the `use` lines.
    pub(crate) words: BTreeSet<String>,
}

/// One name that a `use` brings in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Use {
    /// `pub use`: for others.
    pub(crate) passed_on: bool,
    pub(crate) path: Vec<String>,
    /// Behind `as`.
    pub(crate) alias: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    /// `::`
    Then,
    Mark(char),
}

impl Source {
    pub(crate) fn read(text: &str) -> Source {
        let tokens = without_tests(tokens(text));
        let mut source = Source::default();
        let mut at = 0;
        while at < tokens.len() {
            if is_import(&tokens, at) {
                let passed_on = is_passed_on(&tokens[..at]);
                let mut tree = Tree { tokens: &tokens, at: at + 1, passed_on, found: Vec::new() };
                tree.branch(&[]);
                at = tree.at;
                source.uses.append(&mut tree.found);
            } else if let Token::Word(first) = &tokens[at] {
                let mut path = vec![first.clone()];
                let begins = at == 0 || tokens[at - 1] != Token::Then;
                at += 1;
                while let [Token::Then, Token::Word(next), ..] = &tokens[at..] {
                    path.push(next.clone());
                    at += 2;
                }
                source.words.extend(path.iter().cloned());
                if begins && path.len() > 1 {
                    source.paths.push(path);
                }
            } else {
                at += 1;
            }
        }
        source
    }
}

/// `use` also stands in `impl Trait + use<'a>`.
fn is_import(tokens: &[Token], at: usize) -> bool {
    let keyword = matches!(&tokens[at], Token::Word(word) if word == "use");
    keyword && tokens.get(at + 1) != Some(&Token::Mark('<'))
}

/// `pub`, or `pub(…)`, stands before it.
fn is_passed_on(before: &[Token]) -> bool {
    let before = match before {
        [before @ .., Token::Mark(')')] => {
            let open = before.iter().rposition(|token| *token == Token::Mark('('));
            &before[..open.unwrap_or(0)]
        }
        before => before,
    };
    matches!(before.last(), Some(Token::Word(word)) if word == "pub")
}

/// A `use`, read from behind its keyword to its end.
struct Tree<'t> {
    tokens: &'t [Token],
    at: usize,
    passed_on: bool,
    found: Vec<Use>,
}

impl Tree<'_> {
    /// `a::b`, `a as b`, `a::*` or `a::{b, c}`, below `before`.
    fn branch(&mut self, before: &[String]) {
        let mut path = before.to_vec();
        let mut alias = None;
        while let Some(token) = self.tokens.get(self.at) {
            match token {
                Token::Word(word) if word == "as" => {
                    if let Some(Token::Word(name)) = self.tokens.get(self.at + 1) {
                        alias = Some(name.clone());
                        self.at += 1;
                    }
                }
                Token::Word(word) => path.push(word.clone()),
                Token::Mark('*') => path.push("*".to_owned()),
                Token::Mark('{') => {
                    self.at += 1;
                    return self.branches(&path);
                }
                Token::Mark(',' | '}' | ';') => break,
                Token::Then | Token::Mark(_) => {}
            }
            self.at += 1;
        }
        // `a::{self, b}`: that is `a`.
        if path.len() > 1 && path.last().is_some_and(|word| word == "self") {
            path.pop();
        }
        if !path.is_empty() {
            self.found.push(Use { passed_on: self.passed_on, path, alias });
        }
    }

    /// To the bracket that closes them.
    fn branches(&mut self, before: &[String]) {
        while let Some(token) = self.tokens.get(self.at) {
            match token {
                Token::Mark('}') => {
                    self.at += 1;
                    return;
                }
                Token::Mark(',') => self.at += 1,
                Token::Mark(';') => return,
                _ => self.branch(before),
            }
        }
    }
}

/// Cuts every `#[cfg(test)] mod name { … }` out; `#[cfg(all(test, …))]` says the same.
fn without_tests(mut tokens: Vec<Token>) -> Vec<Token> {
    let mut from = 0;
    while let Some(at) = (from..tokens.len()).find(|&at| begins_tests(&tokens[at..])) {
        let mut depth = 0;
        let end = tokens[at..].iter().position(|token| {
            match token {
                Token::Mark('{') => depth += 1,
                Token::Mark('}') => depth -= 1,
                _ => return false,
            }
            depth == 0
        });
        tokens.drain(at..end.map_or(tokens.len(), |end| at + end + 1));
        from = at;
    }
    tokens
}

fn begins_tests(tokens: &[Token]) -> bool {
    let (mark, word) = (Token::Mark, |word: &str| Token::Word(word.to_owned()));
    let cfg = [mark('#'), mark('['), word("cfg"), mark('(')];
    let Some(condition) = tokens.strip_prefix(&cfg) else { return false };
    let all = [word("all"), mark('('), word("test")];
    if !(condition.starts_with(&[word("test")]) || condition.starts_with(&all)) {
        return false;
    }
    let behind = condition.iter().skip_while(|token| **token != mark(']')).skip(1);
    let behind: Vec<_> = behind.take(3).collect();
    matches!(behind[..], [module, _, brace] if *module == word("mod") && *brace == mark('{'))
}

/// Comments and the insides of literals are left out.
fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some(after) = rest.strip_prefix("/*") {
            rest = after.split_once("*/").map_or("", |(_, after)| after);
        } else if let Some(after) = raw_string(rest) {
            rest = after;
        } else if let Some(after) = rest.strip_prefix('"') {
            rest = string(after);
        } else if let Some(after) = rest.strip_prefix('\'') {
            rest = character(after);
        } else if let Some(after) = rest.strip_prefix("::") {
            tokens.push(Token::Then);
            rest = after;
        } else if is_of_a_word(first) {
            let end = rest.find(|c| !is_of_a_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            // The letter before a string is part of the literal.
            if !(word == "b" && after.starts_with(['"', '\''])) {
                tokens.push(Token::Word(word.to_owned()));
            }
            rest = after;
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Mark(first));
            }
            rest = &rest[first.len_utf8()..];
        }
    }
    tokens
}

fn is_of_a_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What follows `r"…"`, `r#"…"#` or `br"…"`.
fn raw_string(text: &str) -> Option<&str> {
    let text = text.strip_prefix("br").or_else(|| text.strip_prefix('r'))?;
    let inside = text.trim_start_matches('#');
    let close = format!("\"{}", "#".repeat(text.len() - inside.len()));
    let (_, after) = inside.strip_prefix('"')?.split_once(&close)?;
    Some(after)
}

/// What follows a string that has begun.
fn string(inside: &str) -> &str {
    let mut chars = inside.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '"' => return &inside[at + 1..],
            _ => {}
        }
    }
    ""
}

/// What follows `'` and a character; a lifetime's name is left to be a word.
fn character(inside: &str) -> &str {
    if let Some(escape) = inside.strip_prefix('\\') {
        let skipped = escape.chars().next().map_or(0, char::len_utf8);
        return escape[skipped..].split_once('\'').map_or("", |(_, after)| after);
    }
    let skipped = inside.chars().next().map_or(0, char::len_utf8);
    inside[skipped..].strip_prefix('\'').unwrap_or(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uses(text: &str) -> Vec<String> {
        let shown = |found: &Use| {
            let alias = found.alias.as_ref().map_or(String::new(), |alias| format!(" as {alias}"));
            format!("{}{}{alias}", if found.passed_on { "pub " } else { "" }, found.path.join("::"))
        };
        Source::read(text).uses.iter().map(shown).collect()
    }

    fn paths(text: &str) -> Vec<String> {
        Source::read(text).paths.iter().map(|path| path.join("::")).collect()
    }

    #[test]
    fn a_nested_tree_is_a_path_for_each_leaf() {
        assert_eq!(
            uses("use a::{self, b::{C, D as E}, f::*,};\npub(crate) use g::H;\npub use super::i;"),
            ["a", "a::b::C", "a::b::D as E", "a::f::*", "pub g::H", "pub super::i"]
        );
        assert_eq!(uses("use {a::B, c};"), ["a::B", "c"]);
        assert_eq!(uses("fn f(x: &u8) -> impl Iterator + use<'_> {}"), [""; 0]);
    }

    #[test]
    fn paths_are_found_where_they_begin() {
        assert_eq!(
            paths("let x: crate::a::B = c::d(<E as f::G>::h(i), self::j!());"),
            ["crate::a::B", "c::d", "f::G", "self::j"]
        );
    }

    #[test]
    fn comments_and_literals_say_nothing() {
        let text = r####"
            // use a::B;
            /* c::d */
            let url = "http://x; use e::F; \" g::h";
            let raw = r#"use "i::j";"#;
            let (quote, escaped, bytes) = ('"', '\'', b"k::l");
            fn m<'n>(o: &'n p::Q) {}
        "####;
        assert_eq!(uses(text), [""; 0]);
        assert_eq!(paths(text), ["p::Q"]);
    }

    #[test]
    fn a_module_of_tests_is_cut_out() {
        let text = "use a::B;\n#[cfg(test)]\nmod tests { use c::D; fn e() { f::g(); } }\nfn h() { i::j() }";
        assert_eq!(uses(text), ["a::B"]);
        assert_eq!(paths(text), ["i::j"]);
        let text = "#[cfg(all(test, not(loom)))]\nmod tests { use c::D; }\n#[cfg(test)]\nuse e::F;";
        assert_eq!(uses(text), ["e::F"]);
    }
}
