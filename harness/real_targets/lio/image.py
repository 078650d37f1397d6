"""Builds the virtual machine's kernel and initramfs from Debian packages, once, into a cache.

Nothing is installed: packages are downloaded by apt-get and unpacked by dpkg-deb, which needs no privileges. The cache
is `backend-activity-harness/lio` below XDG_CACHE_HOME (by default ~/.cache); `packages` in each of its directories
tells the versions. An image stays until its directory is removed, or until what builds it changes.
"""

from __future__ import annotations

import compileall
import fcntl
import hashlib
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.real_targets.missing import NotInstalled, need_program

from .archive import write_archive

KERNEL = "linux-image-cloud-amd64"
AGENT = tuple(Path(__file__).with_name(name) for name in ("lio_agent.py", "agent_in_guest.py"))
"""The agent's files, which are in the guest's root directory; the last is the program."""
LIBRARIES = (
    "libc6", "zlib1g", "libexpat1", "libffi8", "libudev1", "libcap2", "libuuid1", "libreadline8", "libtinfo6",
    "libncursesw6", "libbz2-1.0", "liblzma5", "libssl3", "libcrypt1", "busybox-static",
    "python3-rtslib-fb", "python3-configshell-fb", "targetcli-fb", "python3-pyudev", "python3-six", "python3-pyparsing",
)  # fmt: skip
MODULES = (
    "virtio_pci", "virtio_net", "virtio_scsi", "virtio_console", "crc32c_generic", "sd_mod", "configfs",
    "target_core_mod", "target_core_file", "target_core_iblock", "iscsi_target_mod",
)  # fmt: skip
"""What the guest loads; modules that the kernel has built in are left out."""
COMMANDS = (
    "sh", "mount", "modprobe", "insmod", "ip", "mkdir", "ls", "cat", "echo", "ps", "dmesg", "poweroff", "mknod",
    "sleep", "dd", "ln", "rm", "cp", "mv", "chmod", "grep", "sed", "awk", "head", "tail", "wc", "sync", "env", "find",
    "hostname", "cut",
)  # fmt: skip


@dataclass(frozen=True)
class Extras:
    """What another image has beside the common one: Debian packages, modules, and files of the guest with their texts.

    A file `/guest_NAME.py` is a module of the agent's: its functions are verbs too, where its `KNOWN` names them.
    """

    packages: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    files: tuple[tuple[str, str], ...] = ()
    own_commands: tuple[str, ...] = ()
    """Commands that the packages bring, in busybox's place."""


