//! What the command line takes and refuses.

use super::*;

fn command(line: &str) -> Command {
    parse(line).unwrap().command.unwrap()
}

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
    for line in ["isobar -t -c a.yaml", "isobar -c a.yaml -t"] {
        let Command::Check(check) = command(line) else { panic!("not check") };
        assert_eq!(check.config.config, Some("a.yaml".into()));
    }
    for line in ["isobar -t a.yaml", "isobar check a.yaml"] {
        let Command::Check(check) = command(line) else { panic!("not check") };
        assert_eq!(check.file, Some("a.yaml".into()));
    }
    assert!(parse("isobar check a.yaml -c b.yaml").is_err());
    assert!(parse("isobar -c a.yaml").is_err());
}

#[test]
fn proxy_takes_several_workers() {
    let line = "isobar proxy --from 127.0.0.1:0 --to a:1 --to unix:/b --slots 1";
    let Command::Proxy(proxy) = command(line) else { panic!("not proxy") };
    assert_eq!(proxy.to, ["a:1", "unix:/b"]);
    assert_eq!(proxy.slots, NonZeroU32::new(1));
}

#[test]
fn slots_of_nought_is_a_usage_error() {
    assert!(parse("isobar proxy --from a --to b --slots 0").is_err());
    let said = |line: &str| parse(line).err().map(|error| error.to_string()).unwrap();
    for line in ["isobar slots app w1 0", "isobar weight app w1 0"] {
        assert!(said(line).contains("isobar drain POOL WORKER"), "{}", said(line));
    }
    for n in ["-1", "1.5", "off", "1000001", "99999999999999999999"] {
        let said = said(&format!("isobar slots app w1 {n}"));
        assert!(said.contains("from 1 to 1000000, or `reset`"), "{said}");
    }
    assert!(said("isobar weight app w1 10001").contains("from 1 to 10000"));
}

#[test]
fn drain_waits_only_if_told_to() {
    assert!(parse("isobar drain app").is_ok());
    assert!(parse("isobar drain app w1 --wait --timeout 1m30s").is_ok());
    assert!(parse("isobar drain app w1 --timeout 30s").is_err());
    let said = parse("isobar drain app --wait --timeout 30").err().unwrap().to_string();
    assert!(said.contains("did you mean `30s`?"), "{said}");
}

#[test]
fn what_is_not_built_yet_takes_any_arguments_and_is_a_usage_error() {
    for line in [
        "isobar spawn -n 8 -- gunicorn -w 1",
        "isobar restart app",
        "isobar scale app 3",
        "isobar logs app -f",
        "isobar top",
        "isobar dashboard --help",
        "isobar diagnose -h",
        "isobar simulate --x=y",
        "isobar config -c a.yaml",
        "isobar help spawn",
    ] {
        match command(line).run() {
            Err(Failed::Usage(said)) => assert!(said.contains("not built yet"), "{line}: {said}"),
            other => panic!("{line}: {other:?}"),
        }
    }
}

#[test]
fn proxy_may_write_an_access_log() {
    let format = |flag: &str| {
        let line = format!("isobar proxy --from 127.0.0.1:0 {flag} --to a:1");
        let Command::Proxy(proxy) = command(&line) else { panic!("not proxy") };
        proxy.access_log.map(AccessLogFormat::from)
    };
    assert_eq!(format(""), None);
    assert_eq!(format("--access-log"), Some(AccessLogFormat::Json));
    assert_eq!(format("--access-log=combined"), Some(AccessLogFormat::Combined));
    assert!(parse("isobar proxy --from a --to b --access-log=xml").is_err());
}
