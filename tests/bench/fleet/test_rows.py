"""No row of the speed table is dropped in silence, what cannot be installed is named, and another build
of Isobar is judged by what is sure."""

import unittest
from unittest import mock

import report
import scenarios
from fleet import install


class Rows(unittest.TestCase):
    def test_a_promise_without_a_figure_keeps_its_row_and_says_why(self):
        rows = [("http", who, figure, 5.0) for who in ("isobar", "haproxy") for figure in ("cpu_us", "per_second")]
        table = report.table(rows, 1, lambda scenario, who: f"{scenario}: no {who}")
        for scenario, _, what, who, than, _ in report.PROMISES:
            row = next(line for line in table.splitlines() if f"{what}: {who} ÷ {than} |" in line)
            measured = scenario == "http" and {who, than} <= {"isobar", "haproxy"}
            self.assertEqual("not measured" not in row, measured, row)
        self.assertIn("| not measured | 0.85 | http: no nginx |", table)

    def test_what_may_not_be_installed_is_named(self):
        wanted = {"/no/such/program": "one", "/no/such/file": "two", "/": "there"}
        with mock.patch("os.geteuid", return_value=1000), self.assertRaises(SystemExit) as ended:
            install.debian_packages(wanted)
        self.assertEqual(str(ended.exception), "please install one two")

    def test_what_is_there_is_left_alone(self):
        install.debian_packages({"/": "there"})


class Against(unittest.TestCase):
    def test_an_interval_is_between_the_ranks_that_the_binomial_says(self):
        # 4 and 12 of 15 is in every statistician's table: 96.5 %; 5 and 11 would be 88 %.
        self.assertEqual(report.interval([*range(15, 0, -1)]), (4, 12))
        self.assertEqual(report.interval([3, 1, 2, 6, 5, 4]), (1, 6))
        self.assertIsNone(report.interval([1, 2, 3, 4, 5]))

    def test_only_an_interval_that_lies_wholly_above_is_missed(self):
        def verdict(ratios):
            rows = [("http", "isobar", "cpu_us", 5.0 * ratio) for ratio in ratios]
            rows += [("http", "isobar, before", "cpu_us", 5.0)] * len(ratios)
            rows += [("http", who, "per_second", 9.0) for who in ("isobar", "isobar, before")]
            return next(line for line in report.table(rows, len(ratios)).splitlines() if "http: isobar |" in line)

        above = [1.02 + 0.001 * number for number in range(15)]
        self.assertEqual(verdict(above), "| http: isobar | 1.027 | 1.023 to 1.031 | 1.01 | MISSED |")
        self.assertEqual(verdict([0.9] * 4 + above[4:]), "| http: isobar | 1.027 | 0.900 to 1.031 | 1.01 | holds |")
        self.assertIn("| 1.022 | none of 5 round(s) | 1.01 | no verdict", verdict(above[:5]))

    def test_the_other_build_runs_beside_this_one_in_every_round(self):
        def cases(name, binaries, ports, seconds, others):
            everyone = ["isobar", *others]
            return [(who, lambda who=who: ran.append((who, binaries["isobar"])) or {}) for who in everyone]

        ran, binaries = [], {"origin": "origin", "isobar": "new"}
        with mock.patch("measure.start"), mock.patch("measure.raise_descriptor_limit"):
            with mock.patch("scenarios._cases", cases):
                scenarios.run(binaries, 2, 1, ["http"], ["nginx"], "old")
        first = [("isobar", "new"), ("isobar", "old"), ("nginx", "new")]
        self.assertEqual(ran, first + first[::-1])


if __name__ == "__main__":
    unittest.main()
