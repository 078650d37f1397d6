"""Publications for classes that publish nothing themselves, from files beside them: sidecars.

A sidecar is a TOML file:

    [sidecar]
    package = "cinder"
    version = "29.0.0"                     # of the package whose code was read

    [[publication]]
    class = "cinder.volume.drivers.lvm.LVMVolumeDriver"
    configuration = { lvm_type = "thin" }  # holds for a driver whose options have these values

    [publication.backend_activity_attributes]
    stateless_activities = ["create_snapshot"]

    [[publication.claim]]                  # where each claim comes from
    attribute = "stateless_activities"
    value = "create_snapshot"
    source = "os_brick.local_dev.lvm:LVM.create_lv_snapshot"
    digest = "…"                           # of that function's source, so that a change of it is noticed
    because = "…"

The folder with a package's sidecars is registered under the entry point group `backend_activity.sidecars`, by the
package's name.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any

from harness.contract import ATTRIBUTE
from harness.publication_file import PublicationFileError, read_table

SIDECAR_GROUP = "backend_activity.sidecars"
"""The entry point group of the folders with sidecars."""

_CLAIM_KEYS = ("attribute", "value", "source", "digest", "because")


@dataclass(frozen=True)
class Claim:
    """Why one value of one attribute is published: `source` is the code that was read, as `module:qualified.name`."""

    attribute: str
    value: str
    source: str
    digest: str
    because: str


@dataclass(frozen=True)
class SidecarPublication:
    """What a sidecar says that a class publishes under a configuration."""

    path: str
    package: str
    version: str
    reference: str
    configuration: Mapping[str, Any]
    attributes: Mapping[str, Any]
    claims: tuple[Claim, ...]


def publication_for(cls: type, options: Mapping[str, Any]) -> SidecarPublication | None:
    """What the sidecars say of a class under these options; None if they say nothing of it, or not under these.

    A class that inherits from one that they speak of is not spoken of: it may do anything otherwise.
    """
    name = f"{cls.__module__}.{cls.__qualname__}"
    for publication in publications(cls.__module__.partition(".")[0]):
        wanted = publication.configuration
        if publication.reference == name and all(options.get(key) == value for key, value in wanted.items()):
            return publication
    return None


@functools.cache
def publications(package: str) -> tuple[SidecarPublication, ...]:
    """All that the registered sidecars of a package hold. Raises `PublicationFileError`."""
    found: list[SidecarPublication] = []
    for entry in metadata.entry_points(group=SIDECAR_GROUP):
        if entry.name == package:
            folder: Path = entry.load()
            for path in sorted(folder.glob("*.toml")):
                found += read_sidecar(path)
    return tuple(found)


def read_sidecar(path: Path) -> list[SidecarPublication]:
    """Read a sidecar. Raises `PublicationFileError`."""
    table = read_table(path, "sidecar")
    about = table.get("sidecar")
    if not isinstance(about, dict) or not {"package", "version"} <= set(about):
        raise PublicationFileError(path, "it has no table sidecar with package and version", "add [sidecar]")
    return [_read(path, about, each) for each in _tables(path, table, "publication")]


def _read(path: Path, about: Mapping[str, Any], table: Mapping[str, Any]) -> SidecarPublication:
    try:
        reference, attributes = table["class"], table[ATTRIBUTE]
        configuration = table.get("configuration", {})
    except KeyError as error:
        raise PublicationFileError(path, f"a publication lacks {error}", "add it") from None
    claims = []
    for claim in _tables(path, table, "claim"):
        if set(claim) != set(_CLAIM_KEYS):
            raise PublicationFileError(
                path, f"a claim of {reference} has the keys {', '.join(claim)}", f"give it {', '.join(_CLAIM_KEYS)}"
            )
        claims.append(Claim(**claim))
    claimed = {(claim.attribute, claim.value) for claim in claims}
    for name, value in attributes.items():
        for item in value if isinstance(value, list) else [value]:
            if (name, str(item)) not in claimed:
                raise PublicationFileError(
                    path, f"{reference}: no claim says where {name} = {item!r} comes from", "add [[publication.claim]]"
                )
    frozen = {name: tuple(value) if isinstance(value, list) else value for name, value in attributes.items()}
    return SidecarPublication(
        path=str(path),
        package=str(about["package"]),
        version=str(about["version"]),
        reference=reference,
        configuration=MappingProxyType(dict(configuration)),
        attributes=MappingProxyType({**frozen, "version": str(about["version"])}),
        claims=tuple(claims),
    )


def _tables(path: Path, table: Mapping[str, Any], name: str) -> Iterator[Mapping[str, Any]]:
    for each in table.get(name, []):
        if not isinstance(each, dict):
            raise PublicationFileError(path, f"{name} is no list of tables", f"write it as [[{name}]]")
        yield each


def source_digest(source: str) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a function's or class's source, given as `module:name`.

    Raises ImportError or AttributeError where it is not there any more.
    """
    module, _, name = source.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    text = textwrap.dedent(inspect.getsource(inspect.unwrap(found)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def drift(publication: SidecarPublication) -> list[str]:
    """What has changed since a sidecar's publication was written: version and sources; empty if nothing has."""
    installed = metadata.version(publication.package)
    found = []
    if installed != publication.version:
        found.append(f"{publication.path} was written for {publication.package} {publication.version}, not {installed}")
    for claim in publication.claims:
        try:
            now = source_digest(claim.source)
        except (ImportError, AttributeError, OSError) as error:
            found.append(f"{claim.source}, source of {claim.value}, can't be read any more: {error}")
            continue
        if now != claim.digest:
            found.append(f"{claim.source}, source of {claim.value}, has changed: {now}, not {claim.digest}")
    return found
