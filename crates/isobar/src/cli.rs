//! The command line: what can be said, which function does it, which code the process ends with.
//!
//! Exit codes: 0 ok, 1 bad configuration or the command failed, 2 usage. Diagnostics go to stderr,
//! data to stdout. A command that is planned but not built yet says so and fails; it is never
//! ignored. This module knows nothing of threads, sockets or YAML.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::{app, demo, registry};

mod change;
mod check;
mod client;
mod explain;
mod find;
pub(crate) mod output;
mod pages;
mod status;

use client::Reach;
use output::{complain, say};

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
    match cli.command.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

/// `isobar -t` is how users of nginx ask for `isobar check`.
fn spell_out(mut args: Vec<OsString>) -> Vec<OsString> {
    if let Some(first) = args.get_mut(1).filter(|first| *first == "-t") {
        *first = "check".into();
    }
    args
}

/// What to tell the user about a command that failed; empty = it has been told already.
pub(crate) type Told = String;

#[derive(Parser)]
#[command(
    name = "isobar",
    version,
    about = "A load balancer: no request waits while a worker is free"
)]
#[command(disable_help_subcommand = true, arg_required_else_help = false)]
struct Cli {
    #[command(subcommand)]
    command: Command,
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
    Reload(Admin),
    /// Show the pools and workers of the running process
    Status(Status),
    /// Give a worker no new requests
    Drain(WorkerArgs),
    /// Give a worker requests again
    Undrain(WorkerArgs),
    /// Take a worker out, probes included
    Maintenance(WorkerArgs),
    /// Set a worker's weight
    Weight(Number),
    /// Set a worker's slots
    Slots(Number),
    /// Succeed if the running process is ready (for a container's HEALTHCHECK)
    Healthcheck(Admin),
    /// Show the version
    Version(Version),
    /// Spawn worker processes and balance over them (not built yet)
    Spawn(Later),
    /// Show the balancer at work: unequal workers, a load, a live table; nothing to install
    Demo(Demo),
    /// Restart a managed pool (not built yet)
    Restart(Later),
    /// Live view (not built yet)
    Top(Later),
    /// Why is it uneven? (not built yet)
    Diagnose(Later),
    /// Dry run of one request: which route takes it, and which worker
    Explain(Explain),
    /// Compare strategies in virtual time (not built yet)
    Simulate(Later),
    /// Print the JSON Schema of the configuration
    Schema,
    /// Print a shell's completions
    Completions(Completions),
    /// Print the manual page, of a command too
    Man(ManArgs),
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
    #[arg(long, value_name = "N")]
    slots: Option<NonZeroU32>,
}

#[derive(Args)]
struct Check {
    #[command(flatten)]
    config: ConfigArg,
    /// How to print what is found
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn strategies() -> String {
    let names: Vec<&str> = registry::registry().strategies.iter().map(|def| def.name).collect();
    format!("How a worker is chosen: {} [default: least_connections]", names.join(", "))
}

#[derive(Args)]
struct AdminAddress {
    /// Its admin address: unix:/PATH, /PATH or HOST:PORT [search: $ISOBAR_ADMIN, the
    /// configuration's, /run/isobar/admin.sock, $XDG_RUNTIME_DIR/isobar/admin.sock]
    #[arg(long, value_name = "ADDR")]
    admin: Option<String>,
}

/// How to reach the running process.
#[derive(Args)]
struct Admin {
    #[command(flatten)]
    address: AdminAddress,
    /// The configuration that names its admin address [search: $ISOBAR_CONFIG, ./isobar.yaml,
    /// /etc/isobar/isobar.yaml]
    #[arg(short, long = "config", value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Args)]
struct Status {
    #[command(flatten)]
    admin: Admin,
    /// The admin API's answer as it is
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct WorkerArgs {
    /// The pool's name
    pool: String,
    /// The worker's name, as `isobar status` shows it
    worker: String,
    #[command(flatten)]
    admin: Admin,
}

#[derive(Args)]
struct Number {
    #[command(flatten)]
    worker: WorkerArgs,
    /// In force until the configuration has another one
    n: NonZeroU32,
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
    /// As JSON, with the platform
    #[arg(long)]
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
    /// How to print the answer
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Args)]
struct Later {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    args: Vec<OsString>,
}

impl Command {
    fn run(self) -> Result<(), Told> {
        match self {
            Command::Run(args) => app::run_file(&find::config(args.config)?),
            Command::Proxy(args) => {
                app::run_proxy(&args.from, &args.to, args.strategy.as_deref(), args.slots)
            }
            Command::Check(args) => check::run(&find::config(args.config.config)?, args.format),
            Command::Reload(admin) => change::reload(&admin.reach()),
            Command::Status(args) => status::run(&args.admin.reach(), args.json),
            Command::Drain(args) => args.state("drain"),
            Command::Undrain(args) => args.state("up"),
            Command::Maintenance(args) => args.state("maintenance"),
            Command::Weight(args) => args.set("weight"),
            Command::Slots(args) => args.set("slots"),
            Command::Healthcheck(admin) => status::healthcheck(&admin.reach_any()),
            Command::Version(args) => {
                version(args.json);
                Ok(())
            }
            Command::Spawn(later) => later.refuse("spawn"),
            Command::Demo(args) => demo::run(args.options()),
            Command::Restart(later) => later.refuse("restart"),
            Command::Top(later) => later.refuse("top"),
            Command::Diagnose(later) => later.refuse("diagnose"),
            Command::Explain(args) => args.explain(),
            Command::Simulate(later) => later.refuse("simulate"),
            Command::Schema => {
                pages::schema();
                Ok(())
            }
            Command::Completions(args) => {
                pages::completions(args.shell);
                Ok(())
            }
            Command::Man(args) => match args.into {
                Some(dir) => pages::man_into(&dir),
                None => pages::man(args.command.as_deref()),
            },
        }
    }
}

impl Admin {
    fn reach(self) -> Reach {
        Reach::new(find::admin(self.address.admin, self.config))
    }

