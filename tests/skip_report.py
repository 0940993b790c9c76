"""Counts skipped tests by reason at the end of a run; in CI only the reasons named here are allowed.

A plugin of pytest, loaded by conftest.py.
"""

import os
from collections import Counter
from typing import Any

import pytest

ALLOWED_IN_CI = ("needs InfluxDB 2", "needs MediaMTX")
"""What a machine of CI can't have: no package of Debian brings it."""

_skips: Counter[str] = Counter()
_modules: Counter[str] = Counter()
"""Skipped as a whole, while tests were looked for; every worker of a run sees them all."""


def is_ci() -> bool:
    """Whether this run is CI's."""
    return os.environ.get("CI", "").lower() in ("1", "true", "yes")


def forbidden() -> dict[str, int]:
    """Reasons that CI does not accept, with their counts."""
    skipped = _skips + _modules
    return {reason: count for reason, count in skipped.items() if not reason.startswith(ALLOWED_IN_CI)}


def _note(report: pytest.TestReport | pytest.CollectReport, counts: Counter[str]) -> None:
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        counts[reason.removeprefix("Skipped: ")] += 1


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note a test that was skipped."""
    _note(report, _skips)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Note a module that was skipped."""
    _note(report, _modules)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take the modules that a worker skipped; of its tests we hear one by one."""
    global _modules
    _modules |= Counter(getattr(node, "workeroutput", {}).get("skipped_modules", {}))


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of CI that skipped what it must not."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["skipped_modules"] = dict(_modules)
    elif is_ci() and forbidden() and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many tests were skipped for which reason."""
    skipped = _skips + _modules
    if not skipped:
        return
    terminalreporter.section("skipped, by reason")
    refused = forbidden() if is_ci() else {}
    for reason, count in skipped.most_common():
        terminalreporter.line(f"{count:5} × {reason}{'   <- not allowed in CI' if reason in refused else ''}")
