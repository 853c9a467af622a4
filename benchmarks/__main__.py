"""`make bench`: every benchmark, one after the other."""

from __future__ import annotations

import argparse
import sys

from benchmarks import exports, extraction, files, ground, linkage, nightly, quality

ALL = ("nightly", "extraction", "files", "quality", "ground", "linkage", "exports")


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Speed and memory of the pipeline.")
    parser.add_argument("which", nargs="*", default=list(ALL), metavar="|".join(ALL), help="all unless named")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 16.0], help="sizes of the sandbox (nightly)")
    parser.add_argument("--features", type=int, default=100_000, help="polygons of the ArcGIS layer (extraction)")
    parser.add_argument("--rows", type=int, default=files.ROWS, help="lines of the wide budget file (files)")
    parser.add_argument("--lines", type=int, default=quality.ROWS, help="spending lines under the suite (quality)")
    parser.add_argument("--areas", type=int, default=ground.AREAS, help="areas that are cut (ground)")
    parser.add_argument("--records", type=int, default=linkage.RECORDS, help="records that are linked (linkage)")
    arguments = parser.parse_args()
    if unknown := set(arguments.which) - set(ALL):
        parser.error(f"no benchmark {sorted(unknown)}; there are {list(ALL)}")
    if "nightly" in arguments.which:
        for scale in arguments.scales:
            nightly.measure(scale)
    if "extraction" in arguments.which:
        extraction.measure(arguments.features)
    if "files" in arguments.which:
        files.measure(arguments.rows)
    if "quality" in arguments.which:
        quality.measure(arguments.lines)
    if "ground" in arguments.which:
        ground.measure(arguments.areas)
    if "linkage" in arguments.which:
        linkage.measure(arguments.records)
    if "exports" in arguments.which:
        exports.measure(arguments.scales[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
