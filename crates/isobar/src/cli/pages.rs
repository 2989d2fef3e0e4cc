//! What the binary says about itself for other programs: the configuration's schema, shell
//! completions, manual pages.
//!
//! All three are made from what the program reads: the configuration's readers and the command line's
//! definition, which is given. Nothing is listed here but what neither of them knows (signals, files,
//! exit codes).

use std::fs;
use std::io::{self, IsTerminal};
use std::path::Path;

use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::failed::{ErrorText, Failed, not_built};
use super::output::say_bytes;
use crate::registry;

mod pager;

/// The help of the whole, or of one command.
pub(super) fn help(mut root: clap::Command, command: Option<&str>) -> Result<(), Failed> {
    root.build();
    let wanted = match command {
        None => Some(&mut root),
        Some(name) => root.find_subcommand_mut(name),
    };
    match (wanted, command) {
        (Some(wanted), Some(name)) if wanted.is_hide_set() => Err(not_built(name)),
        (Some(wanted), _) => {
            // Nobody is left to tell if it cannot be written.
            let _ = wanted.print_long_help();
            Ok(())
        }
        (None, name) => Err(Failed::Usage(format!(
            "there is no command `{}`; `isobar help` lists them",
            name.unwrap_or_default()
        ))),
    }
}

pub(super) fn schema() {
    let schema = isobar_config::schema(&registry::registry());
    say_bytes(format!("{schema:#}\n").as_bytes());
}

pub(super) fn completions(all: &clap::Command, shell: Shell) {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(all), "isobar", &mut script);
    say_bytes(&script);
}

/// The command line without what is not built: a shell would offer it.
fn shown(all: &clap::Command) -> clap::Command {
    let mut shown = clap::Command::new("isobar").version(env!("CARGO_PKG_VERSION"));
    shown = shown.disable_help_subcommand(true);
    if let Some(about) = all.get_about() {
        shown = shown.about(about.clone());
    }
    shown.subcommands(all.get_subcommands().filter(|command| !command.is_hide_set()).cloned())
}

/// The page of the whole, of one command, or of the configuration: formatted and through the pager
/// on a terminal, as it is for a file or another program.
pub(super) fn man(all: &clap::Command, command: Option<&str>) -> Result<(), ErrorText> {
    if command == Some("isobar.yaml") {
        let page = isobar_config::manual_page().into_bytes();
        let shown = io::stdout().is_terminal() && pager::formatted("isobar.yaml", &page).is_ok();
        if !shown {
            say_bytes(&page);
        }
        return Ok(());
    }
    let pages = pages(all).map_err(|error| error.to_string())?;
    let name = command.map_or("isobar".to_owned(), |command| format!("isobar-{command}"));
    match pages.into_iter().find(|page| page.name == name) {
        Some(page) if io::stdout().is_terminal() => {
            let formatted = pager::formatted(&page.name, &page.text);
            formatted
                .or_else(|_| pager::paged(&mut wanted(all, command)))
                .map_err(|e| e.to_string())
        }
        Some(page) => {
            say_bytes(&page.text);
            Ok(())
        }
        None => Err(format!("there is no command `{}`; see `isobar --help`", &name[7..])),
    }
}

/// All pages, as a package wants them.
pub(super) fn man_into(all: &clap::Command, dir: &Path) -> Result<(), ErrorText> {
    let told =
        |error: io::Error| format!("cannot write manual pages to {}: {error}", dir.display());
    fs::create_dir_all(dir).map_err(told)?;
    for page in pages(all).map_err(told)? {
        fs::write(dir.join(format!("{}.1", page.name)), page.text).map_err(told)?;
    }
    Ok(())
}

fn wanted(all: &clap::Command, command: Option<&str>) -> clap::Command {
    let mut root = shown(all);
    root.build();
    let found = command.and_then(|name| root.find_subcommand(name).cloned());
    found.unwrap_or(root)
}

struct Page {
    name: String,
    text: Vec<u8>,
}

fn pages(all: &clap::Command) -> io::Result<Vec<Page>> {
    let mut root = shown(all);
    root.build();
    let mut pages = vec![main_page(&root)?];
    for command in root.get_subcommands() {
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
