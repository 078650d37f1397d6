"""The file tree of a simulated machine, and how hosted code comes to see it in the place of the real one.

The tree is pyfakefs's, used as a library: nothing is patched for the whole process. Modules that hosted drivers' code
runs in are given an `os` and an `open` that look at the tree of the machine whose driver runs, and at the real one
where none does. Files carry sizes and small texts; what volumes and images hold is elsewhere.
"""

from __future__ import annotations

import builtins
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterator, Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

from pyfakefs.fake_filesystem import FakeFilesystem
from pyfakefs.fake_filesystem_shutil import FakeShutilModule
from pyfakefs.fake_open import FakeFileOpen
from pyfakefs.fake_os import FakeOsModule

from harness.hosting import NotPlayed, noted

DIRECTORY_OF_IMAGES = "/var/lib/cinder/conversion"
"""Where images are put while they are converted."""


class Device:
    """A volume's device or file, opened by the driver itself to hand it on; it is not read byte by byte."""

    def __init__(self, path: str) -> None:
        self.name = path

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *exc_info: object) -> None:
        return

    def close(self) -> None:
        """Nothing is held."""

    def __getattr__(self, name: str) -> Any:
        raise noted(NotPlayed(f"the driver reads or writes {self.name} by itself ({name}), which is not played"))


class Files:
    """One machine's tree. `os`, `shutil` and `open` look at it."""

    def __init__(self) -> None:
        self.tree = FakeFilesystem()
        self.os = FakeOsModule(self.tree)
        self.shutil = FakeShutilModule(self.tree)
        self._open = FakeFileOpen(self.tree)
        self.tree.create_dir(DIRECTORY_OF_IMAGES)
        self.tree.create_file("/proc/mounts")
        self.images: dict[str, tuple[Any, ...]] = {}
        """What image files hold: the chunks of an image, by path."""
        self.changes = 0
        """How often a driver has changed the tree by itself, or tried to."""
        self.is_volume: Callable[[str], bool] = lambda path: False

    def add_device(self, path: str, size: int) -> None:
        """Let a block device of `size` bytes be there."""
        if not self.tree.exists(path):
            self.tree.create_file(path, st_mode=stat.S_IFBLK | 0o666, st_size=size)

    def remove(self, path: str) -> None:
        """Let a device or file be gone; nothing happens if it is not there."""
        if self.tree.exists(path):
            self.tree.remove_object(path)

    def open(self, path: Any, mode: str = "r", *args: Any, **options: Any) -> Any:
        """See the built-in; a volume's file is not opened but named."""
        self.changes += bool(set(mode) & set("wxa+"))
        if isinstance(path, str) and "b" in mode and self.is_volume(path):
            return Device(path)
        return self._open(path, mode, *args, **options)


def _none() -> Files | None:
    return None


_files_now: Callable[[], Files | None] = _none


def look_at(files_now: Callable[[], Files | None]) -> None:
    """Say whose tree redirected modules see: the one that `files_now` returns, or the real one for None."""
    global _files_now
    _files_now = files_now


_CHANGING = frozenset(
    {"chmod", "chown", "link", "makedirs", "mkdir", "remove", "removedirs", "rename", "renames", "replace", "rmdir"}
    | {"symlink", "truncate", "unlink", "utime", "copy", "copy2", "copyfile", "copytree", "move", "rmtree"}
)
"""Functions of `os` and `shutil` that change files."""


