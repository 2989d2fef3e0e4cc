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
    when it had been ready for it: between a close and the next accept it keeps its own books."""

    _ready = None

    def accept(self, listener):
        if self._ready is None:
            self._ready = time.monotonic()
        super().accept(listener)

    def handle(self, listener, client, addr):
        global current
        accepted, ready = time.monotonic(), self._ready
        backlog = _milliseconds_since_data(client)
        current = "-"
        try:
            super().handle(listener, client, addr)
        finally:
            closed = time.monotonic()
            instants = (f"{instant:.6f}" for instant in (ready, accepted, closed))
            write("occupied", current, *instants, backlog, os.getpid())
            self._ready = None
