"""The yardstick: one central queue before all workers, over the same arrivals and the same work.
And what the workers' own journals say of the real ones. Pure."""

import bisect
import math
import statistics

# How long a request may be on its way, and a worker after an answer on its way to the next one (it
# closes, accepts, reads and parses): the machine's and the server's own time, nobody's mistake.
TURNAROUND = 0.002


class Station:
    """One place where one request is served at a time."""

    def __init__(self, factor=1.0, frozen=None, recycle=None, slots=1):
        self.factor = factor
        # (from, to) in which it stands still.
        self.frozen = frozen
        # (requests, seconds): after so many it is away for so long.
        self.recycle = recycle
        # Stations of one worker share its recycling.
        self.slots = slots
        self.free_at = 0.0
        self.served = 0

    def available(self, at):
        """When it could begin, from `at` on."""
        at = max(at, self.free_at)
        if self.frozen and self.frozen[0] <= at < self.frozen[1]:
            at = self.frozen[1]
        return at

    def serve(self, begin, work):
        end = begin + work * self.factor
        if self.frozen and begin < self.frozen[0] < end:
            end += self.frozen[1] - self.frozen[0]
        self.served += 1
        self.free_at = end
        if self.recycle and self.served * self.slots >= self.recycle[0]:
            self.served = 0
            self.free_at = end + self.recycle[1]
        return end


def ideal(arrivals, work, stations):
    """The latency of each request in a FIFO queue whose head takes the station that is free first,
    of several free ones the fastest."""
    latencies = []
    for arrival, seconds in zip(arrivals, work):
        best = min(stations, key=lambda station: (station.available(arrival), station.factor))
        latencies.append(best.serve(best.available(arrival), seconds) - arrival)
    return latencies


def quantile(values, share):
    """By rank; None of nothing."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1))]


def median(values):
    """The middle one, or what is between the two middle ones; None of nothing."""
    return statistics.median(values) if values else None


def union(spans):
    """Spans in order that do not touch."""
    merged = []
    for begin, end in sorted(span for span in spans if span[1] > span[0]):
        if merged and begin <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([begin, end])
    return merged


def full(spans, slots):
    """When at least `slots` of the spans were open."""
    if slots == 1:
        return union(spans)
    steps = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    found, open_now, since = [], 0, None
    for at, change in steps:
        open_now += change
        if open_now >= slots and since is None:
            since = at
        elif open_now < slots and since is not None:
            found.append((since, at))
            since = None
    return union(found)


def idle_spans(busy, ready, until, frozen):
    """When a worker could have begun something: not full, not on its way to the next one, not
    standing still. `busy` is a union."""
    gaps, since = [], ready
    for begin, end in busy:
        gaps.append((since, begin))
        since = end + TURNAROUND
    gaps.append((since, until))
    if frozen:
        stop, go = frozen
        gaps = [piece for a, b in gaps for piece in ((a, min(b, stop)), (max(a, go), b))]
    return [gap for gap in gaps if gap[1] > gap[0]]


def overlap(left, right):
    """How long both unions were open."""
    total, starts = 0.0, [span[0] for span in right]
    for begin, end in left:
        at = max(0, bisect.bisect_right(starts, begin) - 1)
        while at < len(right) and right[at][0] < end:
            total += max(0.0, min(end, right[at][1]) - max(begin, right[at][0]))
            at += 1
    return total


def length(spans):
    return sum(end - begin for begin, end in spans)


def jain(values):
    """Jain's index of fairness: 1 when all are equal, 1/n when one has everything."""
    squares = sum(value * value for value in values)
    return sum(values) ** 2 / (len(values) * squares) if squares else None
