"""What is put to the test: from what the user wrote to a driver class and its configuration.

A `CandidateSpec` is data; making one imports nothing of the driver, so it may be made outside the process in which the
driver runs. A `Candidate` holds the imported class and exists only inside that process.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from harness.attributes import KEYS, read_driver
from harness.contract import METHODS, implements
from harness.hosting import host_of_class, host_of_reference, preparing
from harness.importing import CandidateError, import_class, import_class_afresh
from harness.names import did_you_mean
from harness.plans import plan_for
from harness.publication_file import PublicationFileError, read_publication_file, read_table
from harness.results import Description, MethodPlan

__all__ = ["Candidate", "CandidateError", "CandidateSpec", "DriverConfiguration", "describe"]

DRIVER_GROUP = "backend_activity.drivers"
"""The entry point group under which drivers are registered."""
REFERENCE_DRIVER = "harness.reference_driver:ReferenceDriver"
"""The bundled driver that acts out a publication without code."""


@dataclass(frozen=True)
class CandidateSpec:
    """A driver as the user named it. `to_dict` and `from_dict` carry it between processes as JSON.

    `target` is what the user wrote, `reference` the class as `module:Class`, `name` what reports show. For a
    publication without code `publication` holds its attributes, and `publication_file` the path they came from.
    `config` are the driver's options, `testbed_options` those of the testbed that it brings its lab to.
    """

    target: str
    kind: Literal["class", "publication"]
    name: str
    reference: str
    config: Mapping[str, Any] = field(default_factory=dict)
    publication: Mapping[str, Any] | None = None
    publication_file: str | None = None
    testbed_options: Mapping[str, Any] = field(default_factory=dict)
    product: str = ""
    version: str = ""
    testbeds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()

    @classmethod
    def for_driver(cls, target: str, config_file: str | Path | None = None) -> CandidateSpec:
        """A driver given as `module:Class`, `package.module.Class` or the name of an entry point.

        `config_file` is a TOML or JSON file whose top-level keys become the driver's options, but for the table
        `testbed`, whose keys are the testbed's. Raises `CandidateError`.
        """
        reference = _resolve(target)
        config: dict[str, Any] = {}
        testbed: Any = {}
        if config_file is not None:
            try:
                config = read_table(Path(config_file), "driver's configuration")
            except PublicationFileError as error:
                raise CandidateError(f"configuration of {target}: {error}") from None
            for option in sorted(set(config) & (_RESERVED | _SET_BY_HARNESS)):
                what = (
                    "the harness itself sets it" if option in _SET_BY_HARNESS else "the configuration has such a method"
                )
                raise CandidateError(f"{config_file}: option {option!r} is reserved, {what}; give it another name")
            testbed = config.pop("testbed", {})
            if not isinstance(testbed, dict):
                raise CandidateError(f"{config_file}: testbed is no table; write the testbed's options as [testbed]")
            published = config.get("publication")
            if reference == REFERENCE_DRIVER and not (published is None or isinstance(published, dict)):
                remedy = "write what the reference driver is to publish as a table, [publication]"
                raise CandidateError(f"{config_file}: option 'publication' is no table; {remedy}")
        host = host_of_reference(reference)
        return cls(
            target,
            "class",
            reference.rpartition(":")[2],
            reference,
            config,
            testbed_options=testbed,
            testbeds=() if host is None else host.testbeds(reference),
        )

    @classmethod
    def for_attributes(cls, path: str | Path) -> CandidateSpec:
        """A publication without code, acted out by the reference driver. Raises `PublicationFileError`."""
        file = read_publication_file(path)
        return cls(
            target=str(path),
            kind="publication",
            name=file.name,
            reference=REFERENCE_DRIVER,
            config={"publication": file.attributes},
            publication=file.attributes,
            publication_file=file.path,
            product=file.product,
            version=file.version,
            testbeds=file.testbeds,
            sources=file.sources,
        )

    def to_dict(self) -> dict[str, Any]:
        """The spec as JSON has it."""
        return asdict(self) | {"testbeds": list(self.testbeds), "sources": list(self.sources)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CandidateSpec:
        """Read what `to_dict` wrote. Raises TypeError or KeyError for anything else."""
        return cls(**{**data, "testbeds": tuple(data["testbeds"]), "sources": tuple(data["sources"])})

    def load(self) -> Candidate:
        """Import the driver's class. Raises `CandidateError` that says what failed, where, and what to do."""
        host = host_of_reference(self.reference)
        try:
            if host is not None:
                host.prepare()
            with preparing(lambda each: each.prepare()):
                cls = import_class(self.reference)
            host = host_of_class(cls)
            if host is not None:
                host.prepare()
                host.check(cls, self.config)
        except ImportError as error:
            raise CandidateError(f"{self.reference}: {error}") from error
        except ValueError as error:
            raise CandidateError(f"{self.reference} can't be hosted: {error}") from error
        return Candidate(self, cls)


