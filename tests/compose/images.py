"""The base images that the compose files name, for a machine without a registry: made from Debian's
packages, this machine's Rust toolchain, and crates and wheels fetched beforehand, so that
`docker build` needs no network. They are kept under names of their own (`isobar-test/…`); the names
of the compose files are only lent to them, and only where no real image has that name."""

import contextlib
import hashlib
import os
import pathlib
import re
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "compose"
SUITE, MIRROR = "trixie", "http://deb.debian.org/debian"
PACKAGES = "ca-certificates,python3,python3-pip,gcc,libc6-dev,prometheus"
# Inherited by whatever is built on these images: what this test may remove.
LABEL = "LABEL isobar-test=made"


class Skipped(Exception):
    """This machine cannot do it."""


def run(*command, timeout=60, **more):
    """Its output; an error that shows what it said."""
    more = {"cwd": ROOT, "stdin": subprocess.DEVNULL, "text": True, "timeout": timeout} | more
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more)
    if done.returncode != 0:
        said = (done.stdout + done.stderr)[-3000:]
        raise RuntimeError(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{said}")
    return done.stdout.strip()


def named_by_the_files():
    """The base images of the Dockerfiles and compose files."""
    texts = [(ROOT / name).read_text() for name in ("Dockerfile", "packaging/compose/app/Dockerfile")]
    rust, python = (re.search(r"^FROM (\S+)", text, re.M).group(1) for text in texts)
    prometheus = re.search(r'image: "(prom/\S+)"', (ROOT / "docker-compose.yml").read_text()).group(1)
    return {rust: _rust, python: _python, prometheus: _prometheus}


@contextlib.contextmanager
def lent():
    """While it lasts, every base image is there by the name that the files use."""
    names = []
    try:
        for name, make in named_by_the_files().items():
            if _exists(name):
                print(f"compose: {name} is here already", flush=True)
                continue
            try:
                made = make()
            except (RuntimeError, OSError, subprocess.TimeoutExpired) as error:
                # No mirror, no room: the compose files have not been tried, so nothing is known of them.
                raise Skipped(f"the base image {name} cannot be made here: {error}") from error
            run("docker", "tag", made, name)
            names.append(name)
        yield
    finally:
        for name in names:
            run("docker", "rmi", name)


def unused(before):
    """Removes the dangling images of earlier builds, as listed `before` the newest one."""
    for image in before & dangling():
        subprocess.run(["docker", "rmi", image], capture_output=True, timeout=60)


def dangling():
    listed = run("docker", "images", "-q", "--filter", "dangling=true", "--filter", "label=isobar-test=made")
    return set(listed.split())


def _exists(name):
    return subprocess.run(["docker", "image", "inspect", name], capture_output=True, timeout=60).returncode == 0


def _kept(kind, recipe, make):
    """The image of this recipe, made when it is not here; the one of an older recipe goes."""
    name = f"isobar-test/{kind}:{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    if not _exists(name):
        print(f"compose: making {name}", flush=True)
        older = run("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", f"isobar-test/{kind}").split()
        make(name)
        for image in older:
            subprocess.run(["docker", "rmi", image], capture_output=True, timeout=60)
    return name


def _base():
    recipe = f"{SUITE} {PACKAGES}"

    def make(name):
        if not shutil.which("mmdebstrap"):
            if not shutil.which("apt-get"):
                raise Skipped("base images are made with mmdebstrap, which is not here")
            print("compose: installing the Debian package mmdebstrap", flush=True)
            environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
            run("apt-get", "update", "-qq", timeout=180, env=environment)
            run("apt-get", "install", "-y", "-qq", "--no-install-recommends", "mmdebstrap", timeout=180, env=environment)
        # The archive's folder of documents is nobody's need here; disks need not be flushed.
        options = ["--variant=minbase", "--dpkgopt=force-unsafe-io", "--dpkgopt=path-exclude=/usr/share/doc/*"]
        options += ["--aptopt=Apt::Install-Recommends false", "--quiet", f"--include={PACKAGES}"]
        made = subprocess.Popen(["mmdebstrap", *options, SUITE, "-", MIRROR], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        try:
            run("docker", "import", "-c", LABEL, "-", name, stdin=made.stdout, timeout=600)
        finally:
            made.stdout.close()
            if made.wait(timeout=60) != 0:
                subprocess.run(["docker", "rmi", name], capture_output=True, timeout=60)
                raise RuntimeError(f"mmdebstrap ended with {made.returncode}")

    return _kept("base", recipe, make)


def _with(base, name, folders, changes):
    """A copy of `base` with folders copied in ({path inside: (folder, entries)}) and settings."""
    container = run("docker", "create", base, "true")
    try:
        for inside, (folder, entries) in folders.items():
            there = ["--transform", f"s,^,{inside.strip('/')}/,", "--owner=0", "--group=0"]
            pack = subprocess.Popen(["tar", "-C", folder, *there, "-c", *entries], stdout=subprocess.PIPE)
            run("docker", "cp", "-", f"{container}:/", stdin=pack.stdout, timeout=300)
            pack.stdout.close()
            if pack.wait(timeout=60) != 0:
                raise RuntimeError(f"tar of {folder} ended with {pack.returncode}")
        changes = [word for change in [LABEL, *changes] for word in ("--change", change)]
        run("docker", "commit", *changes, container, name, timeout=300)
    finally:
        run("docker", "rm", container)


def _rust():
    sysroot = pathlib.Path(run("rustc", "--print", "sysroot"))
    version, host = run("rustc", "--version"), run("rustc", "--print", "host-tuple")
    base = _base()

    entries = ["bin/cargo", "bin/rustc", f"lib/rustlib/{host}"]
    entries += sorted(f"lib/{file.name}" for file in (sysroot / "lib").glob("lib*.so*"))

    def toolchain(name):
        _with(base, name, {"/usr/local": (sysroot, entries)}, [])

    toolchain = _kept("toolchain", f"{base} {version} {entries}", toolchain)

    def crates(name):
        home = CACHE / "cargo"
        run("cargo", "fetch", "--locked", "--target", host, env=os.environ | {"CARGO_HOME": str(home)}, timeout=300)
        registry = {"/usr/local/cargo/registry": (home / "registry", ["cache", "index"])}
        _with(toolchain, name, registry, ["ENV CARGO_HOME=/usr/local/cargo CARGO_NET_OFFLINE=true"])
        shutil.rmtree(home / "registry/src", ignore_errors=True)

    return _kept("rust", f"{toolchain} {(ROOT / 'Cargo.lock').read_text()}", crates)


def _python():
    base = _base()
    dockerfile = (ROOT / "packaging/compose/app/Dockerfile").read_text()
    wanted = re.findall(r"\S+==\S+", dockerfile)

    def make(name):
        wheels = CACHE / "wheels"
        shutil.rmtree(wheels, ignore_errors=True)
        run("python3", "-m", "pip", "download", "-q", "--only-binary=:all:", "-d", wheels, *wanted, timeout=180)
        offline = "ENV PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels PIP_BREAK_SYSTEM_PACKAGES=1"
        _with(base, name, {"/wheels": (wheels, ["."])}, [offline])

    return _kept("python", f"{base} {wanted}", make)


def _prometheus():
    base = _base()

    def make(name):
        data = CACHE / "prometheus"
        (data / "prometheus").mkdir(parents=True, exist_ok=True)
        (data / "prometheus").chmod(0o777)
        entry = 'ENTRYPOINT ["/bin/prometheus"]'
        command = 'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/prometheus"]'
        _with(base, name, {"/": (data, ["prometheus"])}, ["USER nobody", "WORKDIR /prometheus", entry, command])

    return _kept("prometheus", base, make)
