"""The arithmetic of the worker benchmark: `python3 -m unittest discover -t tests/bench tests/bench/fleet`."""

import unittest

from fleet import ideal, judge, plot, tables
from fleet.servers import SERVERS
from fleet.workloads import WORKLOADS, Request


class Ideal(unittest.TestCase):
    def test_two_stations_share(self):
        stations = [ideal.Station(), ideal.Station()]
        latencies = ideal.ideal([0, 0, 0, 0], [5, 1, 1, 1], stations)
        self.assertEqual(latencies, [5, 1, 2, 3])

    def test_the_fastest_of_the_free_ones_is_taken(self):
        stations = [ideal.Station(factor=5), ideal.Station()]
        self.assertEqual(ideal.ideal([0, 0], [1, 1], stations), [1, 5])

    def test_a_frozen_station_is_left_out_and_holds_what_it_has(self):
        stations = [ideal.Station(frozen=(1, 6)), ideal.Station(factor=1.1)]
        latencies = ideal.ideal([0.5, 0.6, 2.0], [1, 1, 1], stations)
        self.assertAlmostEqual(latencies[0], 6.0)
        self.assertAlmostEqual(latencies[2], 1.1)

    def test_a_recycled_station_is_away(self):
        stations = [ideal.Station(recycle=(2, 10))]
        self.assertEqual(ideal.ideal([0, 5, 6], [1, 1, 1], stations), [1, 1, 11])

    def test_it_agrees_with_erlang_c(self):
        # M/M/4 at 70 %: the mean wait is C(4, 2.8) / (4 - 2.8) = 0.357 service times.
        import random

        dice, now, arrivals, work = random.Random(7), 0.0, [], []
        for _ in range(100_000):
            now += dice.expovariate(2.8)
            arrivals.append(now)
            work.append(dice.expovariate(1.0))
        latencies = ideal.ideal(arrivals, work, [ideal.Station() for _ in range(4)])
        wait = (sum(latencies) - sum(work)) / len(work)
        self.assertAlmostEqual(wait, 0.357, delta=0.03)

    def test_full_is_when_every_slot_is_taken(self):
        spans = [(0, 4), (1, 2), (3, 6)]
        self.assertEqual(ideal.full(spans, 1), [[0, 6]])
        self.assertEqual(ideal.full(spans, 2), [[1, 2], [3, 4]])

    def test_idle_time_leaves_out_the_way_to_the_next_and_the_freeze(self):
        gaps = ideal.idle_spans([[1, 2]], 0, 5, frozen=(3, 4))
        self.assertEqual(gaps, [(0, 1), (2 + ideal.TURNAROUND, 3), (4, 5)])

    def test_overlap_counts_what_both_have(self):
        self.assertAlmostEqual(ideal.overlap([(0, 2), (3, 9)], [(1, 4), (8, 20)]), 1 + 1 + 1)

    def test_jain(self):
        self.assertEqual(ideal.jain([3, 3, 3]), 1)
        self.assertAlmostEqual(ideal.jain([1, 0, 0, 0]), 0.25)


class Judge(unittest.TestCase):
    def figures(self, lines, shots):
        plan = [Request(0.0, "get", 20, "/r/0"), Request(0.0, "get", 20, "/r/1")]
        run = judge.Run(plan, (100.0, 101.0), None)
        return judge.figures(run, shots, [line.split() for line in lines], slots=1)

    def test_a_request_behind_another_beside_an_idle_worker_is_seen(self):
        lines = [
            "0 1 ready 90.0",
            "1 2 ready 90.0",
            "0 1 0 100.0 100.1",
            "0 1 1 100.1 100.2",
        ]
        shots = [(0, 100.0, 100.1, 100.1, "200"), (1, 100.0, 100.2, 100.2, "200")]
        figures = self.figures(lines, shots)
        self.assertAlmostEqual(figures["idle_while_waiting_seconds"], 0.1 - ideal.TURNAROUND, places=6)
        self.assertEqual(figures["requests_by_worker"], [2])
        self.assertAlmostEqual(figures["fairness"], 0.5)

    def test_two_workers_at_once_leave_nobody_waiting(self):
        lines = ["0 1 ready 90", "1 2 ready 90", "0 1 0 100.0 100.1", "1 2 1 100.0 100.1"]
        shots = [(0, 100.0, 100.1, 100.1, "200"), (1, 100.0, 100.1, 100.1, "503")]
        figures = self.figures(lines, shots)
        self.assertEqual(figures["idle_while_waiting_seconds"], 0)
        self.assertEqual(figures["errors"], {"503": 1})

    def test_what_a_recycled_worker_was_away(self):
        lines = ["0 1 ready 90", "0 1 7 100.0 100.1", "0 2 ready 101.3", "0 2 8 102 103"]
        self.assertAlmostEqual(judge.restarts([line.split() for line in lines])[0], 1.2)


class Plans(unittest.TestCase):
    def test_a_seed_decides_everything(self):
        for workload in WORKLOADS:
            plans = [workload.plan(SERVERS[0], 10, "seed") for _ in range(2)]
            self.assertEqual(*plans)
            self.assertNotEqual(plans[0], workload.plan(SERVERS[0], 10, "another"))

    def test_the_load_is_what_it_says(self):
        for server in SERVERS:
            for workload in WORKLOADS[:2]:
                plan = workload.plan(server, 200, "seed")
                offered = sum(request.milliseconds for request in plan) / 1000 / 200 / server.capacity
                self.assertAlmostEqual(offered, workload.load, delta=0.06)


class Pages(unittest.TestCase):
    def result(self):
        figures = {
            "requests": 10,
            "errors": {"503": 1},
            "p50": 21.0,
            "p99": 40.0,
            "p999": None,
            "mean": 22.0,
            "queued_seconds": 2.0,
            "idle_while_waiting_seconds": 0.5,
            "fairness": 1.0,
            "requests_by_worker": [5, 5],
        }
        best = {"p50": 20.0, "p99": 39.0, "p999": 41.0, "mean": 21.0}
        cell = {
            "server": "node",
            "workload": "uniform",
            "round": 0,
            "requests": 10,
            "seconds": 3.0,
            "cpu": [0.3],
            "late_p99_ms": 0.2,
            "heats_run_again": 1,
            "ideal": best,
            "fronts": {"nginx": figures | {"p99": 79.0}, "isobar": figures},
        }
        return {
            "made": "today",
            "minutes": 1.0,
            "cores": 2,
            "rounds": 1,
            "versions": {"isobar": "0"},
            "servers": {"node": "4 × node"},
            "workloads": {"uniform": "20 ms"},
            "fronts": {"nginx": "", "isobar": ""},
            "cells": [cell],
        }

    def test_a_page_says_what_failed_and_what_was_missed(self):
        page = tables.page(self.result())
        self.assertIn("1 of 2 hold", page)
        self.assertIn("**missed** by 1 %", page)
        self.assertIn("1 × 503", page)
        self.assertIn("25.0 %", page)

    def test_a_picture_is_well_formed(self):
        import xml.dom.minidom

        picture = plot.svg(self.result())
        xml.dom.minidom.parseString(picture)
        self.assertIn("40.0, 10.0 % failed", picture)


if __name__ == "__main__":
    unittest.main()
