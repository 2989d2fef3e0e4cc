//! `isobar check`: is this file a configuration? Binds nothing and starts nothing.

use std::path::Path;

use isobar_config::{Config, Problems};

use super::output::{complain, say, stderr_colour};
use super::{Format, Told};
use crate::registry;

pub(crate) fn run(path: &Path, format: Format) -> Result<(), Told> {
    let outcome = isobar_config::load(path, &registry::registry());
    match format {
        Format::Text => match outcome {
            Ok(loaded) => {
                complain(&loaded.warnings.render(stderr_colour()));
                if let Some(problems) = discovered(&loaded.config) {
                    return Err(problems.render(stderr_colour()));
                }
                say(&format_args!("{}: ok: {}", path.display(), loaded.config.summary()));
                Ok(())
            }
            Err(problems) => Err(problems.render(stderr_colour())),
        },
        Format::Json => match outcome {
            Ok(loaded) => match discovered(&loaded.config) {
                None => {
                    say(&loaded.warnings.to_json());
                    Ok(())
                }
                Some(problems) => {
                    say(&problems.to_json());
                    Err(Told::new())
                }
            },
            Err(problems) => {
                say(&problems.to_json());
                Err(Told::new())
            }
        },
    }
}

/// The first file of workers that is there and wrong. One that is missing may come later.
fn discovered(config: &Config) -> Option<Problems> {
    let files = config.pools.values().filter_map(|pool| pool.discover.as_ref());
    let mut there = files.filter(|file| file.exists());
    there.find_map(|file| isobar_config::load_workers(file).err())
}
