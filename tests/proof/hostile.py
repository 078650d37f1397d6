"""Drivers that go out of their way: each does one thing that no driver should, mostly in delete_snapshot."""

from __future__ import annotations

import builtins
import contextlib
import gc
import json
import os
import posix
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.activity import ActivityStatus
from harness.model import Snapshot
from harness.reference_driver import EVERYTHING, ReferenceDriver

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(2)>\x1b[31m\x1b]0;owned\x07\u202egnp.exe"
"""What a page, a terminal and a log must not get as it is."""


def deed(name: str, what: Callable[[ReferenceDriver], object]) -> type[ReferenceDriver]:
    """A driver that does something in delete_snapshot, and then what it should."""

    class Doing(ReferenceDriver):
        def delete_snapshot(self, snapshot: Snapshot) -> None:
            what(self)
            super().delete_snapshot(snapshot)

    Doing.__name__ = Doing.__qualname__ = name
    return Doing


def publishing(name: str, read: Callable[[], Any]) -> type[ReferenceDriver]:
    """A driver that publishes what `read` returns."""

    class Publishing(ReferenceDriver):
        @property
        def backend_activity_attributes(self) -> Any:
            return read()

    Publishing.__name__ = Publishing.__qualname__ = name
    return Publishing


def _raise(error: BaseException) -> Any:
    raise error


# ---- loops, processes, threads, signals ------------------------------------------------------------------------------


def _swallow_everything() -> None:
    while True:
        with contextlib.suppress(BaseException):
            while True:
                time.sleep(0)


def _spin_in_a_thread() -> None:
    def spin() -> None:
        while True:
            pass

    threading.Thread(target=spin).start()
    time.sleep(1)


def _raise_in_a_thread(error: BaseException) -> None:
    thread = threading.Thread(target=_raise, args=(error,))
    thread.start()
    thread.join()


def _recurse(depth: int = 0) -> int:
    return _recurse(depth + 1) + 1


def _recurse_without_limit() -> None:
    sys.setrecursionlimit(2**31 - 1)
    value: Any = []
    for _ in range(10_000_000):
        value = [value]
    repr(value)


def _set_a_timer() -> None:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    until = time.process_time() + 5
    while time.process_time() < until:
        pass


SwallowsEverything = deed("SwallowsEverything", lambda driver: _swallow_everything())
SpinsInAThread = deed("SpinsInAThread", lambda driver: _spin_in_a_thread())
InterruptsInAThread = deed("InterruptsInAThread", lambda driver: _raise_in_a_thread(KeyboardInterrupt()))
LeavesInAThread = deed("LeavesInAThread", lambda driver: _raise_in_a_thread(SystemExit(3)))
Interrupts = deed("Interrupts", lambda driver: _raise(KeyboardInterrupt()))
Forks = deed("Forks", lambda driver: posix.fork())
KillsItsParent = deed("KillsItsParent", lambda driver: (os.kill(os.getppid(), signal.SIGKILL), signal.pause()))
Recurses = deed("Recurses", lambda driver: _recurse())
RecursesWithoutLimit = deed("RecursesWithoutLimit", lambda driver: _recurse_without_limit())
SetsATimer = deed("SetsATimer", lambda driver: _set_a_timer())
ClosesEverything = deed("ClosesEverything", lambda driver: os.closerange(0, 4096))


# ---- what belongs to the whole process -------------------------------------------------------------------------------


def _stop_the_clock(driver: object) -> None:
    for name in ("time", "monotonic", "perf_counter", "time_ns", "monotonic_ns", "perf_counter_ns"):
        setattr(time, name, lambda: _raise(OSError("no clock")))
    setattr(time, "sleep", lambda seconds: None)  # noqa: B010


def _empty_modules(driver: object) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in ("json", "harness", "conformance", "re")]:
        del sys.modules[name]


def _set_environment(driver: object) -> None:
    os.environ["PYTHONHASHSEED"] = "1"
    os.environ.pop("PATH", None)


