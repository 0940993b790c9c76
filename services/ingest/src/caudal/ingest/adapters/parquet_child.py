"""A process that decodes one Parquet file and writes its rows to stdout: what a hostile file does, it does here.

Started as `python -m caudal.ingest.adapters.parquet_child PATH LIMITS`. Frames on stdout: four bytes of length, then
MessagePack: first a `Head`, then lists of rows, last a `Tail`.
"""

import resource
import sys
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caudal.ingest.adapters.parquet_frames import FRAME, Head, Limits, Rows, Tail


def main(path: str, limits: Limits) -> None:
    """Write the frames of one file; never raises for what the file holds."""
    _bind(limits)
    try:
        _decode(Path(path), limits)
    except MemoryError:
        _write(Tail(f"needs more than {limits.memory_bytes // 1024**2} MB to decode"))
    except (pa.ArrowException, OSError, ValueError, NotImplementedError) as error:
        _write(Tail(f"cannot be decoded: {error}"[:300]))
    else:
        _write(Tail())


def _bind(limits: Limits) -> None:
    """Bound this process: its memory from here on, one thread, no core file."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    pa.set_memory_pool(pa.system_memory_pool())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    statm = Path("/proc/self/statm")
    if statm.exists():  # elsewhere than on Linux RLIMIT_AS does nothing, and the other limits have to do
        held = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (held + limits.memory_bytes,) * 2)


def _decode(path: Path, limits: Limits) -> None:
    with pq.ParquetFile(path, thrift_string_size_limit=10_000_000, thrift_container_size_limit=1_000_000) as file:
        schema, metadata = file.schema_arrow, file.metadata
        _check(metadata, schema, limits)
        kept = [field.name for field in schema if _is_single(field.type)]
        left_out = {field.name: str(field.type)[:80] for field in schema if not _is_single(field.type)}
        if len(set(kept)) != len(kept):
            raise ValueError("has two columns of the same name")
        _write(Head(kept, metadata.num_rows, left_out))
        rows = decoded = 0
        for batch in file.iter_batches(limits.rows_per_batch, columns=kept, use_threads=False):
            rows += batch.num_rows
            decoded += batch.nbytes
            if rows > limits.max_rows or decoded > limits.max_decoded_bytes:
                raise ValueError(f"holds more than its footer says: {rows} rows, {decoded} bytes so far")
            _write(_rows(batch, limits.max_cell))


def _check(metadata: pq.FileMetaData, schema: pa.Schema, limits: Limits) -> None:
    """Refuse by the footer what would be too much."""
    size = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    if len(schema) > limits.max_columns or metadata.num_columns > limits.max_columns:
        raise ValueError(f"has {metadata.num_columns} columns, more than {limits.max_columns}")
    if metadata.num_rows > limits.max_rows:
        raise ValueError(f"has {metadata.num_rows} rows, more than {limits.max_rows}")
    if size > limits.max_decoded_bytes:
        raise ValueError(f"decodes to {size} bytes, more than {limits.max_decoded_bytes}")


def _is_single(kind: pa.DataType) -> bool:
    """Whether a cell of this type is one number, text, instant or truth."""
    tests = (
        pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_boolean, pa.types.is_string,
        pa.types.is_large_string, pa.types.is_timestamp, pa.types.is_date, pa.types.is_time,
    )  # fmt: skip
    return any(test(kind.value_type if pa.types.is_dictionary(kind) else kind) for test in tests)


def _rows(batch: pa.RecordBatch, max_cell: int) -> Rows:
    faults: dict[int, str] = {}
    columns = [
        _cells(column, name, max_cell, faults) for name, column in zip(batch.schema.names, batch.columns, strict=True)
    ]
    return Rows([list(cells) for cells in zip(*columns, strict=True)], faults)


def _cells(column: pa.Array, name: str, max_cell: int, faults: dict[int, str]) -> list[Any]:
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        too_long = pc.greater(pc.binary_length(column), max_cell)
        if pc.any(too_long).as_py():
            for index in pc.indices_nonzero(too_long).to_pylist():
                faults[index] = f"{name[:60]}: has more than {max_cell} bytes"
            column = pc.if_else(too_long, None, column)
    elif pa.types.is_floating(kind):
        column = column.cast(pa.float32()) if pa.types.is_float16(kind) else column
        column = pc.if_else(pc.is_nan(column), None, column)
    elif pa.types.is_timestamp(kind) and kind.unit == "ns":
        column = pc.cast(column, pa.timestamp("us", kind.tz), safe=False)
    elif pa.types.is_time64(kind) and kind.unit == "ns":
        column = pc.cast(column, pa.time64("us"), safe=False)
    return list(column.to_pylist())


def _write(frame: object) -> None:
    payload = msgspec.msgpack.encode(frame)
    sys.stdout.buffer.write(FRAME.pack(len(payload)) + payload)
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], msgspec.json.decode(sys.argv[2], type=Limits))
