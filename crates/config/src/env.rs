//! `${VAR}`, `${VAR:-default}`, `${VAR:?message}` and `$$` in a scalar that is already parsed.
//!
//! Called while the tree is built, so that a value can never become YAML. A `$` before anything else
//! is itself.

/// Why a scalar, a flag or a word is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bad {
    pub(crate) found: String,
    pub(crate) expected: String,
    pub(crate) hint: Option<String>,
}

impl Bad {
    pub(crate) fn new(found: impl Into<String>, expected: impl Into<String>) -> Bad {
        Bad { found: found.into(), expected: expected.into(), hint: None }
    }

    pub(crate) fn hint(self, hint: impl Into<String>) -> Bad {
        Bad { hint: Some(hint.into()), ..self }
    }
}

/// What all scalars together may grow to.
pub(crate) const MAX_EXPANSION: usize = 16 * 1024 * 1024;

/// Looks a variable up; a value that is not UTF-8 counts as not set.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The filled-in text, or None where there is nothing to fill in.
pub(crate) fn expand(
    text: &str,
    lookup: Lookup<'_>,
    left: &mut usize,
) -> Result<Option<String>, Bad> {
    if !text.contains("${") && !text.contains("$$") {
        return Ok(None);
    }
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("$$") {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let Some((inside, after)) = after.split_once('}') else {
                return Err(Bad::new("found `${` without its `}`", "`${VAR}`")
                    .hint("`$$` stands for one `$`"));
            };
            out.push_str(&value(inside, lookup)?);
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
        if out.len() > *left {
            return Err(Bad::new("the environment makes the file too big", "at most 16 MiB"));
        }
    }
    out.push_str(rest);
    *left = left.saturating_sub(out.len());
    Ok(Some(out))
}

/// `NAME` of a `$NAME`, as a shell has it: in capitals, so that `$1` and hashes are none.
pub(crate) fn bare_variable(text: &str) -> Option<&str> {
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('$') {
        let fits = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        let end = after.find(|c| !fits(c)).unwrap_or(after.len());
        let (name, behind) = after.split_at(end);
        let whole = !behind.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '$');
        if name.len() >= 2 && name.starts_with(|c: char| c.is_ascii_uppercase()) && whole {
            return Some(name);
        }
        rest = after.strip_prefix('$').unwrap_or(after);
    }
    None
}

/// Words in the name of a variable whose value nobody should see.
const SECRET: [&str; 8] =
    ["SECRET", "TOKEN", "PASS", "PWD", "CREDENTIAL", "PRIVATE", "API_KEY", "APIKEY"];

/// Whether a text with `${VAR}` in it names a variable that holds a secret.
pub(crate) fn names_a_secret(written: &str) -> bool {
    let mut names = written.split("${").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        rest[..end.unwrap_or(rest.len())].to_ascii_uppercase()
    });
    let secret = |name: &String| {
        SECRET.iter().any(|word| name.contains(word)) || name.ends_with("_KEY") || name == "KEY"
    };
    names.any(|name| secret(&name))
}

fn value(inside: &str, lookup: Lookup<'_>) -> Result<String, Bad> {
    let (name, rest) = match inside.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')) {
        Some(at) => inside.split_at(at),
        None => (inside, ""),
    };
    let forms = "`${VAR}`, `${VAR:-default}` or `${VAR:?message}`";
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || inside.contains("${") {
        return Err(Bad::new(format!("`${{{inside}}}` names no variable"), forms));
    }
    let set = lookup(name);
    let filled = set.clone().filter(|v| !v.is_empty());
    if rest.is_empty() {
        set.ok_or_else(|| {
            Bad::new(format!("the environment variable {name} is not set"), "a value in it")
                .hint(format!("`${{{name}:-default}}` gives a default"))
        })
    } else if let Some(default) = rest.strip_prefix(":-") {
        Ok(filled.unwrap_or_else(|| default.to_owned()))
    } else if let Some(message) = rest.strip_prefix(":?") {
        let why = if message.is_empty() { "it is required" } else { message };
        filled.ok_or_else(|| {
            Bad::new(format!("the environment variable {name} is empty: {why}"), "a value in it")
        })
    } else {
        Err(Bad::new(format!("found `${{{inside}}}`"), forms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<Option<String>, String> {
        let lookup = |name: &str| match name {
            "PORT" => Some("8080".to_owned()),
            "EMPTY" => Some(String::new()),
            "BIG" => Some("x".repeat(1000)),
            _ => None,
        };
        expand(text, &lookup, &mut 4000).map_err(|b| b.found)
    }

    #[test]
    fn forms() {
        for (text, filled) in [
            ("127.0.0.1:${PORT}", "127.0.0.1:8080"),
            ("${NONE:-7}", "7"),
            ("${EMPTY:-7}", "7"),
            ("${EMPTY}", ""),
            ("${PORT:?say it}", "8080"),
            ("a$$b", "a$b"),
            ("$${PORT}", "${PORT}"),
            ("$1 ${PORT}$", "$1 8080$"),
            ("${NONE:-a:-b}", "a:-b"),
        ] {
            assert_eq!(run(text), Ok(Some(filled.to_owned())), "{text}");
        }
        assert_eq!(run("plain $x"), Ok(None));
    }

    #[test]
    fn what_a_shell_would_fill_in() {
        for (text, name) in [
            ("$HOME/app", Some("HOME")),
            ("127.0.0.1:$PORT", Some("PORT")),
            ("$$HOME", None),
            ("$1 $a $2y$05$ABC", Some("ABC")),
            ("$argon2id$v=19$ABcd", None),
            ("[A-Z]+$", None),
        ] {
            assert_eq!(bare_variable(text), name, "{text}");
        }
        assert!(names_a_secret("x${DB_PASSWORD:-y}") && names_a_secret("${A}${SIGNING_KEY}"));
        assert!(!names_a_secret("${PORT} TOKEN") && !names_a_secret("${KEYS_DIR}"));
    }

    #[test]
    fn mistakes() {
        for (text, why) in [
            ("${NONE}", "the environment variable NONE is not set"),
            ("${NONE:?set the port}", "the environment variable NONE is empty: set the port"),
            ("${PORT", "found `${` without its `}`"),
            ("${}", "`${}` names no variable"),
            ("${1A}", "`${1A}` names no variable"),
            ("${PORT-x}", "found `${PORT-x}`"),
            ("${NONE:-${PORT}}", "`${NONE:-${PORT}` names no variable"),
        ] {
            assert_eq!(run(text), Err(why.to_owned()), "{text}");
        }
        assert!(run(&"${BIG}".repeat(10)).is_err());
    }
}
