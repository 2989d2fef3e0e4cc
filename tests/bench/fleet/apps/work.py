"""What a worker of the benchmark does for a request, and the line it writes about it:
`INDEX PID ID BEGAN ENDED`, by the monotonic clock; `INDEX PID ready INSTANT` when it can serve.

A request asks for `ms` of work. The work sleeps in the worker's one thread (or event loop): to a
balancer that is what computing looks like, and two cores can hold dozens of such workers. `slow=5`
makes it five times as long on the worker with index 0; `bytes` asks for so long an answer.
"""

import fcntl
import os
import time
from urllib.parse import parse_qs

_journal = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def _claim():
    """Its number among its siblings: the first that no living one holds."""
    if "INDEX" in os.environ:
        return int(os.environ["INDEX"])
    number = 0
    while True:
        claim = os.open(f"{os.environ['JOURNAL']}.{number}", os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return number
        except BlockingIOError:
            os.close(claim)
            number += 1


def _write(*words):
    os.write(_journal, (" ".join(str(word) for word in (INDEX, os.getpid(), *words)) + "\n").encode())


class Work:
    """One request, as its path and query describe it."""

    def __init__(self, path, query):
        asked = {key: int(values[0]) for key, values in parse_qs(query).items()}
        self.id = path.rsplit("/", 1)[-1]
        factor = asked.get("slow", 1) if INDEX == 0 else 1
        self.seconds = asked.get("ms", 0) * factor / 1000
        self.answer = b"x" * asked.get("bytes", 100)
        self.began = time.monotonic()

    def done(self):
        if self.id.isdigit():
            _write(self.id, f"{self.began:.6f}", f"{time.monotonic():.6f}")


INDEX = _claim()
# A worker that is cold at first: what an import of a real application takes.
time.sleep(float(os.environ.get("COLD", "0")))
_write("ready", f"{time.monotonic():.6f}")
