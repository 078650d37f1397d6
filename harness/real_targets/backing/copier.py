"""The copying process: copies the data of one file into another at a set pace, and says how far it is.

    python -I -S copier.py SOURCE DESTINATION SIZE DURATION_NS STEPS

Blocks go over in ascending order. What is data is asked at each step anew (SEEK_DATA, SEEK_HOLE of lseek(2)), so that
a block that is written ahead of the process is copied, and one that is written behind it is not. The pass over SIZE
bytes is cut into STEPS; after each the position in bytes goes to standard output, one number a line. The position's
share of SIZE never runs ahead of the elapsed share of DURATION_NS.

The process ends with status 3 as soon as its standard input is closed: so it dies with whoever started it. It imports
little, since it is started for every copy.
"""

import errno
import os
import select
import sys
import time

CHUNK = 1 << 20
"""Bytes read at once."""
ALIGNMENT = 4096
"""Steps end at multiples of this many bytes."""


class Orphaned(Exception):
    """Whoever started the process is gone."""


def main(arguments: list[str]) -> int:
    """Copy as the arguments say; returns the exit status."""
    try:
        source = os.open(arguments[0], os.O_RDONLY)
        destination = os.open(arguments[1], os.O_WRONLY)
        size, duration_ns, steps = (int(text) for text in arguments[2:5])
        copy(source, destination, size, duration_ns, steps)
    except Orphaned:
        return 3
    except (OSError, ValueError, IndexError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


def copy(source: int, destination: int, size: int, duration_ns: int, steps: int) -> None:
    """Copy `size` bytes between two open files in `steps` steps over `duration_ns` nanoseconds."""
    began = time.monotonic_ns()
    position = 0
    for step in range(1, steps + 1):
        end = size if step == steps else size * step // steps // ALIGNMENT * ALIGNMENT
        wait_until(began + duration_ns * end // max(size, 1))
        copy_data(source, destination, position, end)
        position = end
        os.write(1, b"%d\n" % position)


def wait_until(due_ns: int) -> None:
    """Wait for a moment of the monotonic clock. Raises `Orphaned` when standard input is closed."""
    while True:
        left = due_ns - time.monotonic_ns()
        if select.select([0], [], [], max(left, 0) / 1e9)[0]:
            raise Orphaned
        if left <= 0:
            return


def copy_data(source: int, destination: int, position: int, end: int) -> None:
    """Copy the data between two byte offsets; holes are left alone."""
    while position < end:
        try:
            position = os.lseek(source, position, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # no data up to the end of the file
                return
            raise
        if position >= end:
            return
        hole = min(os.lseek(source, position, os.SEEK_HOLE), end)
        while position < hole:
            data = os.pread(source, min(CHUNK, hole - position), position)
            if not data:
                return
            done = 0
            while done < len(data):
                done += os.pwrite(destination, data[done:], position + done)
            position += len(data)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
