"""Counts skipped tests by reason at the end of a run; in CI only the reasons named here are allowed.

A plugin of pytest, loaded by conftest.py.
"""

import os
from collections import Counter

import pytest

ALLOWED_IN_CI = ("needs InfluxDB 2", "needs MediaMTX")
"""What a machine of CI can't have: no package of Debian brings it."""

_skips: Counter[str] = Counter()


def is_ci() -> bool:
    """Whether this run is CI's."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def forbidden() -> dict[str, int]:
    """Reasons that CI does not accept, with their counts."""
    return {reason: count for reason, count in _skips.items() if not reason.startswith(ALLOWED_IN_CI)}


def _note(report: pytest.TestReport | pytest.CollectReport) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        _skips[reason.removeprefix("Skipped: ")] += 1


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that was skipped."""
    _note(report)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a module that was skipped."""
    _note(report)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of CI that skipped what it must not."""
    if is_ci() and forbidden() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped for which reason."""
    if not _skips:
        return
    terminalreporter.section("skipped, by reason")
    refused = forbidden() if is_ci() else {}
    for reason, count in _skips.most_common():
        terminalreporter.line(f"{count:5} × {reason}{'   <- not allowed in CI' if reason in refused else ''}")
