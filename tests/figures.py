"""What tests measured, shown at the end of a run.

A plugin of pytest, loaded by conftest.py.
"""

from typing import Any

import pytest

_lines: list[str] = []


def tell(title: str, **figures: Any) -> None:
    """Show these figures under `title` when the run ends."""
    shown = ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in figures.items())
    _lines.append(f"{title}: {shown}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand what was measured to who shows it, where several workers share a run."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["figures"] = _lines


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker measured."""
    _lines.extend(getattr(node, "workeroutput", {}).get("figures", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what was measured."""
    if _lines:
        terminalreporter.section("figures")
        for line in _lines:
            terminalreporter.line(line)


def _text(value: Any) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)
