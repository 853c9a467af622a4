"""`make template`: write the workbook for submissions.

Belongs here: the command. Does not: the workbook (restoration/submissions/template.py).
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from restoration.submissions.template import write_template


def main() -> int:
    """Write the template where it is asked for."""
    parser = argparse.ArgumentParser(description="Write the workbook for submissions.")
    parser.add_argument("path", nargs="?", type=Path, default=Path("data") / "plantilla_restauracion.xlsx")
    path = write_template(parser.parse_args().path)
    Console().print(f"Plantilla: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
