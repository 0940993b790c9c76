"""`python -m caudal.gateway_api.adapters.parquet_rows FILE ROWS`: a Parquet file as a list of JSON objects.

A process of its own: what a foreign file does to its decoder, it does to nobody else.
"""

import resource
import sys

import msgspec

MEMORY = 2 * 1024**3
"""Bytes of addresses that decoding may take."""
CPU_S = 60
MAX_DECODED = 512 * 1024**2
"""Bytes that the columns may take once they are decoded."""


def main(path: str, max_rows: int) -> None:
    """Write the rows to the standard output.

    Ends with a reason on the standard error if they are too many, or no table.
    """
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    # After the limits: it is what they are for.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        groups = [file.metadata.row_group(place) for place in range(file.metadata.num_row_groups)]
        if file.metadata.num_rows > max_rows or sum(group.total_byte_size for group in groups) > MAX_DECODED:
            sys.exit(f"has more than {max_rows} rows, or too much in them: import it in parts")
        rows = file.read(use_threads=False).to_pylist()
    except (pa.ArrowException, OSError, MemoryError) as error:
        sys.exit(str(error)[:200] or type(error).__name__)
    sys.stdout.buffer.write(msgspec.json.encode(rows, enc_hook=str))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
