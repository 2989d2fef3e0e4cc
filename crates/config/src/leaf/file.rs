//! Files, directories, and their permissions.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::env::Bad;
use crate::model::AccessLogPath;
use crate::problem::Draft;
use crate::read::{Cx, Read};
use crate::schema::{PRINTABLE, Shapes, any_of, called, scalar, text, words};
use crate::tree::Node;

/// The path of a file; relative to the file that says it.
#[derive(Debug, Clone)]
pub(crate) struct FilePath(pub(crate) PathBuf);

impl Read for FilePath {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "the path of a file";
        let text = &cx.scalar(node, expected)?.text;
        if text.is_empty() || text.ends_with('/') || text.chars().any(char::is_control) {
            cx.mismatch(node, expected);
            return None;
        }
        Some(FilePath(PathBuf::from(&**text)))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        called("the path of a file", scalar(&format!("{PRINTABLE}(?<!/)")))
    }
}

/// A directory, by its absolute path: where the process starts means nothing.
#[derive(Debug, Clone)]
pub(crate) struct Directory(pub(crate) PathBuf);

impl Read for Directory {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "an absolute path of a directory, like `/var/tmp`";
        let text = &cx.scalar(node, expected)?.text;
        if !text.starts_with('/') || text.chars().any(char::is_control) {
            cx.mismatch(node, expected);
            return None;
        }
        let path = PathBuf::from(&**text);
        if !path.is_dir() {
            let message = format!("there is no folder {}", node.found());
            let hint = "what would lie there is streamed instead".to_owned();
            cx.report(Draft::warning(node.span, message).hint(hint));
        }
        Some(Directory(path))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let path = text(r"/[^\u0000-\u001f\u007f-\u009f]*");
        called("an absolute path of a directory, like `/var/tmp`", path)
    }
}

/// The permission bits of a socket file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mode(pub(crate) u32);

impl Read for Mode {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "permission bits in octal, like \"0660\"";
        let text = &cx.scalar(node, expected)?.text;
        let octal = matches!(text.len(), 3 | 4) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        let mode = u32::from_str_radix(text, 8).ok().filter(|m| octal && *m <= 0o777);
        if mode.is_none() {
            let protocol = matches!(&**text, "http" | "tcp" | "udp");
            let hint = protocol.then(|| format!("did you mean `protocol: {text}`?"));
            cx.wrong(node, Bad { hint, ..Bad::new("", expected) });
        }
        mode.map(Mode)
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let mut mode = text("0?[0-7]{3}");
        // Without quotes some YAML readers make a number of it.
        mode["type"] = json!(["string", "integer"]);
        mode["minimum"] = 0.into();
        mode["maximum"] = 777.into();
        called("permission bits in octal, like \"0660\"", mode)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct LogTarget(pub(crate) AccessLogPath);

impl Read for LogTarget {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        let expected = "stdout, stderr, or a path with a `/`";
        let text = &cx.scalar(node, expected)?.text;
        let control = text.chars().any(char::is_control);
        match &**text {
            "stdout" => Some(LogTarget(AccessLogPath::Stdout)),
            "stderr" => Some(LogTarget(AccessLogPath::Stderr)),
            "-" => {
                cx.wrong(node, Bad::new("", expected).hint("did you mean `stdout`?"));
                None
            }
            path if path.contains('/')
                && !path.ends_with('/')
                && !path.starts_with("syslog:")
                && !control =>
            {
                Some(LogTarget(AccessLogPath::File(PathBuf::from(path))))
            }
            "journald" => {
                cx.not_built(node.span, "`journald`");
                None
            }
            remote if remote.starts_with("syslog:") => {
                cx.not_built(node.span, "`syslog:`");
                None
            }
            _ => {
                cx.mismatch(node, expected);
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let path = text(r"[^\u0000-\u001f\u007f-\u009f]*/[^\u0000-\u001f\u007f-\u009f]*(?<!/)");
        any_of([words(&["stdout", "stderr"]), called("the path of a file", path)])
    }
}
