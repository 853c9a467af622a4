"""`make bench`: every benchmark, one after the other."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks import cage, exports, extraction, files, ground, linkage, nightly, quality
from benchmarks.parts import night_over_the_sandbox

ALL = ("nightly", "nights", "extraction", "files", "cage", "quality", "ground", "linkage", "exports")
AFTER_A_NIGHT = {"quality", "linkage", "exports"}


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description="Speed and memory of the pipeline.")
    parser.add_argument("which", nargs="*", default=list(ALL), metavar="|".join(ALL), help="all unless named")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0, 16.0], help="sizes of the sandbox (nightly)")
    parser.add_argument("--nights", type=int, default=14, help="nights of a sandbox that lives (nights)")
    parser.add_argument("--living-scale", type=float, default=0.15, help="size of that sandbox (nights)")
    parser.add_argument("--features", type=int, default=100_000, help="polygons of the ArcGIS layer (extraction)")
    parser.add_argument("--rows", type=int, default=files.ROWS, help="lines of the wide budget file (files)")
    parser.add_argument("--deliveries", type=int, default=2_000, help="files of one feature in the inbox (cage)")
    parser.add_argument("--lines", type=int, default=quality.ROWS, help="spending lines under the suite (quality)")
    parser.add_argument("--areas", type=int, default=ground.AREAS, help="areas that are cut (ground)")
    parser.add_argument("--records", type=int, default=linkage.RECORDS, help="records that are linked (linkage)")
    parser.add_argument("--vertices", type=int, default=20_000, help="of a heavy polygon (extraction, ground)")
    parser.add_argument("--sizes", type=int, default=3, help="sizes at which growth is seen (ground, linkage)")
    parser.add_argument("--tries", type=int, default=3, help="runs of each part, of which the best counts")
    parser.add_argument(
        "--night",
        type=Path,
        help="data folder after a night over the sandbox at the first scale, to begin with instead of a new one",
    )
    arguments = parser.parse_args()
    if unknown := set(arguments.which) - set(ALL):
        parser.error(f"no benchmark {sorted(unknown)}; there are {list(ALL)}")
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        night = arguments.night
        if night is None and AFTER_A_NIGHT & set(arguments.which):
            night = night_over_the_sandbox(Path(scratch), arguments.scales[0])
        for name in arguments.which:
            _run(name, arguments, night)
    return 0


def _run(name: str, asked: argparse.Namespace, night: Path) -> None:
    if name == "nightly":
        for scale in asked.scales:
            nightly.measure(scale, asked.tries, asked.night)
    elif name == "nights":
        from benchmarks import nights  # and Dagster, which other benchmarks do without

        nights.measure(asked.nights, asked.living_scale)
    elif name == "extraction":
        extraction.measure(asked.features, asked.vertices)
    elif name == "files":
        files.measure(asked.rows, asked.tries, asked.scales[0])
    elif name == "cage":
        cage.measure(asked.deliveries, asked.scales[0])
    elif name == "quality":
        quality.measure(night, asked.lines, asked.tries)
    elif name == "ground":
        ground.measure(asked.areas, asked.vertices, asked.sizes)
    elif name == "linkage":
        linkage.measure(night, asked.records, asked.sizes, asked.tries)
    else:
        exports.measure(night, asked.tries)


if __name__ == "__main__":
    sys.exit(main())