class _Redirected:
    """Stands in for a module whose functions look at files."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        files = _files_now()
        if files is None:
            return getattr(self._real, name)
        files.changes += name in _CHANGING
        return getattr(getattr(files, self._real.__name__), name)


class _RedirectedPath:
    """Stands in for `os.path`, which is a module of its own."""

    def __getattr__(self, name: str) -> Any:
        files = _files_now()
        return getattr(os.path if files is None else files.os.path, name)


def _open(*args: Any, **options: Any) -> Any:
    files = _files_now()
    return builtins.open(*args, **options) if files is None else files.open(*args, **options)


def _bound(module: Any, name: str) -> Callable[..., Any]:
    """Stands in for a function or class that a module has imported by name (`from os.path import exists`)."""

    def call(*args: Any, **options: Any) -> Any:
        return getattr(module, name)(*args, **options)

    return call


_OS, _SHUTIL, _PATH = _Redirected(os), _Redirected(shutil), _RedirectedPath()


def _stand_ins() -> Iterator[tuple[Any, Any]]:
    """Modules and functions that look at files, each with what stands in for it."""
    yield from ((os, _OS), (shutil, _SHUTIL), (os.path, _PATH), (builtins.open, _open))
    names = {name for name in vars(FakeOsModule) if not name.startswith("_")}
    for real, stand_in, functions in ((os, _OS, names), (os.path, _PATH, _LOOKING), (shutil, _SHUTIL, _COPYING)):
        for name in sorted(functions):
            function = getattr(real, name, None)
            if isinstance(function, (FunctionType, BuiltinFunctionType)):
                yield function, _bound(stand_in, name)


_LOOKING = frozenset(
    {"exists", "getatime", "getctime", "getmtime", "getsize", "isdir", "isfile", "islink", "ismount", "lexists"}
    | {"realpath", "samefile"}
)
_COPYING = frozenset({"copy", "copy2", "copyfile", "copytree", "disk_usage", "move", "rmtree"})
_STAND_INS = {id(real): (real, stand_in) for real, stand_in in _stand_ins()}
"""What stands in for what, by its identity; what is replaced is kept, so that nothing else gets that identity."""


def _standing_in(value: Any) -> Any:
    """What stands in for a value, or the value itself."""
    return _STAND_INS.get(id(value), (value, value))[1]


def wrapped(wrapper: Any, real: Any) -> None:
    """Let `wrapper`, which is now found in the place of a real function, be replaced as that one is."""
    _STAND_INS[id(wrapper)] = (wrapper, _standing_in(real))


def redirect(namespace: dict[str, Any]) -> None:
    """Let the code of a module, given by its namespace, see the running machine's files. Repeating it is harmless.

    Names that it imported before are replaced too, whether of modules or of functions (`from os.path import exists`),
    and so are defaults of its functions' arguments (`def delete(path, remove=os.unlink)`).
    Other ways to files, such as pathlib, are refused where they are gone (`harness.cinder.guard`).
    """
    for name, value in tuple(namespace.items()):
        if not name.startswith("__"):
            namespace[name] = _standing_in(value)
        if isinstance(value, FunctionType) and value.__globals__ is namespace:
            _redirect_defaults(value)
    namespace["open"] = _open


def _redirect_defaults(function: FunctionType) -> None:
    if function.__defaults__ is not None:
        function.__defaults__ = tuple(map(_standing_in, function.__defaults__))
    if function.__kwdefaults__ is not None:
        function.__kwdefaults__ = {name: _standing_in(value) for name, value in function.__kwdefaults__.items()}


def redirect_class(cls: type, others: Mapping[str, tuple[tuple[Any, ...], Any]]) -> None:
    """Redirect the modules of a class and of all that it inherits from, but for those of the standard library, and the
    other modules of its vendor's package that have been imported.

    `others` are further names in these modules: what they may stand for, and what is to stand in for it.
    """
    package = cls.__module__.partition(".")[0]
    if package not in ("cinder", "__main__"):
        for name, module in tuple(sys.modules.items()):
            if name == package or name.startswith(f"{package}."):
                redirect(vars(module))
    for base in type.__dict__["__mro__"].__get__(cls):
        if str(base.__module__).partition(".")[0] not in sys.stdlib_module_names:
            for value in vars(base).values():
                function = getattr(value, "__func__", value)
                function = getattr(function, "__wrapped__", function)
                if isinstance(function, FunctionType):
                    redirect(function.__globals__)
                    _redirect_defaults(function)
                    for name, (real, stand_in) in others.items():
                        if any(function.__globals__.get(name) is each for each in real):
                            function.__globals__[name] = stand_in
