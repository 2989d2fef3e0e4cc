//! Host names, files of workers, and who resolves names.

mod kit;

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use isobar_config::model::{Address, Host, Pool};
use isobar_config::{Colour, Config, load, load_workers};
use kit::registry;

#[track_caller]
fn good(pool: &str) -> (Config, Pool) {
    let text = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0, pool: app }} }}\npools: {{ app: {pool} }}"
    );
    let loaded = kit::good(&text);
    assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
    let pool = loaded.config.pools["app"].clone();
    (loaded.config, pool)
}

fn host(name: &str, min: u64, max: u64) -> Address {
    let (min, max) = (Duration::from_millis(min), Duration::from_millis(max));
    Address::Host(Host { name: name.to_owned(), port: 8000, min, max })
}

#[test]
fn a_worker_may_be_a_host_name() {
    let (config, pool) = good(
        "{ slots: 2, queue: { timeout: 1s }, workers: [App_1.internal:8000, 'app.:8000',\n\
         { address: 'a:8000', resolve: { max: 500ms }, weight: 3, tier: 1, slots: off },\n\
         { address: 'b:8000', resolve: { min: 60s } }, { address: 'c:8000', resolve: { min: 2s, max: 2s } }] }",
    );
    assert!(config.dns_servers.is_empty());
    let addresses: Vec<Address> = pool.workers.iter().map(|w| w.address.clone()).collect();
    assert_eq!(
        addresses,
        [
            host("app_1.internal", 1_000, 30_000),
            host("app.", 1_000, 30_000),
            host("a", 500, 500),
            host("b", 60_000, 60_000),
            host("c", 2_000, 2_000),
        ]
    );
    assert_eq!(pool.workers[0].name, "app_1.internal:8000");
    assert_eq!((pool.slots, pool.workers[2].slots), (NonZeroU32::new(2), None));
    // As many as there will be is not known: the queue grows.
    assert_eq!(pool.queue_per_slot, Some(100));
    assert_eq!(pool.queue.map(|q| (q.max, q.timeout)), Some((800, Duration::from_secs(1))));
    let (_, fixed) = good("{ slots: 1, workers: [127.0.0.1:1] }");
    assert_eq!(fixed.queue_per_slot, None);
    let (_, given) = good("{ slots: 1, queue: { max: 5 }, workers: [a:1] }");
    assert_eq!((given.queue_per_slot, given.queue.map(|q| q.max)), (None, Some(5)));
}

#[test]
fn dns_servers_have_a_port() {
    for (dns, servers) in [
        ("{ servers: [127.0.0.1:5353, '::1', 9.9.9.9] }", "[127.0.0.1:5353, [::1]:53, 9.9.9.9:53]"),
        ("{ servers: 127.0.0.11 }", "[127.0.0.11:53]"),
        ("off", "[]"),
        ("{}", "[]"),
    ] {
        let text = format!(
            "dns: {dns}\nlisteners: {{ web: {{ bind: 127.0.0.1:0, pool: app }} }}\npools: {{ app: {{ workers: [a:1] }} }}"
        );
        let config = kit::good(&text).config;
        assert_eq!(format!("{:?}", config.dns_servers), servers);
    }
}

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("isobar-list-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_file_of_workers_lies_beside_the_file_that_names_it() {
    let dir = Dir::new("beside");
    fs::create_dir_all(dir.0.join("conf.d")).unwrap();
    fs::write(
        dir.0.join("isobar.yaml"),
        "include: conf.d/*.yaml\nlisteners: { web: { bind: 127.0.0.1:0, pool: app } }",
    )
    .unwrap();
    let pools = "pools: { app: { discover: { file: list.yaml } } }";
    fs::write(dir.0.join("conf.d/pools.yaml"), pools).unwrap();
    // It may come later, or be misspelt.
    let loaded = load(&dir.0.join("isobar.yaml"), &registry()).unwrap();
    let told = loaded.warnings.render(Colour::Never);
    assert!(told.contains("pools.yaml:1:35: warning: there is no file `"), "{told}");
    assert!(told.contains("conf.d/list.yaml` yet"), "{told}");
    let pool = &loaded.config.pools["app"];
    assert_eq!(pool.discover, Some(dir.0.join("conf.d/list.yaml")));
    assert!(pool.workers.is_empty());
    // Its workers may have slots.
    assert!(pool.queue.is_some() && pool.buffer.request > 0);
    let list = dir.0.join("elsewhere.yaml");
    fs::write(&list, "[]").unwrap();
    let there = format!("{{ discover: {{ file: '{}' }} }}", list.display());
    assert_eq!(good(&there).1.discover, Some(list));
}

#[test]
fn a_file_of_workers_is_a_list_as_in_a_pool() {
    let dir = Dir::new("list");
    let path = dir.0.join("workers.yaml");
    let listed = |text: &str| {
        fs::write(&path, text).unwrap();
        load_workers(&path)
    };
    let workers = listed(
        "- 127.0.0.1:1\n- { address: 'app:8000', slots: 3 }\n- { name: u, address: 'unix:/u', slots: off }\n",
    );
    let workers = workers.unwrap();
    let seen: Vec<_> = workers
        .iter()
        .map(|w| (w.worker.name.as_str(), w.own_slots, w.worker.slots.map(NonZeroU32::get)))
        .collect();
    assert_eq!(
        seen,
        [("127.0.0.1:1", false, None), ("app:8000", true, Some(3)), ("u", true, None)]
    );
    assert_eq!(listed("[]").unwrap(), []);
    for (text, part) in [
        ("", "the file is empty"),
        ("workers: [127.0.0.1:1]", "1:1: error: found a map"),
        ("- 127.0.0.1:1\n- 127.0.0.1:1\n", "2:3: error: found this address a second time"),
        ("- { address: 127.0.0.1:1, wieght: 2 }", "did you mean `weight`?"),
        ("- 127.0.0.1:1\n- [", "2:"),
    ] {
        let problems = listed(text).unwrap_err().render(Colour::Never);
        assert!(problems.contains(part), "{problems}");
    }
    let unreadable = |path: &Path| load_workers(path).unwrap_err().render(Colour::Never);
    assert!(unreadable(&dir.0).contains("it is a directory"));
    assert!(unreadable(&dir.0.join("none")).contains("No such file"));
    fs::write(&path, "#".repeat(2 << 20)).unwrap();
    assert!(unreadable(&path).contains("bigger than 1 MiB"));
}
