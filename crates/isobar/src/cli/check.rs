//! `isobar check`: is this file a configuration? Binds nothing and starts nothing.

use std::path::Path;

use super::output::{complain, say, stderr_colour};
use super::{Format, Told};
use crate::registry;

pub(crate) fn run(path: &Path, format: Format) -> Result<(), Told> {
    let outcome = isobar_config::load(path, &registry::registry());
    match format {
        Format::Text => match outcome {
            Ok(loaded) => {
                complain(&loaded.warnings.render(stderr_colour()));
                say(&format_args!("{}: ok: {}", path.display(), loaded.config.summary()));
                Ok(())
            }
            Err(problems) => Err(problems.render(stderr_colour())),
        },
        Format::Json => match outcome {
            Ok(loaded) => {
                say(&loaded.warnings.to_json());
                Ok(())
            }
            Err(problems) => {
                say(&problems.to_json());
                Err(Told::new())
            }
        },
    }
}