NOTHING_MORE = Extras()
UNNEEDED_PYTHON = ("test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "pydoc_data", "distutils")

INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ TERM=dumb
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev; mount -t tmpfs tmpfs /run
mkdir -p /run/lock
while read module; do insmod "$module" || echo "no module $module" > /dev/console; done < /modules
mount -t configfs config /sys/kernel/config
for word in $(cat /proc/cmdline); do case $word in address=*) address=${word#address=};; esac; done
for file in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 1 > "$file"; done
ip link set lo up; ip link set eth0 up; ip addr add "$address/24" dev eth0
exec /usr/bin/python3 -S -E -u /agent_in_guest.py > /dev/console 2>&1
"""
GI_STUB = '''"""Stands in for PyGObject, of which targetcli asks only whether tcmu-runner is there."""


class Gio:
    class BusType:
        SYSTEM = 1

    class DBusProxyFlags:
        NONE = 0

    class DBusProxy:
        @staticmethod
        def new_sync(*arguments):
            raise RuntimeError("there is no D-Bus")  # targetcli expects an error here, and not of what comes before

    @staticmethod
    def bus_get_sync(*arguments):
        return None


GLib = Gio
'''


class BuildFailed(Exception):
    """The image can't be built; the message says what went wrong and what to do."""


@dataclass(frozen=True)
class Image:
    """What QEMU boots."""

    kernel: Path
    initramfs: Path
    release: str


def cache_directory() -> Path:
    """Where images are kept."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "backend-activity-harness" / "lio"


def image(extras: Extras = NOTHING_MORE) -> Image:
    """The image, built now unless the cache has it. Raises `NotInstalled`, `BuildFailed`."""
    for program, package in (("apt-get", "apt"), ("apt-cache", "apt"), ("dpkg-deb", "dpkg")):
        need_program(program, package)
    agent = [path.read_text() for path in AGENT]
    recipe = "\n".join([INIT, GI_STUB, *agent, Path(__file__).read_text(), sys.version, repr(extras)])
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    place = cache / hashlib.sha256(recipe.encode()).hexdigest()[:16]
    with open(cache / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two runs at once build once
        if not place.exists():
            with tempfile.TemporaryDirectory(dir=cache, prefix="building-") as scratch:
                _build(Path(scratch), _packages(extras), extras)
                (Path(scratch) / "out").rename(place)
    kernel = (place / "packages").read_text().partition("=")[0]
    return Image(place / "kernel", place / "initramfs", kernel.removeprefix("linux-image-"))


def _packages(extras: Extras) -> list[str]:
    """What is unpacked, as "name=version", the kernel first."""
    depends = re.findall(r"Depends: (linux-image-\S+)", _ask("apt-cache", "depends", KERNEL))
    python = re.findall(r"Depends: (python3\.\d+-minimal)", _ask("apt-cache", "depends", "python3-minimal"))
    if not depends or not python:
        raise NotInstalled(
            f"apt-get knows no package {KERNEL if not depends else 'python3-minimal'}; this needs the package lists of"
            " Debian (apt-get update)"
        )
    version = python[0].removesuffix("-minimal")
    names = [depends[0], f"lib{version}-minimal", python[0], f"lib{version}-stdlib", *LIBRARIES, *extras.packages]
    shown = _ask("apt-cache", "show", "--no-all-versions", *names)
    found = dict(re.findall(r"^Package: (\S+)\n(?:.*\n)*?Version: (\S+)$", shown, re.MULTILINE))
    lacking = [name for name in names if name not in found]
    if lacking:
        raise NotInstalled(f"apt-get knows no package {lacking[0]}; the image needs Debian 12 (apt-get update)")
    return [f"{name}={found[name]}" for name in names]


def _build(scratch: Path, packages: list[str], extras: Extras) -> None:
    """Build everything below `scratch`; the result is in its directory `out`."""
    release = packages[0].partition("=")[0].removeprefix("linux-image-")
    debs, root, kernel, out = (scratch / name for name in ("debs", "root", "kernel", "out"))
    for directory in (debs, kernel, out):
        directory.mkdir()
    _run(["apt-get", "download", "--quiet", *packages], debs)
    for merged in ("bin", "sbin", "lib", "lib64"):
        (root / "usr" / merged).mkdir(parents=True)
        (root / merged).symlink_to(f"usr/{merged}")
    for name in ("proc", "sys", "dev", "tmp", "run", "mnt", "var/target/pr", "var/target/alua"):
        (root / name).mkdir(parents=True)
    for place in ("target", "rtslib-fb-target"):
        for name in ("pr", "alua", "backup"):
            (root / "etc" / place / name).mkdir(parents=True)
    for deb in sorted(debs.iterdir()):
        _unpack(deb, kernel if deb.name.startswith("linux-image-") else root)
    (python,) = (root / "usr/lib").glob("python3.*")
    for name in UNNEEDED_PYTHON:
        shutil.rmtree(python / name, ignore_errors=True)
    (root / "usr/bin/python3").unlink(missing_ok=True)
    (root / "usr/bin/python3").symlink_to(python.name)
    for command in [each for each in COMMANDS if each not in extras.own_commands]:
        (root / "usr/bin" / command).unlink(missing_ok=True)
        (root / "usr/bin" / command).symlink_to("busybox")
    stub = root / "usr/lib/python3/dist-packages/gi/repository"
    stub.mkdir(parents=True)
    (stub.parent / "__init__.py").touch()
    (stub / "__init__.py").write_text(GI_STUB)
    for path in AGENT:
        shutil.copy(path, root / path.name)
    (root / "init").write_text(INIT)
    (root / "init").chmod(0o755)
    for name, text in extras.files:
        (root / name.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        (root / name.lstrip("/")).write_text(text)
        (root / name.lstrip("/")).chmod(0o755)
    _copy_modules(kernel / "lib/modules" / release, root, (*MODULES, *extras.modules))
    if python.name == f"python{sys.version_info[0]}.{sys.version_info[1]}":  # else the guest compiles what it needs
        with warnings.catch_warnings():  # of what the packages' authors wrote
            warnings.simplefilter("ignore")
            _compile(root, python)
    shutil.copy(kernel / f"boot/vmlinuz-{release}", out / "kernel")
    (out / "packages").write_text("\n".join(packages) + "\n")
    with open(out / "initramfs", "wb") as archive:
        write_archive(root, archive)


def _compile(root: Path, python: Path) -> None:
    for place in (python, root / "usr/lib/python3/dist-packages"):
        compileall.compile_dir(
            place,
            quiet=2,
            stripdir=str(root),
            prependdir="/",
            invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,  # the archive has no times
        )


def _unpack(deb: Path, into: Path) -> None:
    """Unpack a package; links for directories stay what they are."""
    tar = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", str(deb)], stdout=subprocess.PIPE)
    exclude = [f"--exclude=./usr/share/{name}" for name in ("doc", "man", "locale", "lintian", "bug")]
    exclude.append("--exclude=./usr/lib/x86_64-linux-gnu/gconv")
    _run(["tar", "-x", "-C", str(into), "--keep-directory-symlink", *exclude], into, tar)
    if tar.wait():
        raise BuildFailed(f"{deb.name} can't be unpacked")


def _copy_modules(source: Path, root: Path, names: tuple[str, ...]) -> None:
    """Copy the modules and what they depend on, and list them in the order of loading."""
    files = {_module_name(path.name): path for path in source.rglob("*.ko")}
    order: list[Path] = []

    def add(name: str) -> None:
        path = files.get(name)
        if path is None or path in order:  # built in, or there already
            return
        for other in _module_dependencies(path):
            add(other)
        order.append(path)

    for name in names:
        add(name)
    place = root / "usr/lib/modules"
    place.mkdir()
    for path in order:
        shutil.copy(path, place / path.name)
    (root / "modules").write_text("".join(f"/usr/lib/modules/{path.name}\n" for path in order))


def _module_name(file: str) -> str:
    return file.partition(".")[0].replace("-", "_")


def _module_dependencies(path: Path) -> Iterator[str]:
    """What the section .modinfo of a module says that it depends on."""
    found = re.search(rb"\0depends=([^\0]*)\0", path.read_bytes())
    for name in found[1].decode().split(",") if found else ():
        if name:
            yield _module_name(name)


def _ask(*argv: str) -> str:
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.stdout


def _run(argv: list[str], cwd: Path, source: subprocess.Popen[bytes] | None = None) -> None:
    done = subprocess.run(
        argv, cwd=cwd, stdin=source.stdout if source else subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise BuildFailed(f"{argv[0]} failed while the virtual machine's image was built: {done.stderr.strip()[-500:]}")