def _resolve(target: str) -> str:
    """The class that the user means, as `module:Class`; nothing is imported but the entry points' names."""
    path, _, name = target.partition(":")
    if path.endswith(".py"):
        parts = Path(path).with_suffix("").parts
        module = ".".join(parts) if all(part.isidentifier() for part in parts) else parts[-1]
        remedy = f"write it as '{module}:{name or 'Class'}', and have the module where Python finds it"
        raise CandidateError(f"{target!r} is a path and names no class; {remedy}")
    if ":" in target:
        module, _, qualname = target.partition(":")
        if not _is_dotted(module) or not _is_dotted(qualname):
            raise CandidateError(f"{target!r} names no class; write it as 'package.module:Class', not as a path")
        return target
    registered = {point.name: point.value for point in metadata.entry_points(group=DRIVER_GROUP)}
    if target in registered:
        return registered[target].partition("[")[0].replace(" ", "")
    module, dot, qualname = target.rpartition(".")
    if dot and _is_dotted(module) and _is_dotted(qualname) and "/" not in target:
        return f"{module}:{qualname}"
    raise CandidateError(
        f"no driver {target!r} is registered under {DRIVER_GROUP}: {did_you_mean(target, sorted(registered))}; "
        "or name a class as 'package.module:Class'"
    )


def _is_dotted(name: str) -> bool:
    return all(part.isidentifier() for part in name.split("."))


@dataclass(frozen=True)
class Candidate:
    """A driver class, imported. `driver_class` hands it out."""

    spec: CandidateSpec
    _cls: type

    @property
    def config(self) -> Mapping[str, Any]:
        """The driver's options; `configuration` gives an instance its own copy of them."""
        return self.spec.config

    @property
    def testbed_options(self) -> Mapping[str, Any]:
        """The options of the testbed, from the same configuration file."""
        return self.spec.testbed_options

    @property
    def vendor_code(self) -> bool:
        """Whether it is somebody's own class, and not the bundled reference driver (specification section 8)."""
        return self.spec.reference != REFERENCE_DRIVER

    def driver_class(self, fresh: bool = False) -> type:
        """The driver's class; with `fresh` a new one that shares no memory with the first, as after a restart.

        What is imported anew, and what can't be, stands at `import_class_afresh`. Raises `CandidateError`.
        """
        cls = import_class_afresh(self.spec.reference) if fresh else self._cls
        host = host_of_class(cls)
        return cls if host is None else host.hosted(cls, self.spec.config)

    def configuration(self, connect: Callable[[], Any]) -> DriverConfiguration:
        """A configuration of its own for one driver instance; `connect` opens its connection."""
        return DriverConfiguration(self.spec.config, connect)


class DriverConfiguration:
    """What a driver gets as `configuration`: its options as attributes, and its one connection.

    Options are copied, so that instances share no memory. Raises ValueError for an option with a reserved name.
    """

    def __init__(self, options: Mapping[str, Any], connect: Callable[[], Any]) -> None:
        reserved = sorted(set(options) & _RESERVED)
        if reserved:
            raise ValueError(f"option {reserved[0]!r} is reserved; give it another name")
        self._options: dict[str, Any] = _copied(dict(options))
        self._connect = connect

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_"):
            options: dict[str, Any] = self._options
            if name in options:
                return options[name]
            raise AttributeError(f"the configuration has no option {name!r}: {did_you_mean(name, sorted(options))}")
        raise AttributeError(name)

    def safe_get(self, name: str) -> Any:
        """The option's value, or None where it is not set."""
        return self._options.get(name)

    def backend_connect(self) -> Any:
        """Open the driver's connection, as its host and user. Raises `ConnectionLost` where that fails."""
        return self._connect()


def options_of(configuration: DriverConfiguration) -> Mapping[str, Any]:
    """The options of a configuration, by name."""
    return configuration._options


_SHAREABLE = frozenset({str, int, float, bool, type(None), bytes})


def _copied(value: Any) -> Any:
    """A deep copy; of what TOML and JSON are made of without the detours of `copy.deepcopy`."""
    cls = type(value)
    if cls in _SHAREABLE:
        return value
    if cls is dict:
        if _SHAREABLE.issuperset(map(type, value.values())):
            return value.copy()
        return {key: _copied(item) for key, item in value.items()}
    if cls is list:
        if _SHAREABLE.issuperset(map(type, value)):
            return value.copy()
        return [_copied(item) for item in value]
    return copy.deepcopy(value)


_RESERVED = frozenset({"safe_get", "backend_connect"})
"""Methods of a driver's configuration."""
_SET_BY_HARNESS = frozenset({"backend", "user"})
"""Options that every driver is given: the name of its backend, and the user that it runs for."""


def describe(candidate: Candidate, driver: object) -> Description:
    """How a driver instance describes itself: its publication, the defaults, findings, and a plan for each method."""
    publication, findings = read_driver(driver, lambda name: implements(driver, name))
    methods = []
    for method in METHODS:
        implemented = implements(driver, method)
        plan, reason = plan_for(publication, method, implemented)
        listed = method in publication.stateless_activities
        methods.append(MethodPlan(method=method, implemented=implemented, listed=listed, plan=plan, reason=reason))
    return Description(
        driver=candidate.spec.name,
        target=candidate.spec.target,
        vendor_code=candidate.vendor_code,
        published=publication.published_as_json(),
        effective=publication.effective(),
        defaults=[key for key in KEYS if publication.is_default(key)],
        findings=findings,
        methods=methods,
        sources=list(candidate.spec.sources),
    )
