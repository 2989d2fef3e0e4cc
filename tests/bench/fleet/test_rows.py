"""No row of the speed table is dropped in silence, and what cannot be installed is named."""

import unittest
from unittest import mock

import report
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


if __name__ == "__main__":
    unittest.main()
