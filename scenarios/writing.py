"""Files of a study: `study.json` for programs and pages, `runs.parquet` with a row for each run; and who draws it.

Packages that draw register a function under `backend_activity.study_writers`; it is called with the study and the
folder, and returns the paths of what it wrote. One that can't be imported, or fails, is named; the data is there all
the same.
"""

from __future__ import annotations

import os
from importlib.metadata import entry_points
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from harness.study_results import Study
from scenarios.frames import runs_frame

STUDY_NAME = "study.json"
RUNS_NAME = "runs.parquet"
WRITER_GROUP = "backend_activity.study_writers"


def write_study(study: Study, folder: Path) -> list[Path]:
    """Write a study's files to `folder`, made if need be; each appears whole. Returns their paths. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    runs, text = folder / RUNS_NAME, folder / STUDY_NAME
    pending = folder / f".{RUNS_NAME}.{os.getpid()}.tmp"
    try:
        pq.write_table(runs_table(study), pending)
        os.replace(pending, runs)
    finally:
        pending.unlink(missing_ok=True)
    pending = folder / f".{STUDY_NAME}.{os.getpid()}.tmp"
    try:
        pending.write_text(study.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(pending, text)
    finally:
        pending.unlink(missing_ok=True)
    return [text, runs]


def read_study(path: Path) -> Study:
    """A study that was written. Raises ValueError for anything else, OSError where it can't be read."""
    return Study.model_validate_json(path.read_text(encoding="utf-8"))


def runs_table(study: Study) -> pa.Table:
    """A row for each run: `variant`, `seed`, `failures`, `digest`, and a column for each measure, by its key.

    Each measure's column has its unit in its metadata (`unit`), the table the scenario and the question. What a run has
    no value of is null.
    """
    frame = runs_frame(study)
    frame.insert(2, "digest", [row.digest for row in study.rows])
    table = pa.Table.from_pandas(frame, preserve_index=False)
    units = {measure.key: measure.unit for row in study.rows for measure in row.measures}
    fields = [f.with_metadata({"unit": units[f.name]}) if f.name in units else f for f in table.schema]
    about = {"scenario": study.scenario, "question": study.question, "schema": study.schema_version}
    return table.cast(pa.schema(fields, metadata=about))


def draw_study(study: Study, folder: Path) -> tuple[list[Path], list[str]]:
    """Let everybody draw who can; returns what was written, and a sentence for each who could not."""
    paths: list[Path] = []
    problems: list[str] = []
    for entry in sorted(entry_points(group=WRITER_GROUP), key=lambda e: e.name):
        try:
            paths += entry.load()(study, folder)
        except Exception as error:
            problems.append(f"{entry.name} ({entry.value}) drew nothing: {type(error).__name__}: {error}")
    return paths, problems
