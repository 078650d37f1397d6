"""Fuzz the readers: `make fuzz`, or `python -m tests.fuzz --seconds 600 --seed 1`; the time is the processor's.

Each property gets an equal share. An example that takes longer than `EXAMPLE_S` fails: reading takes bounded time.
Another seed looks at other examples; a failure is shrunk, printed, and makes the exit status 1.
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from typing import Any

from tests.fuzz.properties import PROPERTIES, Proposition, examine

EXAMPLE_S = 30.0
"""Seconds of wall time for one example, on however busy a machine."""

BATCH = 200
"""Examples between two looks at the clock."""


@contextlib.contextmanager
def bounded(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in the body if it takes longer."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"an example took longer than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def fuzz(proposition: Proposition, cpu_s: float, seed: int) -> int:
    """Try a property for so many seconds of processor time; the number of examples. Raises what an example raises."""
    tried = 0

    def guard(inner: Proposition) -> Proposition:
        def counted(*values: Any) -> None:
            nonlocal tried
            tried += 1
            with bounded(EXAMPLE_S):
                inner(*values)

        return counted

    ends = time.process_time() + cpu_s
    while time.process_time() < ends:
        examine(proposition, BATCH, seed, guard)
        seed += 1_000_003
    return tried


def main() -> int:
    """Fuzz every property."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="processor time for all (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="which examples (default: %(default)s)")
    options = parser.parse_args()
    failed = False
    for proposition in PROPERTIES:
        try:
            tried = fuzz(proposition, options.seconds / len(PROPERTIES), options.seed)
        except Exception:
            traceback.print_exc()
            print(f"{proposition.__name__}: FAILED", flush=True)
            failed = True
        else:
            print(f"{proposition.__name__}: {tried} examples", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
