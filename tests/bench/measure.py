"""Starting, stopping and weighing processes. Nothing is ended that was not started here."""

import atexit
import os
import re
import resource
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
    process = spawn(command, cores, port)
    wait_until_listening(process, port)
    return process


def spawn(command, cores, port, environment=None, folder=None):
    """Starts it on these cores; the port names its log."""
    process = subprocess.Popen(
        ["taskset", "-c", cores, *command],
        stdin=subprocess.DEVNULL,
        stdout=open(_log(port), "w"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env=environment,
        cwd=folder,
    )
    _started.append(process)
    return process


def wait_until_listening(process, port):
    end = time.monotonic() + 15
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            socket.create_connection(("127.0.0.1", port), 0.3).close()
            return
        except OSError:
            time.sleep(0.02)
    stop(process)
    raise SystemExit(f"{process.args} does not listen on {port}:\n{open(_log(port)).read()[-2000:]}")


def _log(port):
    return os.path.join(SCRATCH, f"{port}.log")


def stop(process):
    stop_all([process])


def stop_all(processes):
    """By the ids of their own trees; those that do not end within three seconds are killed."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            signal_tree(process, sign)
        end = time.monotonic() + 3
        for process in processes:
            try:
                process.wait(max(0.0, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                pass
        processes = [process for process in processes if process.poll() is None]
        if not processes:
            break
    _started[:] = [process for process in _started if process.poll() is None]


def signal_tree(process, sign):
    for pid in tree(process.pid):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            pass


@atexit.register
def _stop_all():
    stop_all(list(_started))
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
    if done.returncode:
        raise SystemExit(f"{command} failed:\n{done.stderr}")
    return done.stdout


def answers(address, path, patience=20):
    """Whether it answers 200, on a connection of its own."""
    host, port = address.split(":")
    request = f"GET {path} HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection((host, int(port)), patience) as connection:
            connection.settimeout(patience)
            connection.sendall(request)
            answer = b""
            while piece := connection.recv(65536):
                answer += piece
    except OSError:
        return False
    return answer.startswith(b"HTTP/1.1 200")


def log_of(process):
    """The end of what a process of `spawn` has said."""
    with open(os.readlink(f"/proc/{process.pid}/fd/1")) as log:
        return log.read()[-2000:]


def machine_cpu_seconds():
    """All that all of this machine's cores have worked."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq = (int(word) for word in stat.readline().split()[1:8])
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def raise_descriptor_limit():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
