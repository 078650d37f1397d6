"""What a driver's process needs before the driver is imported: blocking calls of the standard library that go to the
runtime, and randomness that comes from one seed.

`install` is called once in a cell's process, for good, and never in a process that also does something else: a driver
keeps references to what it imported. What is replaced asks at each call whether it runs in a task of a virtual
runtime, and does what it always did where it does not. So no runtime has to be announced.
"""

from __future__ import annotations

import random
from contextlib import AbstractContextManager, nullcontext

_installed: bool | None = None


def install(virtual: bool) -> None:
    """Prepare this process for drivers under the virtual clock, or the wall clock. Repeating it is harmless.

    Under the wall clock nothing is replaced. Raises `RuntimeError` if the process was prepared for the other clock.
    """
    global _installed
    if _installed is not None:
        if _installed != virtual:
            raise RuntimeError("this process was prepared for the other clock; start a new one")
        return
    if virtual:
        from harness.runtime import entropy, interception, task_threads

        task_threads.install()
        interception.install()
        entropy.install()
    _installed = virtual


def seed(value: int) -> None:
    """Let all that is random start again from `value`; called before each check.

    Under the wall clock that is the `random` module. Under the virtual clock it is also `os.urandom`, `secrets`,
    `uuid` and unseeded generators, as far as tasks use them.
    """
    random.seed(value)
    if _installed:
        from harness.runtime import entropy, task_threads

        entropy.seed(value)
        task_threads.reset_names()


def aside(name: str) -> AbstractContextManager[None]:
    """Keep what the body draws from what drivers will draw: it has a stream of its own, which `name` seeds.

    For what is not part of a run; the body must not wait for anything. Under the wall clock nothing is kept apart.
    """
    if not _installed:
        return nullcontext()
    from harness.runtime import entropy

    return entropy.aside(name)
