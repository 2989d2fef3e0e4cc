//! What the binary prints for other programs: a schema that takes every file of `configs/`, completions
//! that the shell can read, manual pages that render and leave no command out.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

fn isobar(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_isobar")).args(args).output().unwrap()
}

fn text(args: &[&str]) -> String {
    let output = isobar(args);
    assert!(output.status.success() && output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What a program makes of a text; None: it is not installed here.
fn fed(program: &str, args: &[&str], input: &str) -> Option<Output> {
    let child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            eprintln!("{program} is not installed: not tried");
            return None;
        }
        Err(error) => panic!("{program}: {error}"),
    };
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    Some(output)
}

/// The commands as `--help` lists them.
fn commands() -> Vec<String> {
    let help = text(&["--help"]);
    let list = help.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    list.lines().map(|line| line.split_whitespace().next().unwrap().to_owned()).collect()
}

#[test]
fn the_schema_takes_every_file_of_configs() {
    let schema: Value = serde_json::from_str(&text(&["schema"])).unwrap();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let configs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs");
    let mut count = 0;
    for entry in fs::read_dir(configs).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "yaml") {
            continue;
        }
        let instance: Value = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        let objections: Vec<String> = validator
            .iter_errors(&instance)
            .map(|e| format!("{}: {e}", e.instance_path()))
            .collect();
        assert!(objections.is_empty(), "{}: {objections:?}", path.display());
        count += 1;
    }
    assert!(count >= 3, "{count}");
}

#[test]
fn the_schema_knows_the_strategies_and_their_options() {
    let schema: Value = serde_json::from_str(&text(&["schema"])).unwrap();
    let strategies = schema["$defs"]["strategy"]["anyOf"].as_array().unwrap();
    let names: Vec<&str> = strategies.iter().filter_map(|s| s["const"].as_str()).collect();
    assert!(names.contains(&"least_connections"), "{names:?}");
    let maps = strategies.iter().find(|s| s["type"] == "object").unwrap();
    let ip_hash = maps["properties"]["ip_hash"].to_string();
    assert!(ip_hash.contains("on_full") && ip_hash.contains("wait"), "{ip_hash}");
}

#[test]
fn completions_are_what_the_shell_reads() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = text(&["completions", shell]);
        for command in commands() {
            assert!(script.contains(&command), "{shell} does not know {command}");
        }
        if let Some(parsed) = match shell {
            "bash" | "zsh" | "fish" => fed(shell, &["-n"], &script),
            _ => None,
        } {
            assert!(parsed.status.success() && parsed.stderr.is_empty(), "{shell}: {parsed:?}");
        }
    }
    assert_eq!(isobar(&["completions", "cmd.exe"]).status.code(), Some(2));
}

/// Not only read: bash offers what fits.
#[test]
fn bash_completes() {
    let script = text(&["completions", "bash"]);
    let ask = |words: &str, cword: usize| {
        let asks = format!(
            "{script}\nCOMP_WORDS=({words}); COMP_CWORD={cword}; _isobar isobar \"${{COMP_WORDS[{cword}]}}\" x; printf '%s\\n' \"${{COMPREPLY[@]}}\"\n"
        );
        fed("bash", &["--norc", "-s"], &asks).map(|out| String::from_utf8(out.stdout).unwrap())
    };
    let Some(offered) = ask("isobar sch", 1) else { return };
    assert_eq!(offered.trim(), "schema");
    assert!(ask("isobar proxy --s", 2).unwrap().lines().any(|line| line == "--strategy"));
}

#[test]
fn manual_pages_render_and_leave_nothing_out() {
    let main = text(&["man"]);
    for command in commands() {
        assert!(main.contains(&command.replace('-', "\\-")), "{command} is not on the page");
        let page = text(&["man", &command]);
        let help = text(&[&command, "--help"]);
        for option in help.split_whitespace().filter(|word| word.starts_with("--")) {
            // `--access-log[=<FORMAT>]`: the name ends where a value may begin.
            let name = |c: char| c.is_ascii_alphanumeric() || c == '-';
            let option = option.split(|c| !name(c)).next().unwrap_or_default();
            let escaped = option.replace('-', "\\-");
            assert!(page.contains(&escaped), "{command}: {option} is not on its page");
        }
        rendered(&page);
    }
    for word in ["SIGNALS", "EXIT STATUS", "ENVIRONMENT", "FILES"] {
        assert!(main.contains(word), "{word}");
    }
    if let Some(shown) = rendered(&main) {
        assert!(shown.contains("isobar.yaml") && shown.contains("ISOBAR(1)"), "{shown}");
    }
    let keys = text(&["man", "isobar.yaml"]);
    assert!(keys.contains("\\fBslots\\fR") && keys.contains("Since: 0.1.0"));
    let shown = rendered(&keys);
    assert!(shown.is_none_or(|page| page.contains("Default: least_connections")));
    assert_eq!(isobar(&["man", "nothing"]).status.code(), Some(1));
}

/// As a terminal shows it; groff has no complaint.
fn rendered(page: &str) -> Option<String> {
    let output = fed("groff", &["-man", "-Tascii", "-ww", "-P-cbou"], page)?;
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}\n{page}");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn all_pages_go_into_a_directory() {
    let dir = std::env::temp_dir().join(format!("isobar-man-{}", std::process::id()));
    assert_eq!(text(&["man", "--into", dir.to_str().unwrap()]), "");
    let mut found: Vec<String> = fs::read_dir(&dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    let mut wanted: Vec<String> =
        commands().iter().map(|command| format!("isobar-{command}.1")).collect();
    wanted.push("isobar.1".to_owned());
    wanted.sort();
    assert_eq!(found, wanted);
    fs::remove_dir_all(&dir).unwrap();
    assert_eq!(isobar(&["man", "--into", "/dev/null/x"]).status.code(), Some(1));
}
