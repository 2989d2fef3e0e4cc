"""What a worker did and when, by the monotonic clock: one line, one write, so lines never mix."""

import os
import socket
import struct
import time

from gunicorn.workers.sync import SyncWorker

_file = os.open(os.environ["JOURNAL"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

# The identity of the request in hand; a synchronous worker has one at most.
current = "-"


def write(*words):
    os.write(_file, (" ".join(str(word) for word in words) + "\n").encode())


def _milliseconds_since_data(connection):
    """How long the last received data has been waiting: tcpi_last_data_recv of struct tcp_info."""
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("I", info, 52)[0]


class Worker(SyncWorker):
    """gunicorn's synchronous worker, journalling each connection from accept to close, and since
    when it had been idle before: after a close it first keeps its own books and accepts whoever is
    there (some 100 us of Python); only when it then waits for a connection is it idle."""

    _idle_since = None

    def wait(self, timeout):
        if self._idle_since is None:
            self._idle_since = time.monotonic()
        return super().wait(timeout)

    def handle(self, listener, client, addr):
        global current
        accepted = time.monotonic()
        idle_since = accepted if self._idle_since is None else self._idle_since
        backlog = _milliseconds_since_data(client)
        current = "-"
        try:
            super().handle(listener, client, addr)
        finally:
            closed = time.monotonic()
            instants = (f"{instant:.6f}" for instant in (idle_since, accepted, closed))
            write("occupied", current, *instants, backlog, os.getpid())
            self._idle_since = None
