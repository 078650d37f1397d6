"""From what the user wrote to a driver class: specs, errors, fresh imports, configuration, description."""

import importlib
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.loading import CandidateError, CandidateSpec, DriverConfiguration, describe
from harness.publication_file import PublicationFileError
from harness.reference_driver import ReferenceDriver

DRIVER = """
from vendor_array import helpers

class ArrayDriver:
    shared = []
    backend_activity_attributes = {"handle_scope": "unrestricted", "snapshot_replication": True}

    def __init__(self, *args, configuration, host, **kwargs):
        self.configuration = configuration

    def create_snapshot(self, snapshot): ...
    def replicate_snapshot(self, context, snapshot, destination, new_snapshot): ...

    class Inner: ...

def make_driver(): ...
"""


@pytest.fixture
def vendor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A vendor's package `vendor_array`, importable for one test."""
    package = tmp_path / "vendor_array"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "helpers.py").write_text("registry = []\n")
    (package / "driver.py").write_text(DRIVER)
    (package / "broken.py").write_text("x = 1\n\nraise RuntimeError('no licence')\n")
    (package / "leaving.py").write_text("import sys\nsys.exit(3)\n")
    (package / "needy.py").write_text("import no_such_library_at_all\n")
    (package / "wrong.py").write_text("def f(:\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield package  # type: ignore[misc]
    for name in [name for name in sys.modules if name.partition(".")[0] == "vendor_array"]:
        del sys.modules[name]


@pytest.mark.parametrize("target", ["vendor_array.driver:ArrayDriver", "vendor_array.driver.ArrayDriver"])
def test_class_is_named_either_way_and_imported_late(vendor: Path, target: str) -> None:
    """Making a spec imports nothing; loading it, after a trip through JSON, imports the class."""
    spec = CandidateSpec.for_driver(target)
    assert "vendor_array" not in sys.modules
    spec = CandidateSpec.from_dict(json.loads(json.dumps(spec.to_dict())))
    candidate = spec.load()
    assert candidate.driver_class() is sys.modules["vendor_array.driver"].ArrayDriver
    assert (spec.target, spec.name, candidate.vendor_code) == (target, "ArrayDriver", True)


def test_nested_class_is_found(vendor: Path) -> None:
    """A class may stand inside another."""
    assert CandidateSpec.for_driver("vendor_array.driver:ArrayDriver.Inner").load().driver_class().__name__ == "Inner"


def test_entry_point_names_the_reference_driver() -> None:
    """A registered name is enough; the bundled driver is no vendor's code."""
    candidate = CandidateSpec.for_driver("reference").load()
    assert candidate.driver_class() is ReferenceDriver
    assert not candidate.vendor_code


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("vendor_arrays.driver:ArrayDriver", "no module 'vendor_arrays' is found; install"),
        ("vendor_array.drivers:ArrayDriver", "has no module 'drivers'; did you mean 'driver'"),
        ("vendor_array.driver:ArayDriver", "has no class 'ArayDriver'; did you mean 'ArrayDriver'"),
        ("vendor_array.driver:make_driver", "is a function, not a class"),
        ("vendor_array.broken:Driver", r"raised RuntimeError .*no licence \(.*broken.py, line 3\)"),
        ("vendor_array.leaving:Driver", r"raised SystemExit .*leaving.py, line 2"),
        ("vendor_array.needy:Driver", r"needs the module 'no_such_library_at_all'.*needy.py, line 1"),
        ("vendor_array.wrong:Driver", r"raised SyntaxError .*\(/[^ ]*wrong.py, line 1\)"),
        ("vendor_array/driver.py:ArrayDriver", "names no class; write it as 'vendor_array.driver:ArrayDriver'"),
        ("acme_driver.py", "names no class; write it as 'acme_driver:Class'"),
        ("/elsewhere/acme_driver.py", "names no class; write it as 'acme_driver:Class'"),
        ("vendor_array/driver:ArrayDriver", "names no class; write it as"),
        ("referense", "did you mean 'reference'"),
        ("", "no driver ''"),
    ],
)
def test_driver_that_can_not_be_had_is_explained(vendor: Path, target: str, message: str) -> None:
    """The error says what failed, where, and what to do."""
    with pytest.raises(CandidateError, match=message):
        CandidateSpec.for_driver(target).load()


def test_fresh_class_shares_no_memory(vendor: Path) -> None:
    """After a restart neither class attributes nor the package's globals are those of before, and others are."""
    candidate = CandidateSpec.for_driver("vendor_array.driver:ArrayDriver").load()
    first: Any = candidate.driver_class()
    modules = {name: module for name, module in sys.modules.items() if name.startswith("vendor_array")}
    first.shared.append("remembered")
    modules["vendor_array.helpers"].registry.append("remembered")
    second: Any = candidate.driver_class(fresh=True)
    assert second is not first
    assert second.shared == []
    assert sys.modules["vendor_array.helpers"].registry == ["remembered"]
    globals_of_second = second.create_snapshot.__globals__
    assert globals_of_second["helpers"].registry == []
    assert {name: module for name, module in sys.modules.items() if name.startswith("vendor_array")} == modules
    assert sys.modules["vendor_array"].driver is modules["vendor_array.driver"]
    assert candidate.driver_class() is first


