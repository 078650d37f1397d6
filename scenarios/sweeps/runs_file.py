"""The Parquet file of a sweep: a row for each run, in the order of the grid, whoever ran them in whatever order.

The file's metadata has, under `backend_activity`, a JSON text that says what was swept: the scenario's name and digest,
the grid, the version of the harness; a measure's column has its `unit`. Nothing in the file depends on when or where it
was made.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas
import pyarrow
from pyarrow import parquet

from scenarios.measure_names import MEASURES
from scenarios.sweeps.errors import SweepError
from scenarios.sweeps.journal import Row

METADATA_KEY = b"backend_activity"


def table_of(rows: Mapping[int, Row], sweep: Mapping[str, Any]) -> pyarrow.Table:
    """The rows in the order of their numbers; a column that a row lacks is null there."""
    ordered = [rows[number] for number in sorted(rows)]
    names: dict[str, None] = {}
    for row in ordered:
        names.update(dict.fromkeys(row))
    columns = [pyarrow.array([row.get(name) for row in ordered]) for name in names]
    fields = [
        pyarrow.field(name, column.type, metadata=_about(name)) for name, column in zip(names, columns, strict=True)
    ]
    text = json.dumps(dict(sweep), sort_keys=True).encode()
    return pyarrow.table(columns, schema=pyarrow.schema(fields, metadata={METADATA_KEY: text}))


def _about(column: str) -> dict[str, str] | None:
    """The metadata of a measure's column: its unit."""
    known = MEASURES.get(column.partition("[")[0])
    return {"unit": known.unit} if known else None


def write_runs(path: Path, rows: Mapping[int, Row], sweep: Mapping[str, Any]) -> None:
    """Write the file; at `path` there is all of it or nothing, whenever the process is killed. Raises `SweepError`."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as stream:
            parquet.write_table(table_of(rows, sweep), stream, compression="zstd")
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise SweepError(
            f"{path}: the runs can't be written: {error.strerror or error}; make room and run the same command again"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def swept(path: Path) -> dict[str, Any] | None:
    """What the metadata of a file say was swept; None if it is no file of a sweep."""
    try:
        found = json.loads((parquet.read_schema(path).metadata or {})[METADATA_KEY])
    except (OSError, pyarrow.ArrowException, KeyError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_runs(path: str | Path) -> pandas.DataFrame:
    """The runs of a sweep as a data frame. Raises `SweepError` if the file is none of a sweep."""
    path = Path(path)
    if not path.is_file():
        raise SweepError(f"{path}: there is no such file; give the runs.parquet of a sweep")
    if swept(path) is None:
        raise SweepError(f"{path}: it is no Parquet file of a sweep; give the runs.parquet of one")
    with parquet.ParquetFile(path) as file:
        frame: pandas.DataFrame = file.read().to_pandas()
    return frame
