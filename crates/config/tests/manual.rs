//! The reference of the keys is what the program reads.

mod kit;

use std::fs;

use serde_json::Value;

/// After a key was added or changed: `BLESS=1 cargo test -p isobar-config --test manual`.
#[test]
fn docs_configuration_is_what_the_schema_says() {
    let path = kit::root().join("docs/configuration.md");
    let now = isobar_config::markdown();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, &now).unwrap();
    }
    let before = fs::read_to_string(&path).unwrap_or_default();
    let differs = now.lines().zip(before.lines()).find(|(now, before)| now != before);
    assert!(
        now == before,
        "docs/configuration.md is old, run `BLESS=1 cargo test -p isobar-config --test manual`: {differs:?}"
    );
}

#[test]
fn both_forms_have_every_key_with_an_example_that_is_yaml() {
    let (markdown, roff) = (isobar_config::markdown(), isobar_config::manual_page());
    let schema = kit::schema();
    let mut keys = 0;
    for (section, shape) in schema["$defs"].as_object().unwrap() {
        for (key, shape) in shape["properties"].as_object().into_iter().flatten() {
            if shape["description"] == "Not built yet." || section == "strategy" {
                continue;
            }
            keys += 1;
            assert!(markdown.contains(&format!("\n| `{key}` |")), "{section}.{key}");
            let name = key.replace('-', "\\-");
            assert!(roff.contains(&format!("\n\\fB{name}\\fR\n")), "{section}.{key}");
        }
    }
    assert!(keys > 100, "{keys}");
    let rows = markdown.lines().filter(|line| line.starts_with("| `"));
    let mut examples = 0;
    for row in rows {
        let row = row.replace("\\|", "\u{1}");
        let cells: Vec<&str> = row.split(" | ").collect();
        let [name, meaning, takes, _, example, since] = cells[..] else { panic!("{row}") };
        assert!(meaning.len() > 3 && !takes.is_empty() && since.contains('.'), "{row}");
        let example = example.trim_matches('`').replace('\u{1}', "|");
        if !example.is_empty() {
            let read: Value =
                serde_yaml::from_str(&example).unwrap_or_else(|e| panic!("{row}: {e}"));
            let key = name.trim_start_matches("| ").trim_matches('`');
            assert!(!read[key].is_null() || example.ends_with('~'), "{row}");
            examples += 1;
        }
    }
    assert!(examples * 10 > keys * 9, "{examples} of {keys} keys have an example");
}