def test_no_two_restarts_share_memory(vendor: Path) -> None:
    """What a later edition remembers in its class or a module is unknown to the editions before and after it."""
    candidate = CandidateSpec.for_driver("vendor_array.driver:ArrayDriver").load()
    editions: list[Any] = [candidate.driver_class(fresh=True) for _ in range(2)]
    editions[0].shared.append("remembered")
    editions[0].create_snapshot.__globals__["helpers"].registry.append("remembered")
    editions.append(candidate.driver_class(fresh=True))
    assert [edition.shared for edition in editions] == [["remembered"], [], []]
    registries = [edition.create_snapshot.__globals__["helpers"].registry for edition in editions]
    assert registries == [["remembered"], [], []]


def test_restart_after_an_edit_runs_the_new_source(vendor: Path) -> None:
    """A module whose file was changed since an earlier restart is executed as it is now."""
    candidate = CandidateSpec.for_driver("vendor_array.driver:ArrayDriver").load()
    candidate.driver_class(fresh=True)
    source = (vendor / "helpers.py").read_text()
    (vendor / "helpers.py").write_text(source + "edited = True\n")
    edition: Any = candidate.driver_class(fresh=True)
    assert edition.create_snapshot.__globals__["helpers"].edited


def test_restart_without_the_source_is_an_error(vendor: Path) -> None:
    """A module whose file is gone can't be had again, compiled once or not."""
    candidate = CandidateSpec.for_driver("vendor_array.driver:ArrayDriver").load()
    candidate.driver_class(fresh=True)
    shutil.rmtree(vendor)
    importlib.invalidate_caches()
    with pytest.raises(CandidateError, match="no module 'vendor_array' is found"):
        candidate.driver_class(fresh=True)


def test_modules_of_a_restart_look_as_ever(vendor: Path) -> None:
    """The modules of a later edition have file, spec, loader and source as those of the first."""
    candidate = CandidateSpec.for_driver("vendor_array.driver:ArrayDriver").load()
    first: Any = candidate.driver_class()
    for edition in (candidate.driver_class(fresh=True), candidate.driver_class(fresh=True)):
        later: Any = edition
        helpers = later.create_snapshot.__globals__["helpers"]
        assert helpers.__file__ == first.create_snapshot.__globals__["helpers"].__file__
        assert helpers.__spec__.loader.get_source(helpers.__name__) == (vendor / "helpers.py").read_text()
        assert helpers.__package__ == "vendor_array" and helpers.__cached__


def test_fresh_import_that_fails_leaves_all_as_it_was(vendor: Path) -> None:
    """A module that can be imported only once is an error, and the first edition stays."""
    candidate = CandidateSpec.for_driver("vendor_array.driver:ArrayDriver").load()
    before = sys.modules["vendor_array.driver"]
    (vendor / "helpers.py").write_text("raise RuntimeError('only once, and no more')\n")
    with pytest.raises(CandidateError, match="only once"):
        candidate.driver_class(fresh=True)
    assert sys.modules["vendor_array.driver"] is before
    assert candidate.driver_class() is before.ArrayDriver


def test_fresh_reference_driver_leaves_the_harness_alone() -> None:
    """Of a package with other things in it only the driver's own module is imported anew."""
    import harness
    from harness import contract, reference_driver

    candidate = CandidateSpec.for_driver("reference").load()
    second: Any = candidate.driver_class(fresh=True)
    assert second is not ReferenceDriver
    assert sys.modules["harness.contract"] is contract
    assert second.do_setup.__globals__["NotSupported"] is contract.NotSupported
    assert sys.modules["harness.reference_driver"] is reference_driver
    assert harness.reference_driver is reference_driver