    /// Also the read-only metrics listener: it knows `/ready`, too.
    fn reach_any(self) -> Reach {
        Reach::new(find::admin_or_metrics(self.address.admin, self.config))
    }
}

impl Explain {
    fn explain(self) -> Result<(), Told> {
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
        let reach = Reach::new(find::admin(self.admin.admin, self.config.config));
        explain::run(&question, &loaded.config, &reach, self.format)
    }
}

impl WorkerArgs {
    fn state(self, state: &str) -> Result<(), Told> {
        let wanted = serde_json::json!({ "state": state });
        change::worker(&self.admin.reach(), &self.pool, &self.worker, &wanted)
    }
}

impl Number {
    fn set(self, what: &str) -> Result<(), Told> {
        let WorkerArgs { pool, worker, admin } = self.worker;
        change::worker(&admin.reach(), &pool, &worker, &serde_json::json!({ what: self.n }))
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
    fn refuse(self, command: &str) -> Result<(), Told> {
        drop(self.args);
        Err(format!("isobar {command}: not built yet"))
    }
}

fn version(json: bool) {
    let version = env!("CARGO_PKG_VERSION");
    if json {
        let os = std::env::consts::OS;
        let arch = std::env::consts::ARCH;
        say(&serde_json::json!({ "name": "isobar", "version": version, "os": os, "arch": arch }));
    } else {
        say(&format_args!("isobar {version}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(spell_out(line.split_whitespace().map(OsString::from).collect()))
    }

    #[test]
    fn the_definition_is_sound() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn every_argument_says_what_it_is() {
        use clap::CommandFactory;
        for command in Cli::command().get_subcommands() {
            for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
                let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(!help.is_empty(), "{} {}", command.get_name(), argument.get_id());
            }
        }
    }

    #[test]
    fn dash_t_is_check() {
        let cli = parse("isobar -t -c a.yaml").unwrap();
        let Command::Check(check) = cli.command else { panic!("not check") };
        assert_eq!(check.config.config, Some("a.yaml".into()));
    }

    #[test]
    fn proxy_takes_several_workers() {
        let line = "isobar proxy --from 127.0.0.1:0 --to a:1 --to unix:/b --slots 1";
        let Command::Proxy(proxy) = parse(line).unwrap().command else { panic!("not proxy") };
        assert_eq!(proxy.to, ["a:1", "unix:/b"]);
        assert_eq!(proxy.slots, NonZeroU32::new(1));
    }

    #[test]
    fn slots_of_nought_is_a_usage_error() {
        assert!(parse("isobar proxy --from a --to b --slots 0").is_err());
        assert!(parse("isobar slots app w1 0").is_err());
    }

    #[test]
    fn weight_names_pool_worker_and_number() {
        let cli = parse("isobar weight app unix:/run/a.sock 3 --admin /tmp/a.sock").unwrap();
        let Command::Weight(weight) = cli.command else { panic!("not weight") };
        assert_eq!((weight.worker.worker.as_str(), weight.n.get()), ("unix:/run/a.sock", 3));
    }

    #[test]
    fn what_is_not_built_yet_takes_any_arguments_and_fails() {
        for line in ["isobar spawn -n 8 -- gunicorn -w 1", "isobar top"] {
            assert!(parse(line).unwrap().command.run().unwrap_err().contains("not built yet"));
        }
    }
}
