"""`make bench`: every benchmark, one after the other."""

from __future__ import annotations

import argparse
import sys

from benchmarks import nightly


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Speed and memory of the pipeline.")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 16.0], help="sizes of the sandbox")
    arguments = parser.parse_args()
    for scale in arguments.scales:
        nightly.measure(scale)
    return 0


if __name__ == "__main__":
    sys.exit(main())
