//! The command line: what can be said, which function does it, which code the process ends with.
//!
//! Exit codes: 0 ok, 1 bad configuration or the command failed, 2 usage. Diagnostics go to stderr,
//! data to stdout. A command that is planned but not built yet is hidden, says so and ends with 2; it
//! is never ignored. `args` has the arguments that several commands share. This module knows nothing of
//! threads, sockets or YAML.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use isobar_config::model::AccessLogFormat;

use crate::{app, demo, registry};

mod args;
mod change;
mod check;
mod client;
mod explain;
pub(crate) mod failed;
mod find;
pub(crate) mod output;
mod pages;
mod status;

use args::{Admin, AdminAddress, Drain, Members, Output, Slots, Weight};
use client::Reach;
use failed::{ErrorText, Failed, not_built};
use output::{Format, complain, say};

/// Runs what the process's arguments ask for.
pub fn main() -> ExitCode {
    let args: Vec<OsString> = std::env::args_os().collect();
    if args.get(1).is_some_and(|command| command == "run" || command == "proxy") {
        app::catch_requests();
    }
    run(args)
}

fn run(args: Vec<OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(spell_out(args)) {
        Ok(cli) => cli,
        Err(error) => {
            // To stdout and 0 for `--help`, to stderr and 2 for a mistake. If even that cannot
            // be written there is nobody left to tell.
            let _ = error.print();
            return ExitCode::from(u8::from(error.use_stderr()) * 2);
        }
    };
    let done = match cli.command {
        Some(command) => command.run(),
        None => pages::help(Cli::command(), None),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed::Command(message)) => {
            complain(&message);
            ExitCode::FAILURE
        }
        Err(Failed::Usage(message)) => {
            complain(&message);
            ExitCode::from(2)
        }
    }
}

/// `isobar -t` is how users of nginx ask for `isobar check`; some write `isobar -c FILE -t`.
fn spell_out(mut args: Vec<OsString>) -> Vec<OsString> {
    let at = match args.get(1) {
        Some(first) if first == "-t" => Some(1),
        Some(first) if first == "-c" => args.iter().position(|arg| arg == "-t"),
        _ => None,
    };
    if let Some(at) = at {
        args.remove(at);
        args.insert(1, "check".into());
    }
    args
}

#[derive(Parser)]
#[command(
    name = "isobar",
    version,
    about = "A load balancer: no request waits while a worker is free"
)]
#[command(disable_help_subcommand = true, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Run in the foreground
    Run(ConfigArg),
    /// Run without a file: one listener, one pool
    Proxy(Proxy),
    /// Validate a configuration: every problem at once (also: isobar -t)
    Check(Check),
    /// Have the running process read its configuration again
    Reload(Reload),
    /// Show the pools and workers of the running process
    Status(Status),
    /// Give a worker, or all workers of a pool, no new requests
    Drain(Drain),
    /// Give a worker, or all workers of a pool, requests again
    Undrain(Members),
    /// Take a worker, or all workers of a pool, out: probes included
    Maintenance(Members),
    /// Set a worker's weight, or take that back
    Weight(Weight),
    /// Set a worker's slots, or take that back
    Slots(Slots),
    /// Succeed if the running process is ready (for a container's HEALTHCHECK)
    Healthcheck(Healthcheck),
    /// Show the version
    Version(Version),
    /// Show the balancer at work: unequal workers, a load, a live table; nothing to install
    Demo(Demo),
    /// Dry run of one request: which route takes it, and which worker
    Explain(Explain),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print a shell's completions
    Completions(Completions),
    /// Show the manual page, of a command too
    Man(ManArgs),
    /// Show this help, or a command's
    Help(HelpArgs),
    #[command(hide = true, disable_help_flag = true)]
    Spawn(Later),
    #[command(hide = true, disable_help_flag = true)]
    Restart(Later),
    #[command(hide = true, disable_help_flag = true)]
    Scale(Later),
    #[command(hide = true, disable_help_flag = true)]
    Logs(Later),
    #[command(hide = true, disable_help_flag = true)]
    Top(Later),
    #[command(hide = true, disable_help_flag = true)]
    Dashboard(Later),
    #[command(hide = true, disable_help_flag = true)]
    Diagnose(Later),
    #[command(hide = true, disable_help_flag = true)]
    Simulate(Later),
    #[command(hide = true, disable_help_flag = true)]
    Config(Later),
}

