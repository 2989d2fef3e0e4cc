//! Files, directories, and their permissions.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::model::AccessLogPath;
use crate::read::{Cx, Read};
use crate::schema::{PRINTABLE, Shapes, any_of, described, scalar, text, words};
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
        scalar(&format!("{PRINTABLE}(?<!/)"))
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
        Some(Directory(PathBuf::from(&**text)))
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let path = text(r"/[^\u0000-\u001f\u007f-\u009f]*");
        described("an absolute path of a directory, like `/var/tmp`", path)
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
            cx.mismatch(node, expected);
        }
        mode.map(Mode)
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let mut mode = text("0?[0-7]{3}");
        // Without quotes some YAML readers make a number of it.
        mode["type"] = json!(["string", "integer"]);
        mode["minimum"] = 0.into();
        mode["maximum"] = 777.into();
        described("permission bits in octal, like \"0660\"", mode)
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
            path if path.contains('/') && !path.ends_with('/') && !control => {
                Some(LogTarget(AccessLogPath::File(PathBuf::from(path))))
            }
            _ => {
                cx.mismatch(node, expected);
                None
            }
        }
    }

    fn shape(_: &mut Shapes<'_>) -> Value {
        let path = text(r"[^\u0000-\u001f\u007f-\u009f]*/[^\u0000-\u001f\u007f-\u009f]*(?<!/)");
        any_of([words(&["stdout", "stderr"]), path])
    }
}
