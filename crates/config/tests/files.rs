//! From files to a tree: the environment, anchors, includes, and the YAML that serde_yaml reads.

mod kit;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;

use isobar_config::model::*;
use isobar_config::{Colour, load, load_str_with};
use kit::{good, registry};

#[test]
fn the_environment_fills_scalars_and_never_becomes_yaml() {
    let env = |name: &str| match name {
        "PORT" => Some("8001".to_owned()),
        "SLOTS" => Some("4".to_owned()),
        "YAML" => Some("{ a: b }".to_owned()),
        _ => None,
    };
    let text = "listeners: { web: { bind: '127.0.0.1:${NONE:-0}', pool: app } }\n\
                pools: { app: { slots: ${SLOTS}, workers: [{ address: \"127.0.0.1:${PORT}\", name: 'a$$b' }] } }";
    // A flow collection needs the quotes; a block does not.
    let text = text.replace("${SLOTS}", "'${SLOTS}'");
    let config = load_str_with(&text, &registry(), &env).unwrap().config;
    let worker = &config.pools["app"].workers[0];
    assert_eq!((worker.name.as_str(), worker.slots), ("a$b", NonZeroU32::new(4)));
    assert_eq!(worker.address.to_string(), "127.0.0.1:8001");

    let text = "listeners: { web: { bind: 127.0.0.1:0, pool: app } }\npools:\n  app:\n    workers: [127.0.0.1:1]\n    health: ${YAML}";
    let problems = load_str_with(text, &registry(), &env).unwrap_err().render(Colour::Never);
    assert!(problems.contains("5:13: error: found `{ a: b }`"), "{problems}");
}

/// What stands in the environment is what is wrong; what is secret by its name or place is not shown.
#[test]
fn the_value_of_a_variable_is_shown_and_no_secret() {
    let env = |name: &str| match name {
        "PORT" => Some("eighty".to_owned()),
        "DB_PASSWORD" | "API_TOKEN" | "SIGNING_KEY" => Some("12345678".to_owned()),
        "URL" => Some("http://me:12345678@db:1".to_owned()),
        _ => None,
    };
    let told = |pool: &str| {
        let text = format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0, pool: app }} }}\n\
             pools: {{ app: {{ workers: [127.0.0.1:1]{pool} }} }}"
        );
        let problems = load_str_with(&text, &registry(), &env).unwrap_err();
        format!("{}{}", problems.render(Colour::Never), problems.to_json())
    };
    let shown = told(", connect_timeout: '${PORT}'");
    assert!(shown.contains("error: found `eighty`"), "{shown}");
    for secret in [
        ", connect_timeout: '${DB_PASSWORD}'",
        ", connect_timeout: 'x${API_TOKEN}'",
        ", strategy: '${SIGNING_KEY}'",
        ", '${DB_PASSWORD}': 1",
        ", maxconn: '${DB_PASSWORD}'",
        ", server: '${URL}'",
        ", discover: { file: { a: '${API_TOKEN}' } }",
        ", affinity: { secret: '${PORT}${URL}' }",
    ] {
        let told = told(secret);
        assert!(!told.contains("12345678"), "{secret}: {told}");
    }
}

#[test]
fn anchors_and_aliases_are_plain_yaml() {
    let config = good(
        "listeners: { web: { bind: 127.0.0.1:0, pool: a }, x: { bind: 127.0.0.1:0, pool: b } }\n\
         pools:\n  a: &same { workers: [127.0.0.1:1] }\n  b: *same\n",
    )
    .config;
    assert_eq!(config.pools["a"].workers, config.pools["b"].workers);
}

#[test]
fn includes_are_merged() {
    let dir = Dir::new("merged");
    let main = dir.write(
        "isobar.yaml",
        "include: [conf.d/*.yaml]\nlisteners: { web: { bind: 127.0.0.1:0, pool: app } }\n",
    );
    dir.write("conf.d/a.yaml", "pools: { app: { workers: [127.0.0.1:1] } }\ninclude: more.yml\n");
    dir.write("conf.d/more.yml", "pools: { b: { workers: [127.0.0.1:2] } }\nshards: 2\n");
    dir.write("conf.d/.hidden.yaml", "broken");
    dir.write("conf.d/b.yaml", "listeners: { x: { bind: 127.0.0.1:0, pool: b } }\n");
    let config = load(&main, &registry()).unwrap_or_else(|p| panic!("{p}")).config;
    assert_eq!(config.summary().to_string(), "2 listeners, 2 routes, 2 pools, 2 workers");
    assert_eq!(config.shards, Shards::Count(NonZeroUsize::new(2).unwrap()));
}

#[test]
fn includes_that_go_wrong_say_where() {
    let dir = Dir::new("wrong");
    let main = dir.write(
        "isobar.yaml",
        "include: [conf.d/*.yaml, gone.yaml, 'c*/x.yaml', conf.d]\nshards: 1\npools: { app: { workers: [127.0.0.1:1] } }\n",
    );
    dir.write(
        "conf.d/a.yaml",
        "include: ../isobar.yaml\nshards: 2\npools: { app: { workers: [127.0.0.1:1] } }\n",
    );
    dir.write("conf.d/b.yaml", "a: [\n");
    let text = load(&main, &registry()).unwrap_err().render(Colour::Never);
    for part in [
        "a.yaml:1:10: error: ",
        "includes itself",
        "a.yaml:2:9: error: `shards` is given in more than one file",
        "a.yaml:3:10: error: found the pool `app` a second time",
        "it is given at",
        "b.yaml:1:4: error: not valid YAML",
        "isobar.yaml:1:26: error: cannot read",
        "isobar.yaml:1:37: error: cannot include `c*/x.yaml`",
        "it is a directory",
    ] {
        assert!(text.contains(part), "{part}\n---\n{text}");
    }
    assert!(!text.contains("found no listener"), "what is missing may only look missing:\n{text}");
}

/// Two YAML parsers agree on what a good file says.
#[test]
fn the_tree_reads_yaml_as_serde_yaml_does() {
    let text = "listeners:\n  web:\n    bind: 127.0.0.1:0 # here\n    pool: 'a'\npools:\n  a:\n    workers:\n    - 127.0.0.1:1\n    - {address: \"127.0.0.1:2\", name: two}\n";
    let value: serde_yaml::Value = serde_yaml::from_str(text).unwrap();
    let config = good(text).config;
    let pool = &value["pools"]["a"]["workers"];
    assert_eq!(pool[0], config.pools["a"].workers[0].name);
    assert_eq!(pool[1]["address"], config.pools["a"].workers[1].address.to_string());
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("isobar-config-{}-{name}", std::process::id()));
        std::fs::create_dir_all(dir.join("conf.d")).unwrap();
        Dir(dir)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
