"""Layouts of rows, each made into the one that everything reads: a list of rows."""

from itertools import repeat
from typing import Any, Literal

from caudal.common.domain.payloads.refusals import Refusal, Unreadable, quoted

Layout = Literal["list", "columns", "keyed"]
"""list: the rows one after the other; a single one may stand by itself. columns: an object of lists side by side, of
which each makes one key of all rows; what is no list is the same in all rows. keyed: an object whose keys tell the rows
apart, such as by their times; each becomes `{"key": …, "value": …}`."""


def rows_of(node: Any, layout: Layout) -> list[Any]:
    """The rows that `node` holds.

    Raises:
        Unreadable: it holds none in this layout.
    """
    if layout == "list":
        return node if type(node) is list else [node]
    if node is None:
        return []
    if type(node) is not dict:
        raise Unreadable(Refusal.SHAPE, "", f"{quoted(node)} is no object, as the layout {layout} has it")
    if layout == "keyed":
        return [{"key": key, "value": value} for key, value in node.items()]
    return _side_by_side(node)


def _side_by_side(node: dict[str, Any]) -> list[Any]:
    lengths = {name: len(column) for name, column in node.items() if type(column) is list}
    if not lengths:
        raise Unreadable(Refusal.SHAPE, "", "holds no list, as the layout columns has them")
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{quoted(name)} {length}" for name, length in list(lengths.items())[:5])
        raise Unreadable(Refusal.SHAPE, "", f"has columns of different lengths: {said}")
    columns = [column if type(column) is list else repeat(column) for column in node.values()]
    return [dict(zip(node, row, strict=True)) for row in zip(*columns, strict=False)]
