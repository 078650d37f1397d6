"""A driver as the taskflow meets it: one end of a flow, its publication, its connection, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.attributes import publication_of
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
from harness.frozen import NOT_TO_BE_CAUGHT, class_id, kind_of, text_of
from harness.hosting import HostingError, NotPlayed
from harness.model import Context
from harness.recorder import Recorder
from harness.runtime import Abandoned, RuntimeLimit
from harness.static_lookup import plain_methods
from harness.taskflow.answers import WrongAnswer, read_answer
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
        self.publication = publication_of(self.driver, abilities(self.driver))  # read once

    @property
    def name(self) -> str:
        """The driver's class name."""
        return kind_of(self.driver)

    @property
    def has_activity_hooks(self) -> bool:
        """Whether all three activity hooks are there."""
        surely = plain_methods(self.driver, ACTIVITY_HOOKS)
        return len(surely) == len(ACTIVITY_HOOKS) or all(implements(self.driver, hook) for hook in ACTIVITY_HOOKS)

    @property
    def family(self) -> str:
        """The driver family: the published one, else the class that defines `replicate_snapshot`."""
        if self.publication.driver_family is not None:
            return self.publication.driver_family
        cls = type(self.driver)
        bases: tuple[type, ...] = type.__dict__["__mro__"].__get__(cls)
        defines = (base for base in bases if "replicate_snapshot" in type.__dict__["__dict__"].__get__(base))
        return class_id(next(defines, cls))

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
    try:
        bound = bind_call(driver, method, *args, **kwargs)
    except ContractViolation as error:
        raise DriverError(kind_of(driver), method, str(error), error) from None
    except NOT_TO_BE_CAUGHT:
        raise
    except BaseException as error:  # the driver's own `__getattribute__`, or a property where a method belongs
        raise DriverError(kind_of(driver), method, f"looking it up raised {describe(error)}", error) from error
    try:
        answer = bound()
    except ActivityFailed as error:
        raise DriverError(kind_of(driver), method, f"the backend says: {text_of(error)}", error) from error
    except (BackendActivityError, RuntimeLimit, Abandoned, HostingError, NotPlayed):
        raise
    except MemoryError:
        raise OutOfMemory(f"{kind_of(driver)}.{method} took all memory") from None
    except BaseException as error:  # SystemExit and its like are no way to answer a call either
        raise DriverError(kind_of(driver), method, f"raised {describe(error)}", error) from error
    try:
        return read_answer(method, answer)
    except WrongAnswer as error:
        raise DriverError(kind_of(driver), method, str(error)) from None
    except NOT_TO_BE_CAUGHT:
        raise
    except BaseException as error:
        told = f"its answer can't be read: it raised {describe(error)}"
        raise DriverError(kind_of(driver), method, told, error) from error


def describe(error: BaseException) -> str:
    """An exception in words, even where its `__str__` raises; at most 300 characters."""
    return f"{kind_of(error)}: {text_of(error)}"[:300]
