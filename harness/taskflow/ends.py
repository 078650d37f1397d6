"""A driver as the taskflow meets it: one end of a flow, its publication, its connection, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.activity import ActivityState, ActivityStatus
from harness.attributes import Publication, read_driver
from harness.contract import (
    ACTIVITY_HOOKS,
    METHODS,
    ActivityFailed,
    BackendActivityError,
    ContractViolation,
    abilities,
    bind_call,
    implements,
)
from harness.model import Context
from harness.recorder import Recorder
from harness.runtime import Abandoned, RuntimeLimit
from harness.taskflow.errors import DriverError, OutOfMemory


class DriverEnd:
    """A driver instance on one backend.

    `open_driver` makes a new instance on a new connection, set up and checked; the taskflow calls it again after a
    loss. `host` is the Cinder host string under which the control plane knows the backend.
    """

    def __init__(self, backend: str, host: str, open_driver: Callable[[], Any], recorder: Recorder) -> None:
        self.backend = backend
        self.host = host
        self.context = Context()
        self._open_driver = open_driver
        self._recorder = recorder
        self.driver = open_driver()
        self.publication = publication_of(self.driver)

    @property
    def name(self) -> str:
        """The driver's class name."""
        return type(self.driver).__name__

    @property
    def has_activity_hooks(self) -> bool:
        """Whether all three activity hooks are there."""
        return all(implements(self.driver, hook) for hook in ACTIVITY_HOOKS)

    @property
    def family(self) -> str:
        """The driver family: the published one, else the class that defines `replicate_snapshot`."""
        if self.publication.driver_family is not None:
            return self.publication.driver_family
        for cls in type(self.driver).__mro__:
            if "replicate_snapshot" in vars(cls):
                return f"{cls.__module__}.{cls.__qualname__}"
        return f"{type(self.driver).__module__}.{type(self.driver).__qualname__}"

    @property
    def destination(self) -> dict[str, Any]:
        """This end as Cinder's `host` argument of a migration."""
        return {"host": self.host, "capabilities": {"driver_family": self.family}}

    def implements(self, method: str) -> bool:
        """Whether the driver has that method."""
        return implements(self.driver, method)

    def reopen(self) -> None:
        """Take a new instance on a new connection."""
        self.driver = self._open_driver()

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        """Call a method of the driver; raises as `call_driver` does."""
        return call_driver(self.driver, method, *args, **kwargs)

    def call_positional(self, method: str, arguments: dict[str, Any]) -> Any:
        """Call a method with its arguments in Cinder's order; `context` is added where the method takes it."""
        values = [self.context if p == "context" else arguments[p] for p in METHODS[method].parameters]
        return self.call(method, *values)


def call_driver(driver: Any, method: str, *args: Any, **kwargs: Any) -> Any:
    """Call a method of a driver.

    Raises the contract's exceptions as they are, and `DriverError` for everything else that goes wrong.
    """
    name = type(driver).__name__
    try:
        bound = bind_call(driver, method, *args, **kwargs)
    except ContractViolation as error:
        raise DriverError(name, method, str(error), error) from None
    try:
        answer = bound()
    except ActivityFailed as error:
        raise DriverError(name, method, f"the backend says: {error}", error) from error
    except (BackendActivityError, RuntimeLimit, Abandoned):
        raise
    except MemoryError:
        raise OutOfMemory(f"{name}.{method} took all memory") from None
    except BaseException as error:  # SystemExit and its like are no way to answer a call either
        raise DriverError(name, method, f"raised {describe(error)}", error) from error
    flaw = wrong_answer(method, answer)
    if flaw is not None:
        raise DriverError(name, method, flaw)
    return answer


def wrong_answer(method: str, answer: Any) -> str | None:
    """What is wrong with the answer of an activity hook, or None; every other method's answer is judged elsewhere."""
    if method == "start_activity":
        return None if isinstance(answer, str) and answer else f"returned {type(answer).__name__}; a handle is a str"
    if method != "get_activity":
        return None
    if not isinstance(answer, ActivityStatus):
        return f"returned {type(answer).__name__}, no ActivityStatus"
    if not isinstance(answer.state, ActivityState):
        return f"its state is {type(answer.state).__name__}, no ActivityState"
    if answer.progress is not None and not _is_number(answer.progress, 0.0, 1.0):
        return f"its progress is {str(answer.progress)[:40]}, not None or a number from 0 to 1"
    if not _is_number(answer.poll_after, 0.0, 86_400.0):
        return f"its poll_after is {str(answer.poll_after)[:40]}, not a number of seconds"
    return None


def _is_number(value: Any, least: float, most: float) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and least <= value <= most


def publication_of(driver: Any) -> Publication:
    """A driver's publication, read once, with violations replaced by defaults (A-4, A-5)."""
    return read_driver(driver, abilities(driver))[0]


def describe(error: BaseException) -> str:
    """An exception in words, even where its `__str__` raises; at most 300 characters."""
    try:
        text = str(error)
    except Exception:
        text = "(its text can't be had)"
    return f"{type(error).__name__}: {text}"[:300]
