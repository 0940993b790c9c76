"""Logs are one line each, name their service, and hold no secret."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from caudal.common import logs


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Configures JSON logs and gives a function that returns what was logged since."""
    root = logging.getLogger()
    before = root.handlers, root.level
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    logs.configure("ingest", "json", "INFO")
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers, root.level = before
    structlog.reset_defaults()


def test_event_and_facts_are_fields_of_one_line(lines: Any) -> None:
    with structlog.contextvars.bound_contextvars(point="well-1"):
        structlog.get_logger("caudal.ingest").info("reading kept", provider="twin", count=3)
    (line,) = lines()
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "reading kept",
        "point": "well-1",
        "provider": "twin",
        "count": 3,
        "service": "ingest",
        "level": "info",
        "logger": "caudal.ingest",
    }


def test_logs_of_libraries_take_the_same_form(lines: Any) -> None:
    logging.getLogger("some.library").warning("%s rows went missing", 3)
    (line,) = lines()
    assert (line["event"], line["service"], line["level"]) == ("3 rows went missing", "ingest", "warning")


def test_secrets_are_masked_wherever_they_stand(lines: Any) -> None:
    log = structlog.get_logger()
    log.info(
        "connecting to postgresql://caudal:geheim@db/caudal",
        url="mqtt://u:geheim@broker",
        password="geheim",
        api_key="geheim",
        Authorization="geheim",
        settings={"influx_token": "geheim", "nested": [{"client_secret": "geheim"}]},
    )
    try:
        raise ValueError("cannot open redis://x:geheim@cache:6379/0")
    except ValueError:
        log.exception("failed")
    text = json.dumps(lines())
    assert "geheim" not in text
    assert "postgresql://caudal:***@db/caudal" in text
    assert "ValueError" in text


def test_debug_is_silent_unless_asked_for(lines: Any) -> None:
    structlog.get_logger().debug("details")
    assert lines() == []
