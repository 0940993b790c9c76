"""Structured logs on stderr: JSON in containers, readable on a terminal. Secrets never reach them."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

MASKED = "***"

_secret_name = re.compile(r"passw|secret|token|api_?key|authorization|credential|private_?key|cookie", re.IGNORECASE)
_url_password = re.compile(r"(\w+://[^\s/:@]*:)[^\s/@]+@")
_quiet = ("uvicorn", "uvicorn.error", "uvicorn.access", "mqtt", "aiosqlite", "sqlalchemy.engine", "asyncio")


def configure(
    service: str,
    form: Literal["auto", "json", "console"] = "auto",
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO",
) -> None:
    """Send every log of this process, those of libraries too, to stderr in one form, with `service` bound.

    Log with `structlog.get_logger(__name__)`: an event in plain words, and facts as keywords (`point=`, `provider=`,
    `submission=`). What a block of code is about is bound with `structlog.contextvars.bound_contextvars(point=…)`.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.UnicodeDecoder(),
        _bind_service(service),
        mask_secrets,
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(form, shared))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for name in _quiet:
        logging.getLogger(name).setLevel(logging.WARNING)


def mask_secrets(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask what is named like a secret, at any depth, and passwords inside URLs."""
    for key, value in event.items():
        event[key] = MASKED if _secret_name.search(key) else masked(value)
    return event


def masked(value: Any) -> Any:
    """`value` without passwords in URLs, and without what is named like a secret."""
    if isinstance(value, str):
        return _url_password.sub(rf"\1{MASKED}@", value)
    if isinstance(value, dict):
        return {key: MASKED if _secret_name.search(str(key)) else masked(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item) for item in value]
    return value


def _bind_service(service: str) -> structlog.typing.Processor:
    def bind(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("service", service)
        return event

    return bind


def _formatter(form: str, shared: list[structlog.typing.Processor]) -> logging.Formatter:
    console = sys.stderr.isatty() if form == "auto" else form == "console"
    last: list[structlog.typing.Processor] = (
        [structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)]
        if console
        else [structlog.processors.format_exc_info, _mask_exception, structlog.processors.JSONRenderer()]
    )
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
    )


def _mask_exception(logger: Any, method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Tracebacks are text only now, and may quote a URL."""
    if "exception" in event:
        event["exception"] = masked(event["exception"])
    return event
