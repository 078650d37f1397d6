"""The walk over all in-tree drivers, drafts of publications, and sidecars that must not grow stale."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from harness.driver_walk import DriverWalk
from harness.publication_file import PublicationFileError, read_publication_file

WALK = """
import json
from harness.cinder.practices import stale_practices
from harness.cinder.sidecar import drift, publications
from harness.cinder.walk import walk
found = walk().model_dump(mode="json")
told = [[each.reference, dict(each.configuration), each.version, drift(each)] for each in publications("cinder")]
print(json.dumps({"walk": found, "sidecars": told, "stale practices": stale_practices()}))
"""


@pytest.fixture(scope="module")
def seen() -> dict[str, Any]:
    """The walk and the sidecars, seen in a process of its own: importing every driver changes much."""
    done = subprocess.run([sys.executable, "-c", WALK], capture_output=True, text=True, check=True)
    value: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return value


def test_every_registered_class_is_walked(seen: dict[str, Any]) -> None:
    """The walk shows every class that Cinder registers, and modules that can't be imported are listed, not hidden."""
    walk = seen["walk"]
    assert walk["cinder_version"] == metadata.version("cinder")
    assert len(walk["drivers"]) == 103
    assert walk["broken_modules"] == {}


def test_origin_of_methods_tells_stubs_and_bases_from_code(seen: dict[str, Any]) -> None:
    """What a class brings itself is told from what it inherits and from stubs."""
    methods = {each["class"]: each["methods"] for each in seen["walk"]["drivers"]}
    lvm = methods["cinder.volume.drivers.lvm.LVMVolumeDriver"]
    nfs = methods["cinder.volume.drivers.nfs.NfsDriver"]
    assert (lvm["create_snapshot"], lvm["clone_image"], lvm["failover_host"]) == ("own", "stub", "base")
    assert (nfs["create_snapshot"], nfs["create_cloned_volume"]) == ("own", "shared")
    assert nfs["revert_to_snapshot"] in ("shared", "stub", "base")


def test_calls_of_the_volume_manager_are_bound_to_signatures(seen: dict[str, Any]) -> None:
    """Classes that the manager can't call as it does are found, with the call and where it stands."""
    unbound = {each["class"]: each["unbound_calls"] for each in seen["walk"]["drivers"] if each["unbound_calls"]}
    told = "\n".join(text for texts in unbound.values() for text in texts)
    assert "migrate_volume(self): too many positional arguments" in told
    assert "failover_host" in told
    assert "cinder/volume/manager.py:" in told
    assert len(unbound) < 10, "most classes bind"


def test_drafts_claim_nothing_that_can_not_be_seen(seen: dict[str, Any]) -> None:
    """No draft lists a method as stateless, and each asks of every copying method that its class brings."""
    for each in seen["walk"]["drivers"]:
        draft = each["draft"]
        assert draft["backend_activity_attributes"]["stateless_activities"] == [], each["class"]
        asked = "\n".join(draft["open_questions"])
        if each["methods"]["create_snapshot"] in ("own", "family", "shared"):
            assert "create_snapshot" in asked, each["class"]


def test_sidecars_are_of_the_installed_version_and_its_sources(seen: dict[str, Any]) -> None:
    """Each sidecar names the version that is installed, and the code that its claims come from is unchanged."""
    assert {tuple(each[1].values()) for each in seen["sidecars"]} >= {("thin",), ("default",)}
    for reference, configuration, version, drift in seen["sidecars"]:
        assert version == metadata.version("cinder"), (reference, configuration)
        assert drift == [], (reference, configuration)


def test_practices_are_of_the_installed_version_and_its_sources(seen: dict[str, Any]) -> None:
    """What is written down of Cinder's own ways was read from the code that is installed."""
    assert seen["stale practices"] == []


def test_draft_is_a_publication_file(tmp_path: Path) -> None:
    """What `draft` prints can be read as a publication without code."""
    target = "cinder.volume.drivers.rbd.RBDDriver"
    done = subprocess.run(
        [sys.executable, "-m", "harness.cli", "draft", target], capture_output=True, text=True, check=True
    )
    (tmp_path / "rbd.toml").write_text(done.stdout)
    file = read_publication_file(tmp_path / "rbd.toml")
    assert file.product == target
    assert file.attributes["stateless_activities"] == []


@pytest.mark.parametrize(
    ("target", "status", "says"),
    [
        ("tests.hosting.drivers:Publishes", 0, "tests.hosting.drivers.Publishes"),
        ("json:JSONDecoder", 4, "json:JSONDecoder has none of the methods of a driver"),
        ("cinder.volume.drivers.nope:X", 4, "has no module 'nope'"),
    ],
)
def test_draft_of_anything(target: str, status: int, says: str) -> None:
    """A class derived from Cinder's is drafted like one of Cinder's; what is no driver is refused in plain words."""
    done = subprocess.run([sys.executable, "-m", "harness.cli", "draft", target], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert says in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_method_that_a_vendor_s_decorator_carries_out_is_no_stub(seen: dict[str, Any]) -> None:
    """A body that does nothing is no stub where a decorator of the vendor's does the work, as Datera's does."""
    methods = {each["class"]: each["methods"] for each in seen["walk"]["drivers"]}
    datera = methods["cinder.volume.drivers.datera.datera_iscsi.DateraDriver"]
    assert (datera["create_snapshot"], datera["retype"]) == ("own", "own")


def _drivers(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "harness.cli", "drivers", *arguments], capture_output=True, text=True)


def test_drivers_of_a_name_are_written_as_data_and_as_a_page(tmp_path: Path) -> None:
    """`--report` writes what was walked as data that can be read again, and the page that shows it."""
    done = _drivers("--only", "SolidFire", "--report", str(tmp_path / "walk"))
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "walk" / "drivers.html") in done.stdout
    walk = DriverWalk.model_validate_json((tmp_path / "walk" / "drivers.json").read_text())
    assert [driver.name for driver in walk.drivers] == ["cinder.volume.drivers.solidfire.SolidFireDriver"]
    assert "SolidFireDriver" in (tmp_path / "walk" / "drivers.html").read_text()


def test_name_that_no_class_has_is_an_error() -> None:
    """A name that no class has ends with a usage error that names the nearest one; nothing is shown."""
    done = _drivers("--only", "LVMVolumDriver", "--json")
    assert (done.returncode, done.stdout) == (4, "")
    assert "no class's name contains 'LVMVolumDriver'; did you mean 'LVMVolumeDriver'?" in done.stderr


def test_claim_without_a_source_is_refused(tmp_path: Path) -> None:
    """A sidecar that publishes something without saying where it comes from can't be used."""
    from harness.cinder.sidecar import read_sidecar

    (tmp_path / "bare.toml").write_text(
        '[sidecar]\npackage = "cinder"\nversion = "29.0.0"\n[[publication]]\nclass = "a.B"\n'
        '[publication.backend_activity_attributes]\nstateless_activities = ["create_snapshot"]\n'
    )
    with pytest.raises(PublicationFileError, match="no claim says where stateless_activities = 'create_snapshot'"):
        read_sidecar(tmp_path / "bare.toml")
