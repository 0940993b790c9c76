"""The demo's result for people."""

from decimal import Decimal

from rich.console import Console
from rich.table import Table

from caudal.cli.domain.outcome import Outcome


def table_of(outcome: Outcome) -> Table:
    """The figures, with what each of them means."""
    table = Table(title="What went in, and what came out", title_justify="left", show_header=False)
    off = abs(Decimal(str(outcome.volume_m3)) - Decimal(str(outcome.expected_volume_m3)))
    flags = ", ".join(f"{name} {count}" for name, count in sorted(outcome.flags.items()))
    rows = [
        ("readings", f"{outcome.readings_stored:,} stored of {outcome.readings_sent:,} sent"),
        ("volume", f"{outcome.volume_m3:,.2f} m³ by the corrected counter"),
        ("", f"{outcome.expected_volume_m3:,.3f} m³ integrated from the file ({off:.3f} m³ apart; one pulse is 0.01)"),
        ("resets", f"{outcome.resets}   the power loss: counting went on from where it was"),
        ("glitches", f"{outcome.glitches}   the single zero: flagged, and no baseline"),
        ("duplicates", f"{outcome.duplicates}   delivered again: recognised"),
        ("late", f"{outcome.late}   overtaken by a later reading: folded in where they belong"),
        ("rejected", f"{outcome.rejected}   unreadable: kept whole with the reason"),
        ("flags", flags or "none"),
        ("time", f"{outcome.seconds:.1f} s from the first message to the last stored value"),
    ]
    for name, text in rows:
        table.add_row(f"[bold]{name}[/]" if name else "", text)
    return table


def show(outcome: Outcome, shortcomings: list[str]) -> None:
    """Print the table, and what is wrong with it."""
    console = Console(highlight=False)
    console.print(table_of(outcome))
    for words in shortcomings:
        console.print(f"[bold red]Not as it should be:[/] {words}")
