//! What to try where a text is no YAML: the mistakes everybody makes.

use granit_parser::ErrorKind;

/// `above` is the nearest line before it that says something.
pub(super) fn advice(kind: &ErrorKind, line: &str, above: &str) -> Option<&'static str> {
    if line.trim_start_matches(' ').starts_with('\t') {
        return Some("indent with spaces, not with tabs");
    }
    if line.contains(": *") || line.contains("- *") {
        return Some("a value that begins with `*` needs quotes");
    }
    if is_other_language(line) {
        return Some(
            "isobar reads YAML: `key: value`, and spaces where nginx and Caddy have braces",
        );
    }
    if line.contains("${")
        && line.contains(['{', '['])
        && line.trim_start() != line.trim_start_matches("${")
    {
        return Some("a value with `${VAR}` needs quotes inside `{ }` and `[ ]`: \"${VAR}\"");
    }
    if line.contains("[::") {
        return Some("an IPv6 address needs quotes: \"[::]:8080\"");
    }
    match kind {
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::InvalidIndentation => Some(ALIGN),
        ErrorKind::MappingValueNotAllowed => Some(second_value(line, above)),
        ErrorKind::SimpleKeyExpected => {
            Some("an item of a list begins with `- `; after a key stands a `:`")
        }
        ErrorKind::ExpectedFlowMappingSeparator
        | ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::MismatchedFlowCollectionEnd { .. }
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::InvalidFlowScalarIndent => {
            Some("a `{` or `[` is not closed by its own kind, or a comma is missing")
        }
        ErrorKind::UnknownQuotedScalarEscape
        | ErrorKind::InvalidQuotedScalarHexEscape
        | ErrorKind::InvalidUnicodeEscape => {
            Some("in double quotes `\\` begins an escape: use single quotes, like '/a\\.b'")
        }
        _ => None,
    }
}

/// nginx's `listen 80;` and `server {`, Caddy's `example.com {`, TOML's `key = "value"`.
fn is_other_language(line: &str) -> bool {
    let line = line.trim_end();
    let plain = !line.contains(": ") && !line.ends_with(':');
    let toml = line.split_once(" = ").is_some_and(|(key, _)| !key.contains([':', '\'', '"']));
    plain && (line.ends_with(" {") || line.ends_with(';') || toml)
}

const ALIGN: &str = "align this line, by spaces, with those above that it belongs to";

/// A colon where there is a value already.
fn second_value(line: &str, above: &str) -> &'static str {
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    if line.matches(": ").count() > 1 {
        "a map on one line needs braces: `{ key: value }`"
    } else if !above.contains(": ") && !above.trim_end().ends_with(':') {
        "the line above is no key: a space is missing after its `:`, or the `:`"
    } else if indent(line) > indent(above) {
        "the line above has its value already: align this one with it"
    } else {
        ALIGN
    }
}
