"""Profiles: every figure has its source, mistakes are named."""

from __future__ import annotations

from importlib import resources

import pytest
from worlds import TESTBEDS, World

from simulated_backends import profiles
from simulated_backends.profiles import ProfileError, parse_profile

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