#[derive(Args)]
struct ConfigArg {
    /// The configuration [search: $ISOBAR_CONFIG, ./isobar.yaml, /etc/isobar/isobar.yaml]
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Proxy {
    /// Where to listen: IP:PORT, [IPV6]:PORT, unix:/PATH, or fd:N (inherited)
    #[arg(long, value_name = "ADDR")]
    from: String,
    /// A worker: IP:PORT, NAME:PORT or unix:/PATH; may be repeated
    #[arg(long, value_name = "ADDR", required = true)]
    to: Vec<String>,
    #[arg(long, value_name = "NAME", help = strategies())]
    strategy: Option<String>,
    /// Requests each worker may serve at once [default: no limit]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = args::proxy_slots)]
    slots: Option<NonZeroU32>,
    /// Write a line per request to stdout: json (where no format is given) or combined
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "json")]
    access_log: Option<LogFormat>,
}

#[derive(Clone, Copy, ValueEnum)]
enum LogFormat {
    Json,
    Combined,
}

impl From<LogFormat> for AccessLogFormat {
    fn from(format: LogFormat) -> AccessLogFormat {
        match format {
            LogFormat::Json => AccessLogFormat::Json,
            LogFormat::Combined => AccessLogFormat::Combined,
        }
    }
}

#[derive(Args)]
struct Check {
    /// The configuration, as with -c
    #[arg(value_name = "FILE", conflicts_with = "config")]
    file: Option<PathBuf>,
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    output: Output,
}

fn strategies() -> String {
    let names: Vec<&str> = registry::registry().strategies.iter().map(|def| def.name).collect();
    format!("How a worker is chosen: {} [default: least_connections]", names.join(", "))
}