ChangesDirectory = deed("ChangesDirectory", lambda driver: os.chdir("/"))
ChangesEnvironment = deed("ChangesEnvironment", _set_environment)
ChangesUmask = deed("ChangesUmask", lambda driver: os.umask(0o777))
ChangesSignals = deed("ChangesSignals", lambda driver: signal.signal(signal.SIGTERM, signal.SIG_IGN))
StopsTheClock = deed("StopsTheClock", _stop_the_clock)
EmptiesModules = deed("EmptiesModules", _empty_modules)
Traces = deed("Traces", lambda driver: sys.settrace(lambda *args: _raise(ValueError("traced"))))
Profiles = deed("Profiles", lambda driver: sys.setprofile(lambda *args: None))
CollectsAlways = deed("CollectsAlways", lambda driver: (gc.enable(), gc.set_threshold(1, 1, 1)))
LowersTheRecursionLimit = deed("LowersTheRecursionLimit", lambda driver: sys.setrecursionlimit(60))
ClosesStandardStreams = deed("ClosesStandardStreams", lambda driver: os.closerange(0, 3))
TakesStandardOutput = deed("TakesStandardOutput", lambda driver: setattr(sys, "stdout", None))
ReplacesBuiltins = deed("ReplacesBuiltins", lambda driver: setattr(builtins, "isinstance", lambda *args: 1 / 0))
ReplacesJson = deed("ReplacesJson", lambda driver: setattr(json, "dumps", lambda *args, **kwargs: "{}"))
ForbidsFiles = deed("ForbidsFiles", lambda driver: resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0)))


def _fill_the_disk(driver: object) -> None:
    with tempfile.NamedTemporaryFile() as file:
        while True:
            file.write(b"x" * (1 << 20))


FillsTheDisk = deed("FillsTheDisk", _fill_the_disk)
FloodsStandardOutput = deed(
    "FloodsStandardOutput", lambda driver: [os.write(1, MARKUP.encode() + b"x" * 65_000) for _ in range(4000)]
)


# ---- objects whose every method fails --------------------------------------------------------------------------------


class Fury(BaseException):
    """What no `except Exception` catches; it can't be described either."""

    def __str__(self) -> str:
        raise Fury

    __repr__ = __str__


class Touchy:
    """An object that raises whatever is asked of it."""

    def __getattribute__(self, name: str) -> Any:
        raise Fury

    __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = lambda self, other: _raise(Fury())
    __hash__ = __repr__ = __str__ = __len__ = __iter__ = __bool__ = lambda self: _raise(Fury())  # type: ignore[assignment]
    __format__ = lambda self, spec: _raise(Fury())  # noqa: E731
    __getitem__ = __contains__ = lambda self, key: _raise(Fury())


class Liar(Touchy):
    """Says that it is a str, a dict, a tuple, a status, whatever is asked for."""

    __class__ = property(lambda self: str)  # type: ignore[assignment]


class TouchyText(str):
    """A text that raises whatever is asked of it."""

    __eq__ = __ne__ = lambda self, other: _raise(Fury())
    __hash__ = __repr__ = __str__ = __len__ = __iter__ = lambda self: _raise(Fury())  # type: ignore[assignment]
    __format__ = __getitem__ = __contains__ = lambda self, key: _raise(Fury())


class TouchyDict(dict[Any, Any]):
    """A dict that raises whatever is asked of it."""

    __eq__ = __getitem__ = __contains__ = lambda self, key: _raise(Fury())
    __iter__ = __len__ = __repr__ = keys = items = values = lambda self: _raise(Fury())  # type: ignore[assignment]
    get = lambda self, key, default=None: _raise(Fury())  # noqa: E731


class TouchyStatus(ActivityStatus):
    """A status that can't be read."""

    def __getattribute__(self, name: str) -> Any:
        raise Fury


class TouchyMeta(type):
    """The class of a class that can't be asked for anything that it does not do itself."""

    def __getattribute__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise Fury
        return super().__getattribute__(name)

    def __repr__(cls) -> str:
        raise Fury

    def __eq__(cls, other: object) -> bool:
        raise Fury

    def __hash__(cls) -> int:
        return 1


class NamelessClass(ReferenceDriver, metaclass=TouchyMeta):
    """Its class fails when it is asked for its name."""


class RaisesFromGetattr(ReferenceDriver):
    """Raises from `__getattr__`, which nobody should ask."""

    def __getattr__(self, name: str) -> Any:
        raise Fury


class RaisesFromGetattribute(ReferenceDriver):
    """Raises from `__getattribute__` once it is set up."""

    def __getattribute__(self, name: str) -> Any:
        if name == "delete_snapshot":
            raise Fury
        return super().__getattribute__(name)


class RaisesFromEquality(ReferenceDriver):
    """Can be neither compared, nor hashed, nor shown."""

    __eq__ = lambda self, other: _raise(Fury())  # noqa: E731
    __hash__ = __repr__ = __str__ = __bool__ = lambda self: _raise(Fury())  # type: ignore[assignment]
    __class__ = property(lambda self: _raise(Fury()))  # type: ignore[assignment]


RaisesFury = deed("RaisesFury", lambda driver: _raise(Fury()))
RaisesMarkup = deed("RaisesMarkup", lambda driver: _raise(RuntimeError(MARKUP * 1000)))
RaisesHugeText = deed("RaisesHugeText", lambda driver: _raise(RuntimeError("x" * (200 << 20))))
RaisesTouchyText = deed("RaisesTouchyText", lambda driver: _raise(RuntimeError(TouchyText("x"))))


