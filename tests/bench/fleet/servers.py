"""The application servers: a fleet is one server's workers as one front has them for itself."""

import os
import pathlib
import sys
import time

import measure

APPS = pathlib.Path(__file__).resolve().parent / "apps"
# Where workers are recycled: after so many requests, and what a fresh one needs before it serves.
RECYCLE_AFTER, COLD_SECONDS = 200, 1.0


class Server:
    """How one kind is started. `workers` addresses of `slots` slots each."""

    def __init__(self, name, about, workers, slots, command, restarts=False):
        self.name = name
        self.about = about
        self.workers = workers
        self.slots = slots
        self.command = command
        # All work is so much longer, so that more slots do not mean more requests.
        self.stretch = slots if workers > 1 else 1
        # A server that ends after so many requests has to be started again by somebody.
        self.restarts = restarts

    @property
    def capacity(self):
        return self.workers * self.slots

    @property
    def units(self):
        """How many processes do the work: what a line of the journal calls an index."""
        return self.workers if self.workers > 1 else self.slots


def _gunicorn(*options):
    def command(python, port, recycle):
        limit = ["--max-requests", str(RECYCLE_AFTER)] if recycle else []
        base = [python, "-m", "gunicorn", "--log-level", "critical", "-b", f"127.0.0.1:{port}"]
        return [*base, *options, *limit, "wsgi:app"]

    return command


def _uvicorn(python, port, recycle):
    limit = ["--limit-max-requests", str(RECYCLE_AFTER)] if recycle else []
    base = [python, "-m", "uvicorn", "--log-level", "critical", "--no-access-log"]
    return [*base, "--host", "127.0.0.1", "--port", str(port), *limit, "asgi:app"]


def _node(_python, _port, _recycle):
    return ["node", "server.js"]


SERVERS = [
    Server("gunicorn 4×1", "4 × `gunicorn -w 1` (sync)", 4, 1, _gunicorn("-w", "1")),
    Server("gunicorn -w 4", "1 × `gunicorn -w 4` (sync), one address", 1, 4, _gunicorn("-w", "4")),
    Server(
        "gthread",
        "4 × `gunicorn -w 1 -k gthread --threads 2`; all work takes twice as long, so that the rate is the others'",
        4,
        2,
        _gunicorn("-w", "1", "-k", "gthread", "--threads", "2"),
    ),
    Server("uvicorn", "4 × `uvicorn`, work holds the loop", 4, 1, _uvicorn, restarts=True),
    Server("node", "4 × `node`, work holds the loop", 4, 1, _node, restarts=True),
]


class Fleet:
    """The workers of one server, started for one front."""

    def __init__(self, server, python, recycle):
        self.server = server
        self.ports = [measure.free_port() for _ in range(server.workers)]
        self.journal = os.path.join(measure.SCRATCH, f"journal-{self.ports[0]}")
        self.addresses = [f"127.0.0.1:{port}" for port in self.ports]
        self.processes = []
        for index, port in enumerate(self.ports):
            command = server.command(python, port, recycle)
            if recycle and server.restarts:
                command = ["sh", "-c", 'while :; do "$@"; done', "again", *command]
            process = measure.spawn(command, "0,1", port, self._environment(index, port, recycle), APPS)
            self.processes.append(process)

    def _environment(self, index, port, recycle):
        own = {
            "JOURNAL": self.journal,
            "PORT": str(port),
            "PYTHONPATH": str(APPS),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        if self.server.workers > 1:
            own["INDEX"] = str(index)
        if recycle:
            own |= {"COLD": str(COLD_SECONDS), "MAX_REQUESTS": str(RECYCLE_AFTER)}
        return os.environ | own

    def wait(self):
        """Until every worker is ready."""
        for process, port in zip(self.processes, self.ports):
            measure.wait_until_listening(process, port)
        end = time.monotonic() + 20
        while len({line[0] for line in self.lines() if line[2] == "ready"}) < self.server.units:
            if time.monotonic() > end:
                sys.exit(f"{self.server.name} is not ready: {self.lines()}")
            time.sleep(0.02)

    def unit_slots(self):
        return self.server.capacity // self.server.units

    def lines(self):
        try:
            with open(self.journal) as journal:
                return [line.split() for line in journal if line.endswith("\n")]
        except FileNotFoundError:
            return []

    def mark(self):
        """Where the journal ends now, and who is ready."""
        ready = {line[0]: line for line in self.lines() if line[2] == "ready"}
        return os.path.getsize(self.journal), list(ready.values())

    def lines_since(self, mark):
        """Who was ready then, and all that was written since."""
        size, ready = mark
        with open(self.journal) as journal:
            journal.seek(size)
            return ready + [line.split() for line in journal if line.endswith("\n")]

    def pids_of_first_worker(self):
        """The process that serves as index 0."""
        ready = {line[0]: int(line[1]) for line in self.lines() if line[2] == "ready"}
        return [ready["0"]]

    def settle(self):
        """Until what clients have given up waiting for is done, too."""
        quiet, end = 0, time.monotonic() + 30
        while quiet < 4 * self.server.capacity and time.monotonic() < end:
            before = os.path.getsize(self.journal)
            asked = measure.answers(self.addresses[quiet % len(self.addresses)], "/settle?ms=1")
            quiet = quiet + 1 if asked and os.path.getsize(self.journal) == before else 0
