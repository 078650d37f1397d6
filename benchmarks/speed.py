"""How fast the simulator is, and what others would take: `python -m benchmarks.speed`.

Each figure is a median of several runs in CPU time; a ratio is the median of ratios taken in one run, ours and the
peer's in turns. Peers come with the extra `bench`; a row whose peer can't be run says so. `--tiny` only shows that
everything runs; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import importlib

from benchmarks.measure import print_head, print_rows

GROUPS = ("bulk", "fabric", "foreground", "stamps", "fallback", "schedules", "scale", "sweeps")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3, help="repetitions of each measurement")
    parser.add_argument("--tiny", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("groups", nargs="*", help=f"which rows: {', '.join(GROUPS)} (all)")
    options = parser.parse_args()
    print_head()
    for group in options.groups or GROUPS:
        module = importlib.import_module(f"benchmarks.speed_{group}")
        print_rows(module.rows(options.runs, options.tiny))


if __name__ == "__main__":
    main()