class NamedInMarkup(ReferenceDriver):
    """Its class, its keys, its family and its errors hold markup and terminal escapes."""

    @property
    def backend_activity_attributes(self) -> Any:
        """Everything, and more."""
        return {**EVERYTHING, "driver_family": MARKUP, "version": MARKUP, MARKUP: MARKUP, "techniques": [MARKUP]}

    def delete_snapshot(self, snapshot: Snapshot) -> None:
        """Print, and fail."""
        print(MARKUP)
        print(MARKUP, file=sys.stderr)
        raise RuntimeError(MARKUP)


NamedInMarkup.__name__ = NamedInMarkup.__qualname__ = MARKUP


# ---- publications ----------------------------------------------------------------------------------------------------


class TenMillion(Mapping[str, Any]):
    """A mapping of ten million keys that it makes as it is asked."""

    def __getitem__(self, key: str) -> Any:
        return key

    def __iter__(self) -> Iterator[str]:
        return (f"key {number}" for number in range(10_000_000))

    def __len__(self) -> int:
        return 10_000_000


class Endless(TenMillion):
    """A mapping without an end, whose first key never comes."""

    def __iter__(self) -> Iterator[str]:
        while True:
            pass


class Changing(dict[str, Any]):
    """A dict that has other keys whenever it is read."""

    def __iter__(self) -> Iterator[str]:
        return iter([f"{time.monotonic_ns()}", "handle_scope"])

    def __getitem__(self, key: str) -> Any:
        return TouchyText("unrestricted")


def _containing_itself() -> Any:
    value: dict[str, Any] = {**EVERYTHING, "list": []}
    value["itself"] = value
    value["list"].append(value["list"])
    return value


def _deep() -> Any:
    value: Any = {}
    for _ in range(100_000):
        value = {"stateless_activities": [value]}
    return value


def _explosive() -> Any:
    value: Any = ["x"]
    for _ in range(60):
        value = [value, value]
    return {**EVERYTHING, "laughs": value}


PublishesTenMillion = publishing("PublishesTenMillion", TenMillion)
PublishesTenMillionInADict = publishing(
    "PublishesTenMillionInADict", lambda: dict.fromkeys(map(str, range(10_000_000)))
)
PublishesEndlessly = publishing("PublishesEndlessly", Endless)
PublishesChange = publishing("PublishesChange", Changing)
PublishesItself = publishing("PublishesItself", _containing_itself)
PublishesDepth = publishing("PublishesDepth", _deep)
PublishesLaughs = publishing("PublishesLaughs", _explosive)
PublishesFury = publishing("PublishesFury", lambda: _raise(Fury()))
PublishesTouchy = publishing("PublishesTouchy", Touchy)
PublishesLies = publishing("PublishesLies", Liar)
PublishesTouchyDict = publishing("PublishesTouchyDict", lambda: TouchyDict(EVERYTHING))
PublishesTouchyValues = publishing("PublishesTouchyValues", lambda: dict.fromkeys(EVERYTHING, Touchy()))
PublishesTouchyTexts = publishing("PublishesTouchyTexts", lambda: {"handle_scope": TouchyText("unrestricted")})


# ---- answers ---------------------------------------------------------------------------------------------------------

ANSWERS: dict[str, Callable[[], Any]] = {
    "touchy": Touchy,
    "liar": Liar,
    "text": lambda: TouchyText("x"),
    "dict": lambda: TouchyDict(id=Touchy(), status=Touchy()),
    "dict of nonsense": lambda: {"status": Touchy(), "host": Touchy(), Touchy: 1},
    "pair": lambda: (Touchy(), Touchy()),
    "status": lambda: TouchyStatus.__new__(TouchyStatus),
    "generator": lambda: (x for x in range(3)),
    "class": lambda: NamelessClass,
    "number": lambda: 12,
    "markup": lambda: MARKUP,
}
"""What a method may answer that is none of what the contract allows, at least not of all methods."""


def answering(method: str) -> type[ReferenceDriver]:
    """A driver class that answers `method` with nonsense; looked up by name as `Answers_<method>`."""

    def answer(self: Any, *args: Any, **kwargs: Any) -> Any:
        getattr(ReferenceDriver, method)(self, *args, **kwargs)
        return ANSWERS[self._configuration.answer]()

    return type(f"Answers_{method}", (ReferenceDriver,), {method: answer})


def __getattr__(name: str) -> Any:
    if name.startswith("Answers_"):
        return answering(name.removeprefix("Answers_"))
    raise AttributeError(name)
