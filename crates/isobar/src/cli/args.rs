//! The arguments of the commands that speak to the running process: where it is, whom they mean, what
//! they want of it. What a number may be is said here, before anything is asked.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::change::{self, Order, Patience};
use super::client::Reach;
use super::failed::ErrorText;
use super::find;
use super::output::Format;
use crate::admin::bounds;

/// How a command's answer is printed.
#[derive(Args)]
pub(super) struct Output {
    /// How to print what is found
    #[arg(long, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(super) format: Format,
}

impl Output {
    /// `--json` was the option's first name.
    pub(super) fn or_json(&self, json: bool) -> Format {
        if json { Format::Json } else { self.format }
    }
}

#[derive(Args)]
pub(super) struct AdminAddress {
    /// Its admin address: unix:/PATH, /PATH or HOST:PORT [search: $ISOBAR_ADMIN, the
    /// configuration's, /run/isobar/admin.sock, $XDG_RUNTIME_DIR/isobar/admin.sock]
    #[arg(long, value_name = "ADDR")]
    pub(super) admin: Option<String>,
}

/// How to reach the running process.
#[derive(Args)]
pub(super) struct Admin {
    #[command(flatten)]
    address: AdminAddress,
    /// The configuration it runs with, which names its admin address; a process with another one
    /// is not asked [search: $ISOBAR_CONFIG, ./isobar.yaml, /etc/isobar/isobar.yaml]
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Admin {
    pub(super) fn reach(self) -> Result<Reach, ErrorText> {
        find::admin(self.address.admin, self.config).map(Reach::new)
    }

    /// Also the read-only metrics listener: it knows `/ready`, too.
    pub(super) fn reach_any(self) -> Result<Reach, ErrorText> {
        find::admin_or_metrics(self.address.admin, self.config).map(Reach::new)
    }
}

/// One worker, or every worker of a pool.
#[derive(Args)]
pub(super) struct Members {
    /// The pool's name
    pool: String,
    /// The worker's name, as `isobar status` shows it [default: all workers of the pool]
    worker: Option<String>,
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    output: Output,
}

impl Members {
    /// Asks for this state and returns when it is in force.
    pub(super) fn set(self, state: &str) -> Result<(), ErrorText> {
        self.change(&json!({ "state": state }), None)
    }

    fn change(self, wanted: &Value, patience: Option<Patience>) -> Result<(), ErrorText> {
        let Members { pool, worker, admin, output } = self;
        let order = Order { pool: &pool, worker: worker.as_deref(), wanted };
        change::members(&admin.reach()?, &order, patience, output.format)
    }
}

#[derive(Args)]
pub(super) struct Drain {
    #[command(flatten)]
    members: Members,
    /// Wait until its last request, connection and tunnel has ended
    #[arg(long)]
    wait: bool,
    /// Stop waiting after so long, like 30s or 5m, and fail; the drain stays in force
    #[arg(long, value_name = "DURATION", requires = "wait", value_parser = isobar_config::duration)]
    timeout: Option<Duration>,
}

impl Drain {
    pub(super) fn run(self) -> Result<(), ErrorText> {
        let patience = self.wait.then_some(Patience { limit: self.timeout });
        self.members.change(&json!({ "state": "drain" }), patience)
    }
}

/// One worker, for what only makes sense of one.
#[derive(Args)]
struct Member {
    /// The pool's name
    pool: String,
    /// The worker's name, as `isobar status` shows it
    worker: String,
}

#[derive(Args)]
pub(super) struct Weight {
    #[command(flatten)]
    member: Member,
    /// From 1 to 10000, or `reset`: the file's. In force until the file has another one
    #[arg(value_name = "N|reset", allow_negative_numbers = true, value_parser = weight)]
    n: Number,
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
pub(super) struct Slots {
    #[command(flatten)]
    member: Member,
    /// From 1 to 1000000, or `reset`: the file's. In force until the file has another one
    #[arg(
        value_name = "N|reset",
        allow_negative_numbers = true,
        required_unless_present = "tunnels",
        value_parser = slots
    )]
    n: Option<Number>,
    /// The same for tunnels and event streams; from then on they are counted apart from `slots`
    #[arg(long, value_name = "N|reset", allow_negative_numbers = true, value_parser = slots)]
    tunnels: Option<Number>,
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    output: Output,
}

impl Weight {
    pub(super) fn run(self) -> Result<(), ErrorText> {
        set(&self.member, &json!({ "weight": self.n.wanted() }), self.admin, &self.output)
    }
}

impl Slots {
    pub(super) fn run(self) -> Result<(), ErrorText> {
        let mut wanted = Map::new();
        for (key, number) in [("slots", self.n), ("tunnels", self.tunnels)] {
            if let Some(number) = number {
                wanted.insert(key.to_owned(), json!(number.wanted()));
            }
        }
        set(&self.member, &Value::Object(wanted), self.admin, &self.output)
    }
}

fn set(member: &Member, wanted: &Value, admin: Admin, output: &Output) -> Result<(), ErrorText> {
    let order = Order { pool: &member.pool, worker: Some(&member.worker), wanted };
    change::members(&admin.reach()?, &order, None, output.format)
}

/// A value of the operator's, or the file's again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Is(NonZeroU32),
    Reset,
}

impl Number {
    /// As the admin API wants it: null is the file's.
    fn wanted(self) -> Option<NonZeroU32> {
        match self {
            Number::Is(n) => Some(n),
            Number::Reset => None,
        }
    }
}

fn weight(text: &str) -> Result<Number, String> {
    number(text, bounds::WEIGHT, "to give the worker no requests: isobar drain POOL WORKER")
}

fn slots(text: &str) -> Result<Number, String> {
    number(
        text,
        bounds::SLOTS,
        "to give the worker no requests: isobar drain POOL WORKER; for no limit: leave `slots` out \
         of the file",
    )
}

/// `isobar proxy --slots`: there is no file to go back to.
pub(super) fn proxy_slots(text: &str) -> Result<NonZeroU32, String> {
    let most = bounds::SLOTS;
    let number = text.parse::<u32>().ok().filter(|n| *n <= most).and_then(NonZeroU32::new);
    number.ok_or_else(|| {
        format!("expected a whole number from 1 to {most}; for no limit leave --slots out")
    })
}

fn number(text: &str, most: u32, of_none: &str) -> Result<Number, String> {
    if text == "reset" {
        return Ok(Number::Reset);
    }
    let expected = format!("expected a whole number from 1 to {most}, or `reset` for the file's");
    match text.parse::<u32>() {
        Ok(0) => Err(format!("{expected}; {of_none}")),
        Ok(n) if n <= most => NonZeroU32::new(n).map(Number::Is).ok_or(expected),
        _ => Err(expected),
    }
}
