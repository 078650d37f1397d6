"""Where LIO runs: this host or a virtual machine, and what is said where neither can be."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.real_targets.lio.choice import Where, choose
from harness.real_targets.lio.host_facts import MODULES, HostFacts, host_facts
from harness.real_targets.lio.testbed import LioTestbed
from harness.real_targets.missing import NotInstalled

ABLE = HostFacts(True, "mounted", (), lambda: "/usr/bin/python3")


def need(reason: str) -> Callable[[], None]:
    """What is there, or raises the reason for which it is not."""

    def check() -> None:
        if reason:
            raise NotInstalled(reason)

    return check


@pytest.mark.parametrize(
    ("asked", "host", "machine", "found"),
    [
        ("auto", "", "", "host"),
        ("auto", "", "no QEMU", "host"),
        ("auto", "no root", "", "machine"),
        ("host", "", "no QEMU", "host"),
        ("machine", "", "", "machine"),
        ("machine", "no root", "", "machine"),
    ],
)
def test_host_is_taken_where_it_can_be_had(asked: str, host: str, machine: str, found: str) -> None:
    """Unless something else is asked for LIO runs on a host that has what it takes, and in a machine on another."""
    assert choose(Where(asked), need(host), need(machine)) == found


@pytest.mark.parametrize(
    ("asked", "reasons"),
    [("auto", ["no QEMU", "no root"]), ("host", ["no root"]), ("machine", ["no QEMU"])],
)
def test_what_is_missing_is_said(asked: str, reasons: list[str]) -> None:
    """Where what is asked for can't be had, all that keeps from it is named, and nothing else."""
    with pytest.raises(NotInstalled) as raised:
        choose(Where(asked), need("no root"), need("no QEMU"))
    assert [each for each in ("no QEMU", "no root") if each in str(raised.value)] == reasons


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (ABLE, None),
        (replace(ABLE, configfs="mountable"), None),
        (replace(ABLE, is_root=False), "for root alone"),
        (replace(ABLE, configfs=""), "no configfs"),
        (replace(ABLE, configfs="read-only"), "read-only"),
        (replace(ABLE, lacking_modules=("iscsi_target_mod",)), "no kernel module iscsi_target_mod"),
        (replace(ABLE, interpreter=lambda: None), "install Debian's package python3-rtslib-fb"),
    ],
)
def test_each_lack_of_a_host_has_its_reason(facts: HostFacts, reason: str | None) -> None:
    """What is said of a host names root, configfs, LIO's modules or rtslib-fb where it lacks them, and nothing else."""
    said = facts.lacks()
    assert said is None if reason is None else said is not None and reason in said


@pytest.mark.parametrize(
    ("files", "configfs"),
    [
        ({"proc/self/mounts": "config /sys/kernel/config configfs rw 0 0\n"}, "mounted"),
        ({"proc/self/mounts": "config /mnt configfs rw 0 0\n", "proc/filesystems": "nodev\tconfigfs\n"}, "mountable"),
        ({"proc/self/mounts": "config /sys/kernel/config configfs ro,nosuid 0 0\n"}, "read-only"),
        ({"sys/module/configfs/refcnt": "0\n"}, "mountable"),
        ({"proc/self/mounts": "tmpfs /tmp tmpfs rw 0 0\n", "proc/filesystems": "\text4\n"}, ""),
    ],
)
def test_facts_are_read_from_the_host(tmp_path: Path, files: dict[str, str], configfs: str) -> None:
    """Whether configfs is mounted, can be, or is not there is read from /proc and /sys, and so are LIO's modules."""
    for name, text in {**files, f"sys/module/{MODULES[0]}/refcnt": "1\n"}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    facts = host_facts(tmp_path)
    assert facts.configfs == configfs
    assert facts.lacking_modules == MODULES[1:]


def test_unknown_place_is_refused() -> None:
    """A testbed that is asked for a place of another name says which there are."""
    with pytest.raises(ValueError, match=re.escape("where can't be 'hots'; did you mean 'host'")):
        LioTestbed(seed=1, options={"where": "hots"})
