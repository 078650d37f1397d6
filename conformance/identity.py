"""Whose driver it is: the file of `--identity`, the driver's version, and the digest of its configuration.

    [identity]
    vendor = "Acme Storage"
    product = "Acme volume driver"
    version = "2.1.0"
    contact = "storage@acme.example"

A run of several drivers needs in each file `driver = "…"` beside these: the driver as it stands on the command line.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from conformance.session import DriverUnderTest, UsageProblem
from conformance.toml_files import read_toml, texts
from harness.names import did_you_mean
from harness.results import Description, Identity

_KEYS = ("vendor", "product", "version", "contact")


def read_identities(paths: Sequence[str], drivers: Sequence[DriverUnderTest]) -> dict[int, Identity]:
    """The identity of each driver that has one, by the driver's index. Raises `UsageProblem`."""
    found: dict[int, Identity] = {}
    for path in paths:
        where = f"--identity {path}"
        tables = read_toml("--identity", path)
        for key in tables:
            if key != "identity":
                raise UsageProblem(f"{where}: the table {key!r} is not known; {did_you_mean(key, ['identity'])}")
        if "identity" not in tables:
            raise UsageProblem(f"{where}: the table [identity] is missing; write {', '.join(_KEYS)} in it")
        values = texts(f"{where}: [identity]", tables["identity"], _KEYS, ("driver",))
        driver = _named(where, values.pop("driver", None), drivers)
        if driver.index in found:
            raise UsageProblem(f"{where}: {driver.label} has an identity already; give each driver one file")
        found[driver.index] = Identity.model_validate(values)
    return found


def _named(where: str, name: str | None, drivers: Sequence[DriverUnderTest]) -> DriverUnderTest:
    if name is None:
        if len(drivers) > 1:
            labels = ", ".join(driver.option[1] for driver in drivers)
            raise UsageProblem(
                f"{where}: the run has several drivers; say in it which one, as driver = one of {labels}"
            )
        return drivers[0]
    for driver in drivers:
        if name in (driver.option[1], driver.label):
            return driver
    raise UsageProblem(
        f"{where}: driver {name!r} is none of the run; {did_you_mean(name, [d.option[1] for d in drivers])}"
    )


def driver_version(driver: DriverUnderTest, description: Description, identity: Identity | None) -> str | None:
    """The version that the driver publishes, else that of its identity, else that of its publication file.

    Raises `UsageProblem` where the driver publishes another version than its identity says.
    """
    published = description.effective.get("version")
    if not isinstance(published, str) or not published:
        return (identity.version if identity else None) or driver.spec.get("version") or None
    if identity is not None and identity.version != published:
        raise UsageProblem(
            f"{driver.label} publishes version {published!r}, and its --identity file says {identity.version!r}; "
            "let both say the same"
        )
    return published


def configuration_digest(driver: DriverUnderTest) -> str:
    """SHA-256 of the options of the driver and its testbeds, and of a publication without code."""
    chosen = {name: driver.spec.get(name) for name in ("reference", "config", "testbed_options", "publication")}
    return hashlib.sha256(json.dumps(chosen, sort_keys=True).encode()).hexdigest()
