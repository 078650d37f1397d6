"""What Cinder itself does today around a driver's methods, as data: a scenario compares it with the specification."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from harness.cinder.sidecar import source_digest
from harness.publication_file import PublicationFileError, read_table

PATH = Path(__file__).parent / "data" / "practices.toml"


@dataclass(frozen=True)
class Practice:
    """One way of Cinder's.

    `steps` are methods of drivers and works of hosts, in their order; none where Cinder `refuses`. `volume_is` is the
    status that decides ("busy": any but available and in-use), `given` a further condition, if there is one; `source`
    the code that was read, as `module:qualified.name`, and `digest` that of its source.
    """

    name: str
    method: str
    volume_is: str
    steps: tuple[str, ...]
    refuses: bool
    source: str
    digest: str
    because: str
    given: str = ""


@functools.cache
def practices() -> tuple[Practice, ...]:
    """All that are written down. Raises `PublicationFileError` for a file that is no good."""
    table = read_table(PATH, "file of practices")
    try:
        return tuple(Practice(**{**each, "steps": tuple(each["steps"])}) for each in table["practice"])
    except (KeyError, TypeError) as error:
        raise PublicationFileError(PATH, f"a practice is not well formed: {error}", "mend it there") from None


def stale_practices() -> list[str]:
    """What has changed in the installed Cinder since the practices were written down; needs Cinder."""
    table = read_table(PATH, "file of practices")["practices"]
    found = []
    installed = metadata.version(table["package"])
    if installed != table["version"]:
        found.append(f"{PATH.name} was written for {table['package']} {table['version']}, not {installed}")
    for each in practices():
        now = source_digest(each.source)
        if now != each.digest:
            found.append(f"{each.name}: {each.source} has changed: {now}, not {each.digest}")
    return found
