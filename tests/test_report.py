import sys

from benchmarks import report


def test_the_report_is_what_the_results_give(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["report", "--check"])
    report.main()  # ends with a line where it is behind
