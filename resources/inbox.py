"""The inbox: folders where people leave files for the warehouse.

Belongs here: which files are submissions, which withdraw one, which are a source's own, where an answer goes,
and what of it all the last run read. Does not: reading files.

    inbox/<institution>/<file>         a submission; its answer appears beside it as <file>.respuesta.xlsx
    inbox/<institution>/retirar/<file> withdraws what <institution>/<file> delivered, once that file has left the folder
    inbox/fuentes/<source>/<file>      a file in place of a source's server, e.g. fuentes/serfor.restoration_areas/; it may lie
                                       in a folder of its year or part, and leaves the folder or moves to retirar/ to end that
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from resources.shared_folders import replace_file
from resources.tables import TABLES
from resources.vectors import ARCHIVES, READABLE

ANSWER_SUFFIX = ".respuesta.xlsx"
SOURCES_FOLDER = "fuentes"
WITHDRAW_FOLDER = "retirar"
_READ = ".leido.json"  # what the last run read, folder by folder
_LONGEST = 100  # letters of a submission's name


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
        return (
            folder.name not in {SOURCES_FOLDER, WITHDRAW_FOLDER}
            and not folder.name.startswith(".")
            and not folder.is_symlink()
        )

    def source_folder(self, source: str) -> Path:
        """Where files in place of a source's server lie."""
        return self.folder / SOURCES_FOLDER / source

    def dropped(self, source: str) -> list[Path]:
        """Files in a source's folder and in the folders of its years or parts, the newest last."""
        home = self.source_folder(source)
        files = [
            path
            for path in (*home.glob("*"), *home.glob("*/*"))
            if _is_a_file(path)
            and is_readable(path)
            and path.parent.name != WITHDRAW_FOLDER
            and not _is_ours_or_hidden(path)
            and not home.is_symlink()
        ]
        return sorted(files, key=lambda p: (_changed_at(p), p.name))

    def alike(self) -> list[list[str]]:
        """Institutions' folders whose names differ in capitals only: they count as two, usually by mistake."""
        folders: dict[str, set[str]] = {}
        for path in self.submissions().values():
            folders.setdefault(path.parent.name.casefold(), set()).add(path.parent.name)
        return [sorted(names) for names in folders.values() if len(names) > 1]

    def states(self) -> dict[str, str]:
        """Each folder that holds files, an institution's or `fuentes/<source>`, with its state.

        The state is a value that changes whenever a file is added, changed or removed.
        """
        sources = [p.name for p in (self.folder / SOURCES_FOLDER).glob("*") if p.is_dir()]
        folders = {f"{SOURCES_FOLDER}/{source}": self.dropped(source) for source in sources}
        for path in (*self.submissions().values(), *self.withdrawals().values()):
            folders.setdefault(path.relative_to(self.folder).parts[0], []).append(path)
        reported = {name: "\n".join(filter(None, map(self._seen, sorted(files)))) for name, files in folders.items()}
        return {name: hashlib.sha256(text.encode()).hexdigest()[:16] for name, text in reported.items() if text}

    def _seen(self, path: Path) -> str:
        """A file as it is now; nothing for one that was removed in the meantime."""
        try:
            stat = path.stat()
        except OSError:
            return ""
        return f"{path.relative_to(self.folder)} {stat.st_size} {stat.st_mtime_ns}"

    def read_states(self) -> dict[str, str]:
        """The state of each folder as the last run read it."""
        try:
            return dict(json.loads((self.folder / _READ).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):  # none yet, or torn: read once more rather than not at all
            return {}

    def remember(self, states: Mapping[str, str], sources: Iterable[str], *, submissions: bool) -> None:
        """Keep the states that a run took before it read the files of these sources, and those of all institutions."""
        of_sources, known = {f"{SOURCES_FOLDER}/{source}" for source in sources}, self.read_states()

        def was_read(folder: str) -> bool:
            return folder in of_sources or (submissions and not folder.startswith(f"{SOURCES_FOLDER}/"))

        now = {f: s for f, s in known.items() if not was_read(f)} | {f: s for f, s in states.items() if was_read(f)}
        if now != known:
            replace_file(self.folder / _READ, json.dumps(now, indent=1, ensure_ascii=False).encode())


def answer_path(submission: Path) -> Path:
    """Where the answer to a submission lies."""
    return submission.with_name(submission.name + ANSWER_SUFFIX)


def is_readable(path: Path) -> bool:
    """Whether its name is that of a file somebody can read."""
    return path.suffix.lower() in TABLES | READABLE | ARCHIVES


def _changed_at(path: Path) -> int:
    """Nanoseconds; 0 for a file that was removed in the meantime."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _is_a_file(path: Path) -> bool:
    """A file of its own: a link could lead anywhere on this machine."""
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


def _is_ours_or_hidden(path: Path) -> bool:
    return path.name.startswith((".", "~$")) or path.name.endswith((ANSWER_SUFFIX, ".part", ".tmp", ".crdownload"))


def plain_name(institution: str, file: str) -> str:
    """Folder and file as they were all named before 2026-11-27: two of them can share one name."""
    return f"{_slug(institution)}--{_slug(file)}"


def _partition(institution: Path, file: Path) -> str:
    """The name of a submission: safe as the name of a folder, and no other file's.

    Folder and file unchanged where they are safe; otherwise shortened, and made unique by a digest of the exact names.
    """
    exact = f"{institution.name}--{file.name}"
    if (
        plain_name(institution.name, file.name) == exact
        and len(exact) <= _LONGEST
        and ".." not in exact
        and exact[0] != "."
    ):
        return exact
    digest = hashlib.sha256(os.fsencode(f"{institution.name}/{file.name}")).hexdigest()[:8]
    kept = [
        re.sub(r"[.-]{2,}", "-", _slug(text)).strip(".-")[:40].strip(".-") for text in (institution.name, file.stem)
    ]
    return f"{kept[0] or 'sin_nombre'}--{kept[1] or 'sin_nombre'}-{digest}{file.suffix.lower()[:8]}"


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text.lower()).strip("-")
