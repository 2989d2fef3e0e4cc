//! `isobar check`: is this file a configuration? Binds nothing and starts nothing.

use std::path::Path;

use isobar_config::{Config, Loaded, Problems};

use super::failed::ErrorText;
use super::output::{Format, complain, say, stderr_colour};
use crate::registry;

pub(crate) fn run(path: &Path, format: Format) -> Result<(), ErrorText> {
    let outcome = match isobar_config::load(path, &registry::registry()) {
        Ok(loaded) => match discovered(&loaded.config) {
            None => Ok(loaded),
            Some(problems) => Err(problems),
        },
        Err(problems) => Err(problems),
    };
    let (problems, summary) = match outcome {
        Ok(Loaded { config, warnings }) => (warnings, Some(config.summary())),
        Err(problems) => (problems, None),
    };
    match format {
        Format::Text if !problems.is_empty() => {
            complain(&format!("{}\n{}", problems.render(stderr_colour()), problems.tally()));
        }
        Format::Text => {}
        Format::Json => {
            say(&problems.to_json());
            // Data to stdout, and to people what it comes to.
            complain(&problems.tally());
        }
    }
    match (summary, format) {
        (None, _) => Err(ErrorText::new()),
        (Some(summary), Format::Text) => {
            say(&format_args!("{}: ok: {summary}", path.display()));
            Ok(())
        }
        (Some(_), Format::Json) => Ok(()),
    }
}

/// The first file of workers that is there and wrong. One that is missing may come later.
fn discovered(config: &Config) -> Option<Problems> {
    let files = config.pools.values().filter_map(|pool| pool.discover.as_ref());
    let mut there = files.filter(|file| file.exists());
    there.find_map(|file| isobar_config::load_workers(file).err())
}
