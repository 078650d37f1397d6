"""Importing a driver's class, once or afresh, with errors that say what failed, where, and what to do."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
import traceback
from collections.abc import Callable
from types import ModuleType

from harness.compiled_once import CompiledOnce
from harness.names import did_you_mean

_SHARED_PACKAGES = frozenset(
    {"harness", "simulated_backends", "conformance", "scenarios", "reports", "tests", "cinder"}
)
"""Packages that hold more than one driver's code; of these only the driver's own module is imported afresh."""


class CandidateError(Exception):
    """The driver can't be had. The text says what failed, where, and what to do."""


def import_class(reference: str) -> type:
    """The class `module:Class`. Raises `CandidateError`."""
    module_name, _, qualname = reference.partition(":")
    return _class_in(_import(module_name, reference), qualname, reference)


def import_class_afresh(reference: str) -> type:
    """A second edition of the class `module:Class`, from modules that are executed anew.

    Every module under the class's top-level package is imported again, so that neither class attributes nor module
    globals are shared with the first edition; where that package holds other things too (this harness, Cinder, the
    standard library), only the class's own module is. The modules that the class imports while it is being imported
    are its own edition's. Afterwards `sys.modules` is as it was before, because registries, pickles and whoever
    imported the package earlier must go on meeting the first edition; so an import inside one of the driver's
    functions, made later, finds the first edition. C extensions and other packages stay shared. Modules that are
    source files are compiled once and executed for each edition, from the file where the first edition was found. Not
    to be called while another thread imports from the same package. Raises `CandidateError`.
    """
    module_name, _, qualname = reference.partition(":")
    top = module_name.partition(".")[0]
    alone = top in _SHARED_PACKAGES or top in sys.stdlib_module_names

    def ours() -> list[str]:
        if alone:
            return [module_name] if module_name in sys.modules else []
        inside = top + "."
        return [name for name in list(sys.modules) if name == top or name.startswith(inside)]

    return _with_modules_set_aside(ours, lambda: _class_in(_import(module_name, reference), qualname, reference))


def _with_modules_set_aside(ours: Callable[[], list[str]], load: Callable[[], type]) -> type:
    aside = {name: sys.modules.pop(name) for name in ours()}
    # the import of a submodule is also noted as an attribute of its package, which may be one that stays
    noted = {name: _noted_in_parent(name) for name in aside}
    finder = CompiledOnce(aside)
    sys.meta_path.insert(0, finder)
    try:
        return load()
    finally:
        if finder in sys.meta_path:
            sys.meta_path.remove(finder)
        for name in ours():
            del sys.modules[name]
        sys.modules.update(aside)
        for name, value in noted.items():
            parent, _, child = name.rpartition(".")
            if value is not None and parent in sys.modules:
                setattr(sys.modules[parent], child, value)


def _noted_in_parent(name: str) -> object | None:
    parent, _, child = name.rpartition(".")
    return vars(sys.modules[parent]).get(child) if parent in sys.modules else None


def _import(module_name: str, reference: str) -> ModuleType:
    try:
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is not None and (module_name == error.name or module_name.startswith(error.name + ".")):
            raise CandidateError(_no_module(reference, error.name)) from None
        what = f"{module_name} needs the module {error.name!r}, which is not installed"
        raise CandidateError(f"{reference}: {what} ({_where(error)}); install it here") from error
    except (Exception, SystemExit) as error:
        what = f"{module_name} raised {type(error).__name__} while it was imported: {error}"
        raise CandidateError(f"{reference}: {what} ({_where(error)}); mend it there") from error


def _no_module(reference: str, missing: str) -> str:
    parent, _, child = missing.rpartition(".")
    if parent and parent in sys.modules:
        siblings = [info.name for info in pkgutil.iter_modules(getattr(sys.modules[parent], "__path__", []))]
        return f"{reference}: the package {parent} has no module {child!r}; {did_you_mean(child, siblings)}"
    return f"{reference}: no module {missing!r} is found; install its package, or put its folder on PYTHONPATH"


def _where(error: BaseException) -> str:
    """File and line of the innermost frame that is not the import machinery's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if not frame.filename.startswith("<frozen importlib") and frame.filename not in (__file__, importlib.__file__)
    ]
    return f"{frames[-1].filename}, line {frames[-1].lineno}" if frames else "before its first line"


def _class_in(module: ModuleType, qualname: str, reference: str) -> type:
    owner: object = module
    for part in qualname.split("."):
        try:
            owner = getattr(owner, part)
        except AttributeError:
            classes = sorted(name for name, value in vars(owner).items() if inspect.isclass(value))
            place = getattr(owner, "__name__", reference)
            raise CandidateError(f"{reference}: {place} has no class {part!r}; {did_you_mean(part, classes)}") from None
    if not isinstance(owner, type):
        what = f"{qualname} is a {type(owner).__name__}, not a class"
        raise CandidateError(f"{reference}: {what}; name the class of the driver itself")
    return owner
