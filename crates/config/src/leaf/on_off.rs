//! `on` or `off`, as a value of its own.

use serde_json::{Value, json};

use crate::model::OnOff;
use crate::read::{Cx, Read};
use crate::schema::{Shapes, any_of, called, text};
use crate::tree::Node;

impl Read for OnOff {
    fn read(node: &Node, cx: &mut Cx<'_>) -> Option<Self> {
        match &*cx.scalar(node, "`on` or `off`")?.text {
            "on" | "true" => Some(OnOff::On),
            "off" | "false" => Some(OnOff::Off),
            _ => {
                cx.mismatch(node, "`on` or `off`");
                None
            }
        }
    }

    fn shape(shapes: &mut Shapes<'_>) -> Value {
        let mut on = text("true|on");
        on["type"] = json!(["boolean", "string"]);
        on["not"] = json!({ "const": false });
        any_of([called("`on`", on), shapes.off()])
    }
}
