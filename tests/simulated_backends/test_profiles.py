"""Profiles: every figure has its source, mistakes are named."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest
from worlds import TESTBEDS, World

from simulated_backends import profiles
from simulated_backends.profiles import ProfileError, load_profile, parse_profile

KEYS = TESTBEDS["nfs-sim"].protocol_keys
TEXT = resources.files(profiles).joinpath("nfs-sim.toml").read_text(encoding="utf-8")


def test_a_whole_copy_takes_seconds(world: World) -> None:
    """A copy of 1 GiB takes one to three virtual seconds, and the profile says how long."""
    assert 10**9 <= world.testbed.profile.whole_copy_ns <= 3 * 10**9
    assert set(world.testbed.profile.codecs) == {"zstd", "zlib"}
    world.testbed.close()


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("[protocol]", "[protocol", "not TOML"),
        ('name = "nfs-sim"', 'name = "nfs-sim"\ncolour = 1', "unknown keys: colour"),
        ("pool_bytes", "pool_byte", "unknown keys: pool_byte"),
        ("value = 515_000_000", "value = 515.5", "must be int"),
        ("value = 515_000_000", "value = 0", "must be at least 1"),
        ('value = "full-copy"', 'value = "magic"', "redirect-on-write"),
        ('value = "thin"', 'value = "fat"', "thin, thick"),
        ("ratio = 2.896", "ratio = 0", "above 0"),
        ('source = "Linux nfsd: lease and grace of 90 s"', 'origin = "nfsd"', "origin"),
        ("control_ns = {", "#control_ns = {", "lacks control_ns"),
    ],
)
def test_mistakes_in_a_profile_are_named(old: str, new: str, says: str) -> None:
    """A profile that is not valid is refused with the place and what is wrong."""
    assert old in TEXT
    with pytest.raises(ProfileError, match=says):
        parse_profile(TEXT.replace(old, new, 1), "nfs-sim.toml", KEYS, {})


def test_options_override_figures() -> None:
    """Options replace figures and protocol numbers by name; unknown ones and wrong types are refused."""
    parsed = parse_profile(TEXT, "nfs-sim.toml", KEYS, {"lease_ns": 5, "snapshots_depend_on_volume": False})
    assert parsed.protocol["lease_ns"] == 5 and parsed.figures.snapshots_depend_on_volume is False
    with pytest.raises(ProfileError, match="unknown option lease"):
        parse_profile(TEXT, "nfs-sim.toml", KEYS, {"lease": 5})
    with pytest.raises(ProfileError, match="must be bool"):
        parse_profile(TEXT, "nfs-sim.toml", KEYS, {"snapshots_depend_on_volume": 1})


@pytest.mark.parametrize(("name", "key"), [(name, key) for name, bed in TESTBEDS.items() for key in bed.protocol_keys])
def test_numbers_of_protocols_are_not_negative(name: str, key: str) -> None:
    """A time or a size of a protocol below 0 is refused by name, switches are not numbers."""
    is_switch = isinstance(load_profile(name, TESTBEDS[name].protocol_keys, {}).protocol[key], bool)
    with pytest.raises(
        ProfileError, match=f"{key} must be bool" if is_switch else f"{key} is -1; it must be at least 0"
    ):
        TESTBEDS[name](options={key: -1})


def test_a_profile_is_shared_and_can_not_be_changed() -> None:
    """Testbeds with the same options share one profile, whose tables are read-only; other options make another."""
    keys = TESTBEDS["iscsi-sim"].protocol_keys
    first = load_profile("iscsi-sim", keys, {"job_slots": 1})
    assert load_profile("iscsi-sim", keys, {"job_slots": 1}) is first
    assert load_profile("iscsi-sim", keys, {"job_slots": 2}).figures.job_slots == 2
    for table in (first.codecs, first.protocol):
        with pytest.raises(TypeError):
            table["another"] = 1  # type: ignore[index]


def test_a_wrong_type_is_refused_after_a_right_one() -> None:
    """1 is refused as a switch although True, which equals it, was taken before; so is what can't be a key."""
    keys = TESTBEDS["iscsi-sim"].protocol_keys
    load_profile("iscsi-sim", keys, {"snapshots_depend_on_volume": True})
    for wrong in (1, 1.0, [True]):
        with pytest.raises(ProfileError, match="must be bool"):
            load_profile("iscsi-sim", keys, {"snapshots_depend_on_volume": wrong})


def test_an_edited_profile_counts_in_a_new_process(tmp_path: Path) -> None:
    """A process that starts after a profile was edited reads what it says now."""
    package = Path(str(resources.files(profiles))).parent
    shutil.copytree(package, tmp_path / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    edited = tmp_path / package.name / "profiles" / "nfs-sim.toml"
    ask = f"from simulated_backends.profiles import load_profile as load; print(load('nfs-sim', {KEYS!r}, {{}}).source)"
    told = []
    for source in ("first source", "second source"):
        text = re.sub(r'(?m)^source = ".*"$', f'source = "{source}"', TEXT, count=1)
        edited.write_text(text, encoding="utf-8")
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(package.parent)])}
        answer = subprocess.run(
            [sys.executable, "-c", ask], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
        )
        told.append(answer.stdout.strip())
    assert told == ["first source", "second source"]
