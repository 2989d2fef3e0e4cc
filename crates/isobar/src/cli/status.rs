//! `isobar status` and `isobar healthcheck`: the running process as it sees itself.

use std::io::IsTerminal;

use isobar_config::Colour;
use serde_json::{Value, json};

use super::client::{Process, Reach};
use super::failed::ErrorText;
use super::output::{Format, complain, plain, say, stdout_colour};
use crate::admin::path;
use crate::overview::{Overview, text};

mod watch;

/// Prints it once; `pool`: only that one.
pub(crate) fn run(reach: &Reach, pool: Option<&str>, format: Format) -> Result<(), ErrorText> {
    let process = reach.find()?;
    let pools = pools(&process, pool)?;
    match format {
        Format::Json => {
            let mut all = process.about().clone();
            if !all.is_object() {
                all = json!({});
            }
            all["pools"] = Value::Array(pools);
            say(&all);
        }
        Format::Text => print(&Overview::of(process.about(), &pools), stdout_colour()),
    }
    Ok(())
}

/// Shows it again and again, until the user has seen enough.
pub(crate) fn watch(reach: &Reach, pool: Option<&str>) -> Result<(), ErrorText> {
    if !watch::is_possible() {
        if !std::io::stdout().is_terminal() {
            complain("note: --watch needs a terminal; this is how it is now");
        }
        return run(reach, pool, Format::Text);
    }
    watch::run(|| {
        // The process may have been restarted since.
        let process = reach.find()?;
        let pools = pools(&process, pool)?;
        Ok(Overview::of(process.about(), &pools))
    })
}

fn pools(process: &Process, pool: Option<&str>) -> Result<Vec<Value>, ErrorText> {
    Ok(match pool {
        Some(pool) => vec![process.fetch(&path::pool(pool))?.accepted()?],
        None => {
            let mut answer = process.fetch("/v1/pools")?.accepted()?;
            match answer["pools"].take() {
                Value::Array(pools) => pools,
                _ => Vec::new(),
            }
        }
    })
}

fn print(overview: &Overview, colour: Colour) {
    let lines = text::lines(overview);
    let lines: Vec<String> = lines.iter().map(|line| text::written(line, colour)).collect();
    say(&lines.join("\n"));
}

/// Succeeds if the process is ready.
pub(crate) fn healthcheck(reach: &Reach, format: Format) -> Result<(), ErrorText> {
    let answer = reach.fetch_any("/ready")?;
    let text = plain(String::from_utf8_lossy(&answer.body).trim_end());
    let ready = answer.status.is_success();
    if let Format::Json = format {
        say(&json!({ "ready": ready, "state": text }));
        return if ready { Ok(()) } else { Err(ErrorText::new()) };
    }
    match ready {
        true => {
            say(&text);
            Ok(())
        }
        false => Err(format!("not ready: {text}")),
    }
}
