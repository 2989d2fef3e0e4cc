"""Runs every workload on every server behind every front."""

import math
import os
import signal
import subprocess
import sys
import time

import measure
from fleet import fronts, ideal, judge
from fleet.servers import Fleet

SEED = 20261127
# As many fronts, each with a fleet of its own, run at the same time: what two cores can do easily.
SIDE_BY_SIDE = 4
# How much later than its neighbour each begins with the plan: at the same instants they would be in
# each other's way with every request.
APART_SECONDS = 0.37
# A generator that is later than this (p99) did not have the machine, and so nobody else had.
DISTURBED_MS, TRIES = 5.0, 3


def run(tools, options):
    measure.raise_descriptor_limit()
    gone = fronts.missing(tools)
    chosen = [front for front in options.fronts if front.name not in gone]
    if gone:
        print(f"left out, not installed: {', '.join(sorted(gone))}")
    total = options.rounds * len(options.servers) * len(options.workloads)
    print(f"{total} contests of {len(chosen)} fronts", flush=True)
    began, cells = time.monotonic(), []
    for number in range(options.rounds):
        for server in options.servers:
            # Workers that recycle are another kind of worker.
            for recycle in (False, True):
                mine = [workload for workload in options.workloads if workload.recycle == recycle]
                if not mine:
                    continue
                with _Fleets(server, tools, min(SIDE_BY_SIDE, len(chosen)), recycle) as fleets:
                    for workload in mine:
                        cells.append(_contest(tools, options.seconds, number, workload, fleets, chosen))
                        _progress(began, len(cells), total, cells[-1])
    return {
        "made": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "cores": os.cpu_count(),
        "rounds": options.rounds,
        "versions": fronts.versions(tools, chosen),
        "servers": {server.name: server.about for server in options.servers},
        "workloads": {workload.name: workload.about for workload in options.workloads},
        "fronts": {front.name: front.about for front in chosen},
        "cells": cells,
    }


class _Fleets:
    """Equal fleets, one for each of the fronts that run at the same time."""

    def __init__(self, server, tools, count, recycle):
        self.server = server
        self.fleets = [Fleet(server, tools["python"], recycle) for _ in range(count)]
        self.overhead = None

    def __enter__(self):
        for fleet in self.fleets:
            fleet.wait()
        self.overhead = _overhead(self.fleets[0])
        return self

    def __exit__(self, *_):
        measure.stop_all([process for fleet in self.fleets for process in fleet.processes])


def _contest(tools, seconds, number, workload, fleets, chosen):
    """One workload in one round: the same plan for every front."""
    server = fleets.server
    seconds = workload.seconds(seconds)
    plan = workload.plan(server, seconds, f"{SEED} {number} {workload.name}")
    heats = [_undisturbed(tools, seconds, workload, fleets, plan, heat) for heat in _heats(chosen, number)]
    restarts = [gap for heat in heats for gap in heat["restarts"]]
    restart = ideal.median(restarts)
    figures = {name: one for heat in heats for name, one in heat["fronts"].items()}
    return {
        "server": server.name,
        "workload": workload.name,
        "round": number,
        "requests": len(plan),
        "seconds": seconds,
        "cpu": [round(heat["cpu"], 3) for heat in heats],
        "late_p99_ms": round(max(heat["late_p99_ms"] for heat in heats), 2),
        "heats_run_again": sum(heat["again"] for heat in heats),
        "overhead_ms": round(1000 * fleets.overhead, 3),
        "restart_seconds": restart and round(restart, 3),
        "ideal": judge.yardstick(plan, server, workload, fleets.overhead, workload.freeze_at(seconds), restart),
        "fronts": {front.name: figures[front.name] for front in chosen},
    }


def _heats(chosen, number):
    """Who runs beside whom: other company in every round."""
    turned = chosen[number % len(chosen):] + chosen[: number % len(chosen)]
    count = math.ceil(len(turned) / SIDE_BY_SIDE)
    return [turned[at::count] for at in range(count)]


def _undisturbed(tools, seconds, workload, fleets, plan, heat):
    """The heat, run again when this machine did something else meanwhile, which the generator's own
    lateness shows; then the least disturbed counts, for all fronts of the heat."""
    tries = []
    while not tries or (tries[-1]["late_p99_ms"] > DISTURBED_MS and len(tries) < TRIES):
        tries.append(_heat(tools, seconds, workload, fleets, plan, heat))
    best = min(tries, key=lambda one: one["late_p99_ms"])
    return best | {"again": len(tries) - 1}


