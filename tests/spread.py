"""How a run is spread over several workers: a file's tests stay together, and whole platforms come one at a time.

What the tests of a file share is then started once, and no two tests of faults starve one another of the processor.
A plugin of pytest, loaded by conftest.py; without pytest-xdist there is nothing to spread.
"""

from pathlib import Path

import pytest

PLATFORMS = Path(__file__).parent / "system"
"""Tests that start five processes and more."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Say which tests stay together; whole platforms, which take longest, come first."""
    if not config.pluginmanager.hasplugin("xdist"):
        return
    for item in items:
        is_platform = item.path.is_relative_to(PLATFORMS)
        item.add_marker(pytest.mark.xdist_group("platforms" if is_platform else item.path.stem))
