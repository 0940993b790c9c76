"""What a person sees of a running platform: our own words, and what is important in the services' logs."""

import time

import msgspec
from rich.console import Console
from rich.markup import escape

SHOWN_LEVELS = {"warning": "yellow", "error": "red", "critical": "bold red"}
REPEATED_AFTER_S = 60.0
"""The same words of the same service are not shown again before that."""


class _LogLine(msgspec.Struct):
    """What interests us in a service's structured log."""

    level: str
    event: str


class Terminal:
    """Speaks on standard error, so that results alone are on standard output."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        self._shown: dict[tuple[str, str], float] = {}

    def say(self, text: str) -> None:
        """One line of ours; rich's markup is understood."""
        self.console.print(text, soft_wrap=True)

    def show_log(self, name: str, line: str) -> None:
        """Show a line of a service's log if it is a warning or worse; the log has them all."""
        try:
            entry = msgspec.json.decode(line, type=_LogLine)
        except msgspec.MsgspecError:
            return
        key, now = (name, entry.event), time.monotonic()
        if entry.level in SHOWN_LEVELS and now - self._shown.get(key, -REPEATED_AFTER_S) >= REPEATED_AFTER_S:
            self._shown[key] = now
            style = SHOWN_LEVELS[entry.level]
            self.console.print(
                f"[{style}]{name}: {escape(entry.event[:300])}[/] (more in logs/{name}.log)", soft_wrap=True
            )
