"""Starting, stopping and weighing processes. Nothing is ended that was not started here."""

import atexit
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

PROXY_CORE, LOAD_CORE = "0", "1"
SCRATCH = tempfile.mkdtemp(prefix="isobar-bench-")
_started = []


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(command, cores, port):
    """Starts it on these cores and waits until it listens."""
    log = os.path.join(SCRATCH, f"{os.path.basename(command[0])}-{port}.log")
    process = subprocess.Popen(
        ["taskset", "-c", cores, *command],
        stdin=subprocess.DEVNULL,
        stdout=open(log, "w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    _started.append(process)
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 0.3).close()
            return process
        except OSError:
            time.sleep(0.02)
    stop(process)
    raise SystemExit(f"{command} does not listen on {port}:\n{open(log).read()[-2000:]}")


def stop(process):
    """By the ids of its own tree."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for pid in tree(process.pid):
            try:
                os.kill(pid, sign)
            except ProcessLookupError:
                pass
        try:
            process.wait(3)
            break
        except subprocess.TimeoutExpired:
            continue
    if process in _started:
        _started.remove(process)


@atexit.register
def _stop_all():
    for process in list(_started):
        stop(process)
    subprocess.run(["rm", "-rf", SCRATCH], check=False)


def tree(pid):
    """The process and all that descend from it."""
    found, ahead = [], [pid]
    while ahead:
        pid = ahead.pop()
        found.append(pid)
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children") as children:
                    ahead += [int(word) for word in children.read().split()]
        except OSError:
            continue
    return found


def cpu_seconds(pid):
    total = 0
    for pid in tree(pid):
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat") as schedstat:
                    total += int(schedstat.read().split()[0])
        except OSError:
            continue
    return total / 1e9


def resident_kib(pid):
    """Proportional, so that pages which nginx's processes share count once."""
    total = 0
    for pid in tree(pid):
        with open(f"/proc/{pid}/smaps_rollup") as rollup:
            total += int(re.search(r"^Pss:\s+(\d+)", rollup.read(), re.M)[1])
    return total


def on_load_core(command):
    done = subprocess.run(
        ["taskset", "-c", LOAD_CORE, *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout
