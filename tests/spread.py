"""How a run is spread over several workers: a file's tests stay together, and whole platforms come one at a time.

What the tests of a file share is then started once, and no two tests of faults starve one another of the processor.
A plugin of pytest, loaded by conftest.py; without pytest-xdist there is nothing to spread.
"""

from typing import Any

import pytest

PLATFORMS = "tests/system/"
"""Tests that start five processes and more."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Say which tests stay together; where most tests stay together is begun."""
    from xdist.scheduler import LoadScopeScheduling

    class FileByFile(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return PLATFORMS if nodeid.startswith(PLATFORMS) else nodeid.partition("::")[0]

    return FileByFile(config, log)
