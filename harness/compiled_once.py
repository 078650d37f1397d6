"""Importing modules again and again from source that is compiled once: what is executed anew is new, code objects are
not, and hold no state."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from types import CodeType, ModuleType

_compiled: dict[str, tuple[int, int, CodeType]] = {}
"""By path: time of change (ns) and size of the file, as the import system knows a file again, and its code."""


class CompiledSource(SourceFileLoader):
    """The loader of a source file, as ever, but that the code comes from memory while the file is unchanged."""

    def get_code(self, fullname: str) -> CodeType | None:
        """See `importlib.abc.InspectLoader.get_code`. Raises what a source file's own loader raises."""
        found = os.stat(self.path)
        known = _compiled.get(self.path)
        if known is not None and known[:2] == (found.st_mtime_ns, found.st_size):
            return known[2]
        code = super().get_code(fullname)
        if code is not None:
            _compiled[self.path] = (found.st_mtime_ns, found.st_size, code)
        return code


class CompiledOnce(MetaPathFinder):
    """Finds the modules of an earlier edition where that one was found; all others are left to other finders."""

    def __init__(self, earlier: Mapping[str, ModuleType]) -> None:
        self._earlier = earlier

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder.find_spec`; None for what is not a source file that is still there."""
        spec = getattr(self._earlier.get(fullname), "__spec__", None)
        if not isinstance(spec, ModuleSpec) or type(spec.loader) not in (SourceFileLoader, CompiledSource):
            return None
        if spec.origin is None or not os.path.isfile(spec.origin):
            return None
        places = spec.submodule_search_locations
        return spec_from_file_location(
            fullname,
            spec.origin,
            loader=CompiledSource(fullname, spec.origin),
            submodule_search_locations=None if places is None else list(places),
        )
