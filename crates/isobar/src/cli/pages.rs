//! What the binary says about itself for other programs: the configuration's schema, shell
//! completions, manual pages.
//!
//! All three are made from what the program reads: the configuration's readers and the command line's
//! definition. Nothing is listed here but what neither of them knows (signals, files, exit codes).

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::output::say_bytes;
use super::{Cli, Told};
use crate::registry;

pub(super) fn schema() {
    let schema = isobar_config::schema(&registry::registry());
    say_bytes(format!("{schema:#}\n").as_bytes());
}

pub(super) fn completions(shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "isobar", &mut script);
    say_bytes(&script);
}

/// The page of the whole, or of one command.
pub(super) fn man(command: Option<&str>) -> Result<(), Told> {
    let pages = pages().map_err(|error| error.to_string())?;
    let name = command.map_or("isobar".to_owned(), |command| format!("isobar-{command}"));
    match pages.into_iter().find(|page| page.name == name) {
        Some(page) => {
            say_bytes(&page.text);
            Ok(())
        }
        None => Err(format!("there is no command `{}`; see `isobar --help`", &name[7..])),
    }
}

/// All pages, as a package wants them.
pub(super) fn man_into(dir: &Path) -> Result<(), Told> {
    let told =
        |error: io::Error| format!("cannot write manual pages to {}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(told)?;
    for page in pages().map_err(told)? {
        fs::write(dir.join(format!("{}.1", page.name)), page.text).map_err(told)?;
    }
    Ok(())
}

struct Page {
    name: String,
    text: Vec<u8>,
}

fn pages() -> io::Result<Vec<Page>> {
    let mut root = Cli::command();
    root.build();
    let mut pages = vec![main_page(&root)?];
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        let name = format!("isobar-{}", command.get_name());
        let mut text = Vec::new();
        let page = Man::new(command.clone()).title(name.to_uppercase()).source(SOURCE);
        page.manual(MANUAL).render(&mut text)?;
        pages.push(Page { name, text });
    }
    Ok(pages)
}

const SOURCE: &str = concat!("isobar ", env!("CARGO_PKG_VERSION"));
const MANUAL: &str = "Isobar";

fn main_page(root: &clap::Command) -> io::Result<Page> {
    let man = Man::new(root.clone()).title("ISOBAR").source(SOURCE).manual(MANUAL);
    let mut text = Vec::new();
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    man.render_subcommands_section(&mut text)?;
    for (title, entries) in EXTRA {
        let mut section = Roff::new();
        section.control("SH", [*title]);
        for (what, says) in *entries {
            section.control("TP", []);
            section.text([bold(*what)]);
            section.text([roman(*says)]);
        }
        section.to_writer(&mut text)?;
    }
    Ok(Page { name: "isobar".to_owned(), text })
}

type Section = (&'static str, &'static [(&'static str, &'static str)]);

const EXTRA: &[Section] = &[
    (
        "SIGNALS",
        &[
            ("TERM, INT, QUIT", "Stop gracefully; a second TERM or INT stops at once."),
            ("HUP", "Read the configuration again."),
            ("USR1", "Open the log files again."),
        ],
    ),
    (
        "EXIT STATUS",
        &[
            ("0", "It worked."),
            ("1", "The configuration is wrong, or the command failed."),
            ("2", "The command line is wrong."),
        ],
    ),
    (
        "ENVIRONMENT",
        &[
            ("ISOBAR_CONFIG", "The configuration, where no -c is given."),
            ("ISOBAR_ADMIN", "The admin address, where no --admin is given."),
            ("NO_COLOR", "No colour in diagnostics, where it is not empty."),
        ],
    ),
    (
        "FILES",
        &[
            (
                "./isobar.yaml, /etc/isobar/isobar.yaml",
                "The configuration, where neither -c nor ISOBAR_CONFIG is given.",
            ),
            ("/run/isobar/admin.sock", "The admin socket, unless the configuration names another."),
        ],
    ),
];
