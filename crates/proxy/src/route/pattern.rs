//! An expression that a whole path must match, and the plain text that all its paths begin with.
//!
//! The table files an expression under that beginning, so that a request meets only the expressions
//! that can match it. Matching takes time linear in the path; what an expression may cost is
//! bounded where it is read.

use regex::bytes::Regex;
use regex_syntax::hir::literal::Extractor;

/// Compiled so that it matches only the whole of what it is given.
#[derive(Clone, Debug)]
pub struct PathPattern {
    /// As it was written.
    text: String,
    regex: Regex,
    beginning: String,
}

impl PathPattern {
    /// `regex` is what `text` was compiled to, anchored at both ends.
    pub fn new(text: &str, regex: Regex) -> Self {
        Self { text: text.to_owned(), beginning: beginning(&regex), regex }
    }

    pub(super) fn is_match(&self, path: &[u8]) -> bool {
        self.regex.is_match(path)
    }

    /// Whole elements: `/users/` of `/users/[0-9]+`, `/` of `/a|/b`.
    pub(super) fn beginning(&self) -> &str {
        &self.beginning
    }

    pub fn text(&self) -> &str {
        &self.text
    }
}

fn beginning(regex: &Regex) -> String {
    let mut parser = regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build();
    let literal = parser.parse(regex.as_str()).ok().and_then(|hir| {
        let prefixes = Extractor::new().extract(&hir);
        prefixes.longest_common_prefix().map(<[u8]>::to_vec)
    });
    let literal = literal.unwrap_or_default();
    // What stands behind the last slash may be only the half of an element.
    let end = memchr::memrchr(b'/', &literal).map_or(0, |slash| slash + 1);
    String::from_utf8_lossy(&literal[..end]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_begins_with_whole_elements() {
        for (text, expected) in [
            ("/users/[0-9]+", "/users/"),
            ("/users/x[0-9]*/y", "/users/"),
            (r"/a\.b/c/.*", "/a.b/c/"),
            ("/a/b|/a/c", "/a/"),
            ("/a/b|/c/d", "/"),
            ("/a/(b|c)/d", "/a/"),
            ("/(?i)abc/d", "/"),
            ("(?i)/abc/d", "/"),
            ("/a/b?", "/a/"),
            ("/a/?", "/"),
            ("/ab*/c", "/"),
            ("/(?:a/)?b", "/"),
            ("/(?:a/)+b", "/a/"),
            (".*", ""),
            ("/a/[bc]/d", "/a/"),
            ("/a/b", "/a/"),
        ] {
            let regex = regex::bytes::RegexBuilder::new(&format!("^(?:{text})$"))
                .unicode(false)
                .build()
                .unwrap();
            assert_eq!(PathPattern::new(text, regex).beginning(), expected, "{text}");
        }
    }
}
