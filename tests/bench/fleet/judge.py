"""One run: the plan, what became of each request, what the workers wrote down → figures."""

from dataclasses import dataclass

from fleet import ideal
from fleet.servers import RECYCLE_AFTER
from fleet.workloads import SLOW_FACTOR


@dataclass
class Run:
    plan: list
    # When it began and ended, and when the first worker stood still, by the monotonic clock.
    window: tuple
    frozen: tuple | None


def figures(run, shots, lines, slots):
    """`shots`: (request, sent, first_byte, ended, what) of one front; `lines`: its workers' journal
    since before the run; `slots`: of one index."""
    # The slow clients' own time is theirs: the figures are the others'.
    counted = [shot for shot in shots if run.plan[shot[0]].kind == "get"]
    answered = [shot for shot in counted if shot[4] == "200"]
    milliseconds = [1000 * (shot[3] - shot[1]) for shot in answered]
    errors = {}
    for shot in shots:
        if shot[4] != "200":
            errors[shot[4]] = errors.get(shot[4], 0) + 1
    queued, idle = _idle_while_waiting(run, counted, lines, slots)
    busy = _busy_by_index(lines)
    return {
        "requests": len(shots),
        "errors": errors,
        "p50": ideal.quantile(milliseconds, 0.5),
        "p99": ideal.quantile(milliseconds, 0.99),
        "p999": ideal.quantile(milliseconds, 0.999),
        "mean": sum(milliseconds) / len(milliseconds) if milliseconds else None,
        "queued_seconds": queued,
        "idle_while_waiting_seconds": idle,
        "fairness": ideal.jain(list(busy.values())),
        "requests_by_worker": _requests_by_index(lines),
    }


def _served(lines):
    return [line for line in lines if line[2] != "ready"]


def _idle_while_waiting(run, shots, lines, slots):
    """Seconds in which a request was on its way to a worker, and those of them in which some worker
    had a free slot. A request waits from its sending to the beginning of its work, less what its way
    there may take; a slow client's waits for its client."""
    began = {}
    for line in _served(lines):
        number = int(line[2])
        began[number] = min(float(line[3]), began.get(number, float("inf")))
    waits = [(shot[1] + ideal.TURNAROUND, began.get(shot[0], shot[3])) for shot in shots]
    waiting = ideal.union(waits)
    spare = []
    for pid in {line[1] for line in lines}:
        mine = [line for line in lines if line[1] == pid]
        index = mine[0][0]
        ready = [float(line[3]) for line in mine if line[2] == "ready"]
        spans = [(float(line[3]), float(line[4])) for line in _served(mine)]
        # One that was ended, or had never been asked for anything, has no idle time after its last.
        until = max([end for _, end in spans], default=0.0) if _ended(pid, index, lines) else run.window[1]
        since = max(ready + [run.window[0]])
        busy = ideal.full(spans, slots)
        spare += ideal.idle_spans(busy, since, until, run.frozen if index == "0" else None)
    return ideal.length(waiting), ideal.overlap(waiting, ideal.union(spare))


def _ended(pid, index, lines):
    """Whether another process has followed it."""
    ready = [(float(line[3]), line[1]) for line in lines if line[0] == index and line[2] == "ready"]
    pids = [pid for _, pid in sorted(ready)]
    return pid not in pids[-1:] and pids != []


def _busy_by_index(lines):
    busy = {}
    for line in lines:
        busy.setdefault(line[0], 0.0)
        if line[2] != "ready":
            busy[line[0]] += float(line[4]) - float(line[3])
    return busy


def _requests_by_index(lines):
    counts = {}
    for line in _served(lines):
        counts[line[0]] = counts.get(line[0], 0) + 1
    return [count for _, count in sorted(counts.items())]


def restarts(lines):
    """From each recycled worker's last answer to its successor's readiness, in seconds."""
    last, gaps = {}, []
    for line in lines:
        if line[2] != "ready":
            last[line[0]] = float(line[4])
        elif line[0] in last:
            gaps.append(float(line[3]) - last.pop(line[0]))
    return gaps


def yardstick(plan, server, workload, overhead, frozen, restart):
    """The figures of one central queue over the same plan; `overhead` seconds a request are the
    server's own, `restart` seconds a recycled worker is away."""
    stations = []
    for index in range(server.units):
        slots = server.capacity // server.units
        for _ in range(slots):
            stations.append(
                ideal.Station(
                    factor=SLOW_FACTOR if workload.slow_worker and index == 0 else 1.0,
                    frozen=frozen if index == 0 else None,
                    recycle=(RECYCLE_AFTER, restart) if restart else None,
                    slots=slots,
                )
            )
    work = [request.milliseconds / 1000 + overhead for request in plan]
    latencies = ideal.ideal([request.at for request in plan], work, stations)
    milliseconds = [1000 * seconds for seconds, request in zip(latencies, plan) if request.kind == "get"]
    return {
        "p50": ideal.quantile(milliseconds, 0.5),
        "p99": ideal.quantile(milliseconds, 0.99),
        "p999": ideal.quantile(milliseconds, 0.999),
        "mean": sum(milliseconds) / len(milliseconds),
    }
