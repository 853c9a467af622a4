"""The inbox: folders where people leave files for the warehouse.

Belongs here: which files are submissions, which withdraw one, which are a source's own, where an answer goes. Does not: reading them.

    inbox/<institution>/<file>         a submission; its answer appears beside it as <file>.respuesta.xlsx
    inbox/<institution>/retirar/<file> withdraws what <institution>/<file> delivered, once that file has left the folder
    inbox/fuentes/<source>/<file>      a file in place of a source's server, e.g. fuentes/serfor.restoration_areas/; it may lie
                                       in a folder of its year or part, and leaves the folder or moves to retirar/ to end that
"""

from __future__ import annotations

import re
from pathlib import Path

from resources.tables import TABLES
from resources.vectors import ARCHIVES, READABLE

ANSWER_SUFFIX = ".respuesta.xlsx"
SOURCES_FOLDER = "fuentes"
WITHDRAW_FOLDER = "retirar"


class Inbox:
    """One inbox folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def submissions(self) -> dict[str, Path]:
        """Files by the name of their partition, `<institution>--<file>`."""
        return {_partition(path.parent, path): path for path in self._files("*/*") if self._is_institution(path.parent)}

    def withdrawals(self) -> dict[str, Path]:
        """Files that ask to withdraw a submission, by the name of its partition."""
        asked = [p for p in self._files(f"*/{WITHDRAW_FOLDER}/*") if self._is_institution(p.parent.parent)]
        return {_partition(path.parent.parent, path): path for path in asked}

    def _files(self, pattern: str) -> list[Path]:
        return [p for p in sorted(self.folder.glob(pattern)) if _is_a_file(p) and not _is_ours_or_hidden(p)]

    @staticmethod
    def _is_institution(folder: Path) -> bool:
        return folder.name not in {SOURCES_FOLDER, WITHDRAW_FOLDER} and not folder.is_symlink()

    def source_folder(self, source: str) -> Path:
        """Where files in place of a source's server lie."""
        return self.folder / SOURCES_FOLDER / source

    def dropped(self, source: str) -> list[Path]:
        """Files in a source's folder and in the folders of its years or parts, the newest last."""
        home = self.source_folder(source)
        files = [
            path
            for path in (*home.glob("*"), *home.glob("*/*"))
            if _is_a_file(path) and is_readable(path) and path.parent.name != WITHDRAW_FOLDER
            and not _is_ours_or_hidden(path) and not home.is_symlink()
        ]  # fmt: skip
        return sorted(files, key=lambda p: (_changed_at(p), p.name))

    def state(self) -> str:
        """Changes whenever a file comes, changes or goes: what a sensor remembers."""
        sources = self.folder / SOURCES_FOLDER
        dropped = [p for p in (*sources.glob("*/*"), *sources.glob("*/*/*")) if p.is_file()]
        paths = [*self.submissions().values(), *self.withdrawals().values(), *dropped]
        return "\n".join(
            f"{p.relative_to(self.folder)} {p.stat().st_size} {p.stat().st_mtime_ns}" for p in sorted(paths)
        )


def answer_path(submission: Path) -> Path:
    """Where the answer to a submission lies."""
    return submission.with_name(submission.name + ANSWER_SUFFIX)


def is_readable(path: Path) -> bool:
    """Whether its name is that of a file somebody can read."""
    return path.suffix.lower() in TABLES | READABLE | ARCHIVES


def _changed_at(path: Path) -> int:
    """Nanoseconds; 0 for a file that went while it was looked at."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _is_a_file(path: Path) -> bool:
    """A file of its own: a link could lead anywhere on this machine."""
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


def _is_ours_or_hidden(path: Path) -> bool:
    return path.name.startswith((".", "~$")) or path.name.endswith((ANSWER_SUFFIX, ".part", ".tmp", ".crdownload"))


def _partition(institution: Path, file: Path) -> str:
    return f"{_slug(institution.name)}--{_slug(file.name)}"


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text.lower()).strip("-")