#[derive(Args)]
struct Reload {
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
struct Status {
    /// Only this pool [default: all]
    pool: Option<String>,
    /// Show it again every second, until q or Ctrl-C; without a terminal: once
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    output: Output,
    /// As --format json
    #[arg(long, hide = true)]
    json: bool,
}

#[derive(Args)]
struct Healthcheck {
    #[command(flatten)]
    admin: Admin,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
struct Demo {
    /// The same load at the same time on a second pool: round robin, no slots
    #[arg(long)]
    compare: bool,
    /// End after so many seconds [default: at `q`; 10 without a terminal]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Requests per second [default: 100]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=2000))]
    rate: Option<u32>,
    /// Draw the last picture into this SVG file instead of the terminal
    #[arg(long, value_name = "FILE")]
    capture: Option<PathBuf>,
    /// Of so many columns and rows
    #[arg(long, value_name = "COLUMNSxROWS", default_value = "100x30", requires = "capture")]
    size: demo::Size,
}

#[derive(Args)]
struct Version {
    #[command(flatten)]
    output: Output,
    /// As --format json
    #[arg(long, hide = true)]
    json: bool,
}

#[derive(Args)]
struct Completions {
    /// Whose completions
    shell: clap_complete::Shell,
}

#[derive(Args)]
struct ManArgs {
    /// The command whose page it is
    command: Option<String>,
    /// Write every page into this directory instead
    #[arg(long, value_name = "DIR", conflicts_with = "command")]
    into: Option<PathBuf>,
}

#[derive(Args)]
struct Explain {
    /// GET, POST or another
    method: String,
    /// http://HOST[:PORT]/PATH, or /PATH with a Host header
    url: String,
    /// `name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The address the request comes from
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    client: std::net::IpAddr,
    /// The listener, where the URL's port does not say which
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    #[command(flatten)]
    admin: AdminAddress,
    #[command(flatten)]
    config: ConfigArg,
    #[command(flatten)]
    output: Output,
}

#[derive(Args)]
struct HelpArgs {
    /// The command whose help it is
    command: Option<String>,
}

#[derive(Args)]
struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    args: Vec<OsString>,
}

impl Command {
    fn run(self) -> Result<(), Failed> {
        match self {
            Command::Run(args) => app::run_file(&find::config(args.config)?)?,
            Command::Proxy(args) => {
                let log = args.access_log.map(AccessLogFormat::from);
                app::run_proxy(&args.from, &args.to, args.strategy.as_deref(), args.slots, log)?;
            }
            Command::Check(args) => {
                check::run(&find::config(args.file.or(args.config.config))?, args.output.format)?;
            }
            Command::Reload(args) => change::reload(&args.admin.reach()?, args.output.format)?,
            Command::Status(args) => {
                let format = args.output.or_json(args.json);
                if let (Format::Json, true) = (format, args.watch) {
                    let message = "--watch is for people: it has no --format json";
                    return Err(Failed::Usage(message.to_owned()));
                }
                let pool = args.pool.as_deref();
                match args.watch {
                    true => status::watch(&args.admin.reach()?, pool)?,
                    false => status::run(&args.admin.reach()?, pool, format)?,
                }
            }
            Command::Drain(args) => args.run()?,
            Command::Undrain(args) => args.set("up")?,
            Command::Maintenance(args) => args.set("maintenance")?,
            Command::Weight(args) => args.run()?,
            Command::Slots(args) => args.run()?,
            Command::Healthcheck(args) => {
                status::healthcheck(&args.admin.reach_any()?, args.output.format)?;
            }
            Command::Version(args) => version(args.output.or_json(args.json)),
            Command::Demo(args) => demo::run(args.options())?,
            Command::Explain(args) => args.explain()?,
            Command::Schema => pages::schema(),
            Command::Completions(args) => pages::completions(&Cli::command(), args.shell),
            Command::Man(args) => match args.into {
                Some(dir) => pages::man_into(&Cli::command(), &dir)?,
                None => pages::man(&Cli::command(), args.command.as_deref())?,
            },
            Command::Help(args) => pages::help(Cli::command(), args.command.as_deref())?,
            Command::Spawn(later) => later.refuse("spawn")?,
            Command::Restart(later) => later.refuse("restart")?,
            Command::Scale(later) => later.refuse("scale")?,
            Command::Logs(later) => later.refuse("logs")?,
            Command::Top(later) => later.refuse("top")?,
            Command::Dashboard(later) => later.refuse("dashboard")?,
            Command::Diagnose(later) => later.refuse("diagnose")?,
            Command::Simulate(later) => later.refuse("simulate")?,
            Command::Config(later) => later.refuse("config")?,
        }
        Ok(())
    }
}

impl Explain {
    fn explain(self) -> Result<(), ErrorText> {
        let path = find::config(self.config.config.clone())?;
        let loaded = isobar_config::load(&path, &registry::registry())
            .map_err(|problems| problems.render(output::stderr_colour()))?;
        let question = explain::Question {
            method: self.method,
            url: self.url,
            headers: self.headers,
            client: self.client,
            listener: self.listener,
        };
        // Another file's process says nothing about this one's pools.
        let running = Reach::new(find::admin(self.admin.admin, Some(path))?).find();
        explain::run(&question, &loaded.config, running.ok().as_ref(), self.output.format)
    }
}

impl Demo {
    fn options(self) -> demo::Options {
        let Demo { compare, seconds, rate, capture, size } = self;
        demo::Options {
            compare: if compare { demo::Compare::Yes } else { demo::Compare::No },
            time: seconds.map(Duration::from_secs),
            rate: rate.map(f64::from),
            capture: capture.map(|path| (path, size)),
        }
    }
}

impl Later {
    fn refuse(self, command: &str) -> Result<(), Failed> {
        drop(self.args);
        Err(not_built(command))
    }
}

fn version(format: Format) {
    let version = env!("CARGO_PKG_VERSION");
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    match format {
        Format::Text => say(&format_args!("isobar {version}")),
        Format::Json => say(&serde_json::json!({
            "name": "isobar", "version": version, "os": os, "arch": arch,
        })),
    }
}

#[cfg(test)]
mod tests;
