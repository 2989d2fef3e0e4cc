//! The systemd unit and the Debian package: installed into a root of its own, started as the unit
//! says, told about over the socket systemd would listen on, removed.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use isobar_tests::isobar::binary;
use isobar_tests::scratch::Scratch;
use isobar_tests::skip;
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_package_is_installed_started_and_removed() {
    let missing = |tool| Command::new(tool).arg("--version").output().is_err();
    if !rustix::process::geteuid().is_root() {
        return skip::note("packaging", "dpkg installs as root only");
    }
    if missing("dpkg") || missing("dpkg-deb") {
        return skip::note("packaging", "this machine has no dpkg");
    }
    let scratch = Scratch::new();
    let made = run(Command::new(root().join("packaging/deb")).arg(binary()).arg(scratch.path()));
    let package = String::from_utf8_lossy(&made.stdout).trim().to_owned();

    // A system of its own: nothing of this machine's is touched.
    let system = scratch.file("system");
    for folder in ["var/lib/dpkg/info", "var/lib/dpkg/updates", "tmp"] {
        std::fs::create_dir_all(system.join(folder)).expect("a folder");
    }
    std::fs::write(system.join("var/lib/dpkg/status"), "").expect("writes");
    let dpkg = |arguments: &[&str]| {
        let mut dpkg = Command::new("dpkg");
        dpkg.arg(format!("--root={}", system.display())).arg("--force-depends");
        // There is no shell in that root: the maintainer scripts run in this one and know it.
        dpkg.arg("--force-script-chrootless").args(arguments);
        run(&mut dpkg)
    };
    dpkg(&["-i", &package]);
    let binary = system.join("usr/bin/isobar");
    for page in ["isobar", "isobar-run", "isobar-check"] {
        let page = system.join(format!("usr/share/man/man1/{page}.1.gz"));
        assert!(page.exists(), "{}", page.display());
    }
    assert!(system.join("usr/share/man/man5/isobar.yaml.5.gz").exists());

    for file in [
        "usr/share/bash-completion/completions/isobar",
        "usr/share/zsh/vendor-completions/_isobar",
        "usr/share/fish/vendor_completions.d/isobar.fish",
        "usr/share/doc/isobar/README.md",
        "usr/share/doc/isobar/reference.md",
        "usr/share/doc/isobar/changelog.gz",
        "usr/share/doc/isobar/copyright",
        "usr/share/doc/isobar/schema.json",
        "usr/share/doc/isobar/examples/gunicorn.yaml",
    ] {
        let size = std::fs::metadata(system.join(file)).map(|file| file.len());
        assert!(size.is_ok_and(|size| size > 0), "{file}");
    }
    let rotated = system.join("etc/logrotate.d/isobar");
    let rotate = std::fs::read_to_string(&rotated).expect("the logrotate file");
    assert!(rotate.contains("/var/log/isobar/*.log") && rotate.contains("USR1"), "{rotate}");
    for script in ["postinst", "prerm", "postrm"] {
        let script = system.join(format!("var/lib/dpkg/info/isobar.{script}"));
        run(Command::new("sh").arg("-n").arg(&script));
    }
    let logs = system.join("var/log/private/isobar");
    std::fs::create_dir_all(&logs).expect("a folder");
    std::fs::write(logs.join("access.log"), "a line\n").expect("writes");

    // As the unit says, but in that root and on ports that are free.
    let config = system.join("etc/isobar/isobar.yaml");
    let text = std::fs::read_to_string(&config).expect("the configuration");
    let admin = format!("admin: {{ bind: \"unix:{}\" }}\n", scratch.file("a").display());
    std::fs::write(&config, admin + &text.replace(":8080", ":0")).expect("writes");
    let there = |line: String| {
        let there = line.replace("/etc/isobar/isobar.yaml", &config.display().to_string());
        let mut words = there.split_whitespace().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("/usr/bin/isobar"));
        words.collect::<Vec<_>>()
    };
    let unit = std::fs::read_to_string(system.join("lib/systemd/system/isobar.service"));
    let unit = unit.expect("the unit");
    let exec = |key: &str| {
        let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        there(line.expect("an Exec line").to_owned())
    };
    assert!(unit.contains("Type=notify"));
    run(Command::new(&binary).args(exec("ExecStartPre")));

    let socket = scratch.file("notify");
    let told = UnixDatagram::bind(&socket).expect("a socket");
    told.set_read_timeout(Some(PATIENCE)).expect("patience");
    let mut command = Command::new(&binary);
    command.args(exec("ExecStart")).env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "200000");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut service = Service(command.spawn().expect("starts"));
    wait_for(&told, "READY=1");
    wait_for(&told, "WATCHDOG=1");
    run(Command::new(&binary).args(exec("ExecReload")));
    let reloading = wait_for(&told, "RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    wait_for(&told, "READY=1");
    kill_process(Pid::from_child(&service.0), Signal::TERM).expect("it is there");
    wait_for(&told, "STOPPING=1");
    assert!(service.0.wait().expect("waits").success());

    // Removed, its configuration and logs stay; purged, nothing does.
    dpkg(&["-r", "isobar"]);
    assert!(!binary.exists() && config.exists() && rotated.exists() && logs.exists());
    dpkg(&["-P", "isobar"]);
    let left = [&config, &rotated, &logs].into_iter().find(|path| path.exists());
    assert!(left.is_none(), "{left:?} was left behind");
}

fn wait_for(told: &UnixDatagram, state: &str) -> String {
    let until = Instant::now() + PATIENCE;
    while Instant::now() < until {
        let mut buffer = [0; 512];
        let length = told.recv(&mut buffer).unwrap_or_else(|error| panic!("{state}: {error}"));
        let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
        if text.lines().any(|line| line == state) {
            return text;
        }
    }
    panic!("never told {state}");
}

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn run(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().expect("runs");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
