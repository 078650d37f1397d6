"""Reports are written whole or not at all, and read back as they were or with a clear error."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from pyfakefs.fake_filesystem import FakeFilesystem
from report_samples import report

from harness.results import Report
from reports import ReportError, load_report, write_report
from reports.files import write_all
from reports.plain import to_json
from reports.schema import CERTIFICATE_PATH, PATH, certificate_schema, report_schema, schema_text

FILES = ["badge.json", "certificate.json", "junit.xml", "report.html", "report.json"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sample report."""
    return write_report(report(), tmp_path_factory.mktemp("report") / "deep" / "down").parent


def test_a_report_comes_back_as_it_was(written: Path) -> None:
    """What is loaded equals what was written, and nothing but the report's files is left in the directory."""
    assert load_report(written / "report.json") == report()
    assert sorted(path.name for path in written.iterdir()) == FILES


def test_the_shipped_schema_is_the_model_s() -> None:
    """Both schema files equal what the models give; `python -m reports.schema` writes them anew."""
    assert PATH.read_text(encoding="utf-8") == schema_text(report_schema())
    assert CERTIFICATE_PATH.read_text(encoding="utf-8") == schema_text(certificate_schema())


def test_a_written_report_follows_the_schema(written: Path) -> None:
    """A written report validates, and one with another version, or with a key too many, does not."""
    data = json.loads((written / "report.json").read_text())
    jsonschema.Draft202012Validator.check_schema(report_schema())
    jsonschema.validate(data, report_schema())
    for change in ({"schema_version": "other/1"}, {"extra": 1}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**data, **change}, report_schema())


class Killed(BaseException):
    """Stands for the process being killed."""


def _kill(*_: Any, **__: Any) -> None:
    raise Killed


@pytest.mark.parametrize(
    ("step", "left"), [("fsync", {"report.json": "old", "report.html": "old"}), ("replace", {"report.json": "old"})]
)
def test_a_kill_leaves_the_last_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, left: dict[str, str]
) -> None:
    """A run broken off while writing leaves the last run's files, whole; from the first rename on, only the first."""
    write_all(tmp_path, {"report.json": "old", "report.html": "old"})
    monkeypatch.setattr(os, step, _kill)
    with pytest.raises(Killed):
        write_all(tmp_path, {"report.json": "new", "report.html": "new"})
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == left


def test_each_file_is_on_the_disk_before_any_takes_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files are complete and synced before the first rename."""
    calls: list[str] = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(os, name, lambda *a, _n=name, _r=real: (calls.append(_n), _r(*a))[1])
    write_all(tmp_path, {"a": "1", "b": "2"})
    assert calls == ["fsync", "fsync", "replace", "replace", "fsync"]


def test_a_full_disk_is_told_and_leaves_the_last_report(fs: FakeFilesystem) -> None:
    """Where the disk is full, the error says so, and the old files stay whole with nothing beside them."""
    directory = Path("/out")
    fs.create_dir(directory)
    write_all(directory, {"report.json": "old", "report.html": "old"})
    fs.set_disk_usage(200)
    with pytest.raises(OSError, match="No space"):
        write_all(directory, {"report.json": "n", "report.html": "x" * 1000})
    assert {path.name: path.read_text() for path in directory.iterdir()} == {"report.json": "old", "report.html": "old"}


def test_a_directory_that_can_not_be_made_is_told(tmp_path: Path) -> None:
    """A report into a place that is a file is refused with the path in the message."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ReportError, match=r"file.*can't be written"):
        write_report(report(), tmp_path / "file" / "out")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text[: len(text) // 2], "cut off"),
        (lambda text: "", "cut off"),
        (lambda text: text.replace("report/1", "report/2", 1), "report/2.*this version reads"),
        (lambda text: "[1, 2]", "no schema_version"),
        (lambda text: text.replace('"seed"', '"sead"', 1), r"(?s)seed: Field required.*sead: Extra"),
        (lambda text: text.replace('"wall_s": 0.0417', '"wall_s": NaN', 1), "NaN is not JSON"),
        (lambda text: text.replace('"wall_s": 0.0417', '"wall_s": 1e999', 1), "1e999 is too large a number"),
        (lambda text: text.replace('"wall_s": 0.0417', f'"wall_s": {10**400}', 1), "000… is too large a number"),
        (lambda text: text.replace('"passed"', '"pased"'), r"(?s)outcome.*and \d+ more"),
        (lambda text: "[" * 100_000, "JSON"),
    ],
    ids=[
        "truncated",
        "empty",
        "other version",
        "a list",
        "misspelt key",
        "nan",
        "infinite",
        "huge",
        "no such outcome",
        "endless",
    ],
)
def test_a_bad_file_is_refused_with_a_reason(written: Path, tmp_path: Path, change: Any, said: str) -> None:
    """A file that isn't a report of this version is refused; the message names the file and what is wrong."""
    path = tmp_path / "broken.json"
    path.write_text(change((written / "report.json").read_text()))
    with pytest.raises(ReportError, match=said) as caught:
        load_report(path)
    assert str(path) in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    """A path without a file says so."""
    with pytest.raises(ReportError, match="there is no such file"):
        load_report(tmp_path / "none.json")


class Unshowable:
    """An object that can't even be printed."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_odd_values_can_not_keep_a_report_from_being_written() -> None:
    """Sets, bytes, endless, huge and unprintable values of a driver become text; the report still loads."""
    endless: dict[str, Any] = {}
    endless["self"] = endless
    odd = {
        "set": {"b", "a"},
        "bytes": b"\xff",
        "endless": endless,
        "unshowable": Unshowable(),
        "surrogate": "\ud800",
        "nan": float("nan"),
        "huge": 10**5000,
        7: "key",
    }
    run = report()
    run.drivers[0].description.published = odd  # type: ignore[assignment]
    text = to_json(run)
    published = Report.model_validate(json.loads(text)).drivers[0].description.published
    assert published["set"] == ["a", "b"]
    assert published["bytes"] == "b'\\xff'"
    assert published["endless"] == {"self": "…"}
    assert published["unshowable"] == "<Unshowable, not shown: RuntimeError>"
    assert published["surrogate"] == "\\ud800"
    assert published["nan"] == "nan"
    assert published["huge"].startswith("an integer of")
    assert published["7"] == "key"
    assert to_json(run) == text