def test_configuration_file_becomes_options(tmp_path: Path) -> None:
    """The file's keys are the driver's options, its table `testbed` the testbed's."""
    path = tmp_path / "array.toml"
    path.write_text("pool = 'thin'\n[testbed]\nblocks = 64\n")
    spec = CandidateSpec.for_driver("reference", path)
    candidate = CandidateSpec.from_dict(spec.to_dict()).load()
    assert candidate.config == {"pool": "thin"}
    assert candidate.testbed_options == {"blocks": 64}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pool = ", "not well-formed TOML"),
        ("pool = ", "configuration of reference: "),
        ("since = 2020-01-01", "no value of a driver's configuration"),
        ("safe_get = 1", "'safe_get' is reserved"),
        ("backend = 'a'", "'backend' is reserved, the harness itself sets it; give it another name"),
        ("user = 'a'", "'user' is reserved, the harness itself sets it; give it another name"),
        ("publication = 3", "'publication' is no table; write what the reference driver is to publish as a table"),
        ("testbed = 1", "testbed is no table"),
    ],
)
def test_faulty_configuration_file_is_explained(tmp_path: Path, text: str, message: str) -> None:
    """A configuration that can't be used is refused before anything is loaded."""
    path = tmp_path / "array.toml"
    path.write_text(text)
    with pytest.raises(CandidateError, match=message) as caught:
        CandidateSpec.for_driver("reference", path)
    assert "array.toml" in str(caught.value)


@pytest.mark.parametrize("text", ["[]", "{" + " " * (1 << 20) + "}", "{"])
def test_configuration_is_not_called_a_publication(tmp_path: Path, text: str) -> None:
    """What is wrong with a driver's configuration is said of a configuration, not of a publication."""
    path = tmp_path / "array.json"
    path.write_text(text)
    with pytest.raises(CandidateError) as caught:
        CandidateSpec.for_driver("vendor_array.driver:ArrayDriver", path)
    assert "configuration" in str(caught.value)
    assert "publication" not in str(caught.value)
    assert "backend_activity_attributes" not in str(caught.value)


def test_only_the_reference_driver_reads_a_publication_option(tmp_path: Path) -> None:
    """To a vendor's driver `publication` is an option as every other."""
    path = tmp_path / "array.toml"
    path.write_text("publication = 3\n")
    assert CandidateSpec.for_driver("vendor_array.driver:ArrayDriver", path).config == {"publication": 3}


def test_publication_without_code_is_acted_out(tmp_path: Path) -> None:
    """A publication file stands for the reference driver with that publication, and is no vendor's code."""
    path = tmp_path / "thin.toml"
    path.write_text(
        '[publication]\nname = "Thin"\nproduct = "Array"\ntestbeds = ["iscsi-sim"]\nsources = ["manual"]\n'
        '[backend_activity_attributes]\nhandle_scope = "source-specific"\n'
    )
    spec = CandidateSpec.from_dict(json.loads(json.dumps(CandidateSpec.for_attributes(path).to_dict())))
    candidate = spec.load()
    assert (spec.kind, spec.name, spec.product, spec.testbeds) == ("publication", "Thin", "Array", ("iscsi-sim",))
    assert not candidate.vendor_code
    driver = candidate.driver_class()(configuration=candidate.configuration(object), host="node@primary#pool")
    described = describe(candidate, driver)
    assert described.published == {"handle_scope": "source-specific"}
    assert described.sources == ["manual"]
    with pytest.raises(PublicationFileError, match="no such file"):
        CandidateSpec.for_attributes(tmp_path / "missing.toml")


def test_configuration_gives_options_and_the_connection() -> None:
    """Options are attributes, missing ones None or an error that names the nearest; instances share nothing."""
    options: dict[str, Any] = {"pool_name": "thin", "targets": ["a"]}
    configuration = DriverConfiguration(options, lambda: "connection")
    assert configuration.pool_name == "thin"
    assert configuration.safe_get("pool_name") == "thin"
    assert configuration.safe_get("missing") is None
    with pytest.raises(AttributeError, match="'pool_nam': did you mean 'pool_name'"):
        _ = configuration.pool_nam
    assert configuration.backend_connect() == "connection"
    configuration.targets.append("b")
    assert options["targets"] == ["a"]
    with pytest.raises(ValueError, match="'backend_connect' is reserved"):
        DriverConfiguration({"backend_connect": 1}, object)


def test_description_tells_claims_defaults_findings_and_plans(vendor: Path) -> None:
    """A driver's description holds what it published, what counts, what is wrong, and a plan for each method."""
    candidate = CandidateSpec.for_driver("vendor_array.driver:ArrayDriver").load()
    driver = candidate.driver_class()(configuration=candidate.configuration(object), host="node@primary#pool")
    described = describe(candidate, driver)
    assert described.published == {"handle_scope": "unrestricted", "snapshot_replication": True}
    assert described.effective["handle_scope"] == "connection-specific"
    assert described.effective["snapshot_replication"] is True
    assert described.defaults == ["stateless_activities", "backup_compression_techniques"]
    assert [f.clause for f in described.findings if f.severity == "violation"] == ["A-7"]
    plans = {plan.method: plan for plan in described.methods}
    assert plans["create_snapshot"].plan == "quiesce, then invoke"
    assert plans["create_snapshot"].implemented
    assert plans["migrate_volume"].plan == "host copy"
    assert described.vendor_code
    described.model_dump_json()
