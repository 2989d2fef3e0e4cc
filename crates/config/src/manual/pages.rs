//! The two forms of the reference: Markdown and roff.

use std::fmt::Write as _;

use super::Section;

const INTRODUCTION: &str = "\
One YAML file says everything. `isobar check` tells every mistake in it at once, with its place and what to write \
instead; `isobar schema` prints the same keys as a JSON Schema for editors. Unknown keys are errors. Durations need a \
unit (`5s`, `250ms`, `1h30m`), sizes may have one (`64KiB`). What can be turned off is turned off by `off` or `false`. \
`${VAR}`, `${VAR:-default}` and `${VAR:?message}` are filled in from the environment, `$$` is one `$`.";

const EXAMPLE: &str = "\
listeners:
  web: { bind: 0.0.0.0:8080, pool: app }
pools:
  app:
    slots: 1
    workers: [127.0.0.1:8001, 127.0.0.1:8002]
";

pub(super) fn markdown(sections: &[Section]) -> String {
    let mut out = String::from("# Every key of the configuration\n\n");
    let _ = writeln!(
        out,
        "{INTRODUCTION}\n\n```yaml\n{EXAMPLE}```\n\n`NAME` is a name of your own, `[]` an item of a list. The \
         strategies and their options are in [strategies.md](strategies.md), the filters in \
         [filters.md](filters.md).\n\nThis page is made from the program; `BLESS=1 cargo test -p isobar-config \
         --test manual` writes it anew."
    );
    for section in sections {
        let title = match &*section.place {
            "" => "The top of the file".to_owned(),
            place => format!("`{place}`"),
        };
        let _ = writeln!(out, "\n## {title}\n");
        if !section.about.is_empty() && !section.place.is_empty() {
            let _ = writeln!(out, "{}\n", section.about);
        }
        if !section.also.is_empty() {
            let also: Vec<String> = section.also.iter().map(|place| format!("`{place}`")).collect();
            let _ = writeln!(out, "The same in {}.\n", also.join(", "));
        }
        out.push_str("| key | what it means | what it takes | default | example | since |\n");
        out.push_str("|---|---|---|---|---|---|\n");
        for key in &section.keys {
            let code = |text: &str| match text {
                "" => String::new(),
                text => format!("`{text}`"),
            };
            let cells = [
                code(&key.name),
                key.meaning.clone(),
                key.takes.clone(),
                code(&key.default),
                code(&key.example),
                key.since.clone(),
            ];
            let cells = cells.map(|cell| cell.replace('|', "\\|"));
            let _ = writeln!(out, "| {} |", cells.join(" | "));
        }
    }
    out
}

pub(super) fn roff(sections: &[Section]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = format!(".TH ISOBAR.YAML 5 \"\" \"isobar {version}\" Isobar\n");
    out.push_str(".SH NAME\nisobar.yaml \\- the configuration of isobar\n.SH DESCRIPTION\n");
    let _ = writeln!(out, "{}", escaped(INTRODUCTION));
    let _ = writeln!(out, ".PP\nNAME is a name of your own, [] an item of a list.");
    let _ = writeln!(out, ".SH EXAMPLE\n.nf\n{}.fi", escaped(EXAMPLE));
    for section in sections {
        let title = match &*section.place {
            "" => "THE TOP OF THE FILE".to_owned(),
            place => escaped(place),
        };
        let _ = writeln!(out, ".SH \"{title}\"");
        if !section.about.is_empty() && !section.place.is_empty() {
            let _ = writeln!(out, "{}", escaped(&section.about));
        }
        if !section.also.is_empty() {
            let _ = writeln!(out, "The same in {}.", escaped(&section.also.join(", ")));
        }
        for key in &section.keys {
            let _ = writeln!(out, ".TP\n\\fB{}\\fR", escaped(&key.name));
            let _ = writeln!(out, "{}", escaped(&key.meaning));
            let _ = writeln!(out, ".br\nTakes: {}.", escaped(&key.takes));
            if !key.default.is_empty() {
                let _ = writeln!(out, ".br\nDefault: {}", escaped(&key.default));
            }
            if !key.example.is_empty() {
                let _ = writeln!(out, ".br\nExample: {}", escaped(&key.example));
            }
            let _ = writeln!(out, ".br\nSince: {}", escaped(&key.since));
        }
    }
    out.push_str(".SH FILES\n.TP\n\\&./isobar.yaml, /etc/isobar/isobar.yaml\n");
    out.push_str(
        "Where it is looked for, unless \\fB\\-c\\fR or ISOBAR_CONFIG says another place.\n",
    );
    out.push_str(".SH SEE ALSO\n\\fBisobar\\fR(1), \\fBisobar\\-check\\fR(1)\n");
    out
}

/// What roff would take for its own.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('`', "").replace('"', "\\(dq");
    // A terminal without Unicode has no such character.
    let text = text.replace('…', "...");
    let lines = text.lines().map(|line| match line.starts_with(['.', '\'']) {
        true => format!("\\&{line}"),
        false => line.to_owned(),
    });
    let mut out = lines.collect::<Vec<_>>().join("\n");
    if text.ends_with('\n') {
        out.push('\n');
    }
    out
}
