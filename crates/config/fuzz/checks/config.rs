//! Any text as a configuration: no panic, an end; a refusal has its place and shows no control
//! character, and what is taken is of the shape that the schema tells.

use std::sync::LazyLock;

use isobar_config::{Colour, load_str_with};
use jsonschema::Validator;

use crate::kit;

static VALIDATOR: LazyLock<Validator> = LazyLock::new(kit::validator);

pub fn check(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    // Other files are another question.
    if text.contains("include") {
        return;
    }
    let registry = kit::registry();
    let variable = |name: &str| (name.len() < 4).then(|| "1".to_owned());
    match load_str_with(text, &registry, &variable) {
        Ok(loaded) => {
            let warnings = loaded.warnings.render(Colour::Never);
            assert!(!warnings.contains(is_odd), "{warnings:?}");
            // The other parser does not know all of YAML that this one does.
            if let Some(instance) = kit::as_json(text) {
                let objections = kit::objections(&VALIDATOR, &instance);
                assert!(objections.is_empty(), "{objections:?}");
            }
        }
        Err(problems) => {
            assert!(!problems.is_empty());
            let told = problems.render(Colour::Never);
            assert!(!told.contains(is_odd), "{told:?}");
            assert!(problems.iter().all(|problem| problem.line.is_some()), "{told}");
        }
    }
}

fn is_odd(c: char) -> bool {
    c.is_control() && c != '\n'
}
