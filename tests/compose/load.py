"""Clients that ask over and over, and what they got."""

import collections
import http.client
import threading
import time


def get(port, path="/", timeout=30):
    """One request over a connection of its own: (status, text)."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class Load:
    """`clients` at once, each with the next GET as soon as it has its answer, until the block ends.
    Every second one keeps its connection."""

    def __init__(self, port, clients=15, work_ms=20):
        self.port, self.work_ms = port, work_ms
        self.answered = collections.Counter()
        self.first_seen = {}
        self.failures = []
        self._lock = threading.Lock()
        self._over = threading.Event()
        keeps = (number % 2 == 0 for number in range(clients))
        self._threads = [threading.Thread(target=self._client, args=(keep,)) for keep in keeps]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()

    def counts(self):
        """Answers so far, by the container that gave them."""
        with self._lock:
            return self.answered.copy()

    def share(self, seconds):
        """Answers in the next seconds, by container."""
        before = self.counts()
        time.sleep(seconds)
        return self.counts() - before

    def _client(self, keep):
        connection = None
        while not self._over.is_set():
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("GET", f"/?ms={self.work_ms}")
                answer = connection.getresponse()
                name = answer.read().decode().strip()
                self._note(answer.status, name)
                if keep and not answer.will_close:
                    continue
            except Exception as error:
                self._note(None, f"{time.strftime('%X')} {error!r}")
            if connection is not None:
                connection.close()
                connection = None

    def _note(self, status, name):
        with self._lock:
            if status != 200:
                self.failures.append((status, name))
                return
            self.answered[name] += 1
            self.first_seen.setdefault(name, time.monotonic())


class InFlight:
    """Requests that have been sent; their answers are looked at later."""

    def __init__(self, port, count, work_ms):
        self.connections = []
        for _ in range(count):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            connection.request("GET", f"/?ms={work_ms}")
            self.connections.append(connection)

    def statuses(self):
        statuses = collections.Counter()
        for connection in self.connections:
            try:
                answer = connection.getresponse()
                answer.read()
                statuses[answer.status] += 1
            except Exception as error:
                statuses[repr(error)] += 1
            connection.close()
        return statuses
