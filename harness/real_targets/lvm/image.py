"""The image of the machine with LVM: that of `lio`, with LVM's own packages and Cinder's script for LIO beside."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from harness.real_targets.lio.image import Extras
from harness.real_targets.missing import NotInstalled

_HERE = Path(__file__).parent
PACKAGES = (
    "lvm2", "dmsetup", "libdevmapper1.02.1", "libdevmapper-event1.02.1", "thin-provisioning-tools", "libaio1",
    "libblkid1", "libedit2", "libbsd0", "libmd0", "libselinux1", "libpcre2-8-0", "libsystemd0", "libgcrypt20",
    "libgpg-error0", "liblz4-1", "libzstd1", "libstdc++6", "libgcc-s1", "coreutils", "libacl1", "libattr1", "libgmp10",
)  # fmt: skip
MODULES = ("dm_mod", "dm_snapshot", "dm_thin_pool")
LVM_CONF = """\
devices { scan = [ "/dev" ] obtain_device_list_from_udev = 0 use_devicesfile = 0 issue_discards = 1 }
activation { udev_sync = 0 udev_rules = 0 monitoring = 0 }
global { use_lvmpolld = 0 event_activation = 0 }
backup { backup = 0 archive = 0 }
"""
"""There is no udev in the guest: LVM makes the device nodes itself. What is removed is discarded, so that a volume
group on a new disk hands out zeros (`issue_discards`)."""
UDEVADM = """\
#!/bin/sh
# Stands in for udevadm where there is no udev: nothing is to be waited for, and nothing else is known.
[ "$1" = settle ] && exit 0
echo "udevadm: this machine has no udev" >&2
exit 127
"""
RTSTOOL = """\
#!/usr/bin/python3
import sys

sys.path.insert(0, "/usr/lib/python3/dist-packages")
from cinder.cmd.rtstool import main

sys.exit(main())
"""
I18N = '''"""Stands in for Cinder's translations: messages stay as they are."""


def _(text):
    return text


def enable_lazy():
    pass
'''


def extras() -> Extras:
    """What the image has beside that of `lio`. Raises `NotInstalled` where Cinder is not there.

    `cinder-rtstool` is that of the Cinder installed, unmodified; of Cinder it imports translations alone.
    """
    try:
        script = Path(str(metadata.distribution("cinder").locate_file("cinder/cmd/rtstool.py"))).read_text()
    except (metadata.PackageNotFoundError, FileNotFoundError) as error:
        remedy = "pip install 'backend-activity-harness[cinder]'"
        raise NotInstalled(f"cinder-rtstool is needed in the machine, and Cinder is not installed; {remedy}") from error
    cinder = "/usr/lib/python3/dist-packages/cinder"
    files = {
        f"{cinder}/__init__.py": "",
        f"{cinder}/cmd/__init__.py": "",
        f"{cinder}/cmd/rtstool.py": script,
        f"{cinder}/i18n.py": I18N,
        "/usr/bin/cinder-rtstool": RTSTOOL,
        "/usr/bin/udevadm": UDEVADM,
        "/etc/lvm/lvm.conf": LVM_CONF,
        "/guest_lvm.py": (_HERE / "guest_lvm.py").read_text(),
    }
    return Extras(PACKAGES, MODULES, tuple(files.items()), ("dd",))