def _heat(tools, seconds, workload, fleets, plan, heat):
    pairs = list(zip(heat, fleets.fleets))
    running = [fronts.Running(front, tools, fleet) for front, fleet in pairs]
    try:
        for one in running:
            one.wait()
        for one in running:
            _warm_up(one)
        marks = [fleet.mark() for _, fleet in pairs]
        cpu, began = measure.machine_cpu_seconds(), time.monotonic()
        starts = [began + 0.3 + APART_SECONDS * at for at in range(len(pairs))]
        frozen = workload.freeze_at(seconds)
        shots = _load(tools, plan, starts, running, frozen)
        busy = (measure.machine_cpu_seconds() - cpu) / (time.monotonic() - began) / os.cpu_count()
    finally:
        measure.stop_all([one.process for one in running if one.process])
    for _, fleet in pairs:
        fleet.settle()
    late = [shot[2] - starts[shot[0]] - plan[shot[1]].at for shot in shots]
    result = {"cpu": busy, "late_p99_ms": 1000 * ideal.quantile(late, 0.99), "fronts": {}, "restarts": []}
    for at, (front, fleet) in enumerate(pairs):
        start, lines = starts[at], fleet.lines_since(marks[at])
        mine = [shot[1:] for shot in shots if shot[0] == at]
        run = judge.Run(plan, (start, start + seconds), frozen and tuple(start + offset for offset in frozen))
        result["fronts"][front.name] = judge.figures(run, mine, lines, fleet.unit_slots())
        result["restarts"] += judge.restarts(lines) if workload.recycle else []
    return result


def _load(tools, plan, starts, running, freeze):
    path = os.path.join(measure.SCRATCH, "plan")
    with open(path, "w") as file:
        file.writelines(f"{one.at:.6f} {one.kind} {one.path}\n" for one in plan)
    targets = [f"{start:.6f}@{','.join(one.targets)}" for start, one in zip(starts, running)]
    load = subprocess.Popen(
        [tools["open_loop"], path, *targets], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        if freeze:
            _freeze(starts, freeze, [one.fleet for one in running])
        said, _ = load.communicate(timeout=plan[-1].at + 90)
    finally:
        load.kill()
    if load.returncode:
        sys.exit(f"the generator ended with {load.returncode}")
    rows = [line.split() for line in said.splitlines()]
    return [(int(row[0]), int(row[1]), float(row[2]), float(row[3]), float(row[4]), row[5]) for row in rows]


def _freeze(starts, freeze, fleets):
    """Stops the first worker of each fleet for its time."""
    pids = [(start, pid) for start, fleet in zip(starts, fleets) for pid in fleet.pids_of_first_worker()]
    signs = zip(freeze, (signal.SIGSTOP, signal.SIGCONT))
    try:
        for instant, pid, sign in sorted((start + at, pid, sign) for at, sign in signs for start, pid in pids):
            time.sleep(max(0.0, instant - time.monotonic()))
            os.kill(pid, sign)
    finally:
        for _, pid in pids:
            os.kill(pid, signal.SIGCONT)


def _warm_up(running):
    """Until it has answered thirty times; nobody counts these."""
    end, answered = time.monotonic() + 20, 0
    while answered < 30:
        if measure.answers(running.targets[answered % len(running.targets)], "/warm-up?ms=1"):
            answered += 1
        elif time.monotonic() > end:
            sys.exit(f"{running.front.name} does not answer; {measure.log_of(running.process)}")
        else:
            time.sleep(0.1)


def _overhead(fleet):
    """What a request costs beside its work: the median of sequential ones to one idle worker."""
    took = []
    for _ in range(60):
        began = time.monotonic()
        if measure.answers(fleet.addresses[0], "/overhead?ms=5"):
            took.append(time.monotonic() - began - 0.005)
    return ideal.median(took)


def _progress(began, done, total, cell):
    spent = time.monotonic() - began
    left = math.ceil(spent / done * (total - done) / 60)
    p99 = {name: f"{figures['p99']:.0f}" if figures["p99"] else "-" for name, figures in cell["fronts"].items()}
    said = ", ".join(f"{name} {value}" for name, value in p99.items())
    print(
        f"[{done}/{total}, {left} min left] {cell['server']}, {cell['workload']}: p99 ms: "
        f"ideal {cell['ideal']['p99']:.0f}, {said}; CPU {100 * max(cell['cpu']):.0f} %",
        flush=True,
    )
