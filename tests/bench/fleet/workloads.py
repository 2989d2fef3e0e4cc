"""What is asked of the workers, and when. The same plan goes to every front."""

import random
from dataclasses import dataclass

from fleet.servers import COLD_SECONDS, RECYCLE_AFTER

SLOW_FACTOR = 5
FREEZE_SECONDS = 5.0
BURST_FACTOR, BURST_SECONDS = 10, 5.0
DOWNLOAD_BYTES = 200 * 1024
PER_THOUSAND_SLOW_CLIENTS = 40


@dataclass
class Request:
    at: float
    kind: str
    milliseconds: int
    path: str


@dataclass(frozen=True)
class Workload:
    name: str
    about: str
    # Of what the workers could do if nothing happened to them.
    load: float
    # (share, milliseconds) of each size.
    sizes: tuple
    slow_worker: bool = False
    recycle: bool = False
    freeze: bool = False
    slow_clients: bool = False
    burst: bool = False

    def rate(self, server):
        mean = sum(share * ms for share, ms in self.sizes) * server.stretch / 1000
        return self.load * server.capacity / mean

    def seconds(self, wanted):
        """What goes wrong for five seconds needs some time before and behind it."""
        return 2 * wanted if self.freeze or self.burst else wanted

    def freeze_at(self, seconds):
        """When the first worker stands still, from and to; shorter in a short run."""
        length = min(FREEZE_SECONDS, 0.35 * seconds)
        return (seconds / 4, seconds / 4 + length) if self.freeze else None

    def plan(self, server, seconds, seed):
        """Poisson arrivals, each with its size: decided by the seed alone."""
        dice = random.Random(seed)
        rate = self.rate(server)
        burst_at = seconds / 4
        burst_to = burst_at + min(BURST_SECONDS, 0.35 * seconds)
        requests, now = [], 0.0
        while True:
            bursting = self.burst and burst_at <= now < burst_to
            now += dice.expovariate(rate * BURST_FACTOR if bursting else rate)
            if now >= seconds:
                return requests
            size = dice.choices([ms for _, ms in self.sizes], [share for share, _ in self.sizes])[0]
            requests.append(self._request(len(requests), now, size * server.stretch, dice))

    def _request(self, number, at, milliseconds, dice):
        kind, more = "get", ""
        if self.slow_clients and dice.randrange(1000) < PER_THOUSAND_SLOW_CLIENTS:
            kind = dice.choice(["upload", "download"])
            more = f"&bytes={DOWNLOAD_BYTES}" if kind == "download" else ""
        if self.slow_worker:
            more += f"&slow={SLOW_FACTOR}"
        return Request(at, kind, milliseconds, f"/r/{number}?ms={milliseconds}{more}")


TWENTY = ((1.0, 20),)
WORKLOADS = [
    Workload("uniform", "every request 20 ms, 70 % load", 0.70, TWENTY),
    Workload("bimodal", "19 of 20 requests 10 ms, one 300 ms, 70 % load", 0.70, ((0.95, 10), (0.05, 300))),
    Workload(
        "slow worker",
        f"20 ms, one of the workers {SLOW_FACTOR} × slower, 60 % load",
        0.60,
        TWENTY,
        slow_worker=True,
    ),
    Workload(
        "recycle",
        f"20 ms, a worker ends after {RECYCLE_AFTER} requests and is cold for {COLD_SECONDS:.0f} s, 50 % load",
        0.50,
        TWENTY,
        recycle=True,
    ),
    Workload(
        "frozen",
        f"20 ms, one worker stands still for {FREEZE_SECONDS:.0f} s, 60 % load",
        0.60,
        TWENTY,
        freeze=True,
    ),
    Workload(
        "slow clients",
        f"20 ms, {PER_THOUSAND_SLOW_CLIENTS / 10:.0f} % of clients take 0.4 s or more to send 8 KiB or to read "
        "200 KiB, 50 % load; the figures are the others'",
        0.50,
        TWENTY,
        slow_clients=True,
    ),
    Workload(
        "burst",
        f"40 ms, {BURST_FACTOR} × the rate for {BURST_SECONDS:.0f} s, 15 % load around it",
        0.15,
        ((1.0, 40),),
        burst=True,
    ),
]
