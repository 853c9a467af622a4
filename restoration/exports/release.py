"""One export of one release: a folder under data/exports that is put in place whole, with a manifest.

Belongs here: opening the published file, the manifest, the swap. Does not: what an export holds.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import inspect
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb

from resources.warehouse import connect
from restoration.exports.tables import quoted

MANIFEST = "manifest.json"
SUPERSEDED_NOTE = "PUBLICACION-ANTERIOR.txt"  # lies in an export of an older release, for whoever opens the folder
EXPORTS, REPORT = "exports", "report"


@dataclass(frozen=True)
class Release:
    """The published release that an export is of."""

    release_id: str
    is_sandbox: bool
    as_of: dt.date
    published_at: dt.datetime
    verified_at: dt.datetime

    @property
    def stamp(self) -> str:
        """When it was published, as ISO 8601 in UTC: the timestamp in exports, so that their bytes do not vary."""
        return self.published_at.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


@dataclass(frozen=True)
class File:
    """One file of an export, as its manifest describes it. `rows` is null where a file has none (a style, a page)."""

    rows: int | None
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Written:
    """An export of a release; `is_new` is false where it existed already. `version` identifies release and code."""

    folder: Path
    release_id: str
    files: dict[str, File]
    is_new: bool
    version: str


Rows = dict[str, int]  # rows of the files that have rows
Writer = Callable[[duckdb.DuckDBPyConnection, Release, Path], Rows]


def current_release(con: duckdb.DuckDBPyConnection, catalog: str | None = None) -> Release:
    """The release of a published file that is open, or attached as `catalog`. Raises LookupError where it has none."""
    table = f"{catalog}.meta.releases" if catalog else "meta.releases"
    row = con.execute(
        f"select release_id, is_sandbox, as_of, published_at, verified_at from {table} order by verified_at desc limit 1"
    ).fetchone()
    if row is None:
        raise LookupError("the file has no release: run the job nightly once")
    return Release(str(row[0]), bool(row[1]), *row[2:])


def write_export(published: Path, folder: Path, writer: Writer, about: dict[str, object] | None = None) -> Written:
    """Let `writer` fill a folder from the published file (attached as `w`, with spatial), then replace `folder`.

    Nothing is written where the manifest in `folder` names the same release, written by the same code. A writer that
    fails leaves `folder` as it was.
    """
    made_by = _code_digest(writer)
    con = connect()
    try:
        con.execute(f"attach '{quoted(published)}' as w (read_only)")
        release = current_release(con, "w")
        known = _manifest(folder)
        version = f"{release.release_id}-{made_by}"
        if known and "superseded_by" not in known and version == f"{known['release_id']}-{known['made_by']}":
            return Written(folder, release.release_id, _files(known), is_new=False, version=version)
        created = folder.with_name(f".{folder.name}.part")
        shutil.rmtree(created, ignore_errors=True)
        created.mkdir(parents=True)
        try:
            rows = writer(con, release, created)
        except BaseException:
            shutil.rmtree(created, ignore_errors=True)
            raise
    finally:
        con.close()
    manifest = {
        "release_id": release.release_id,
        "is_sandbox": release.is_sandbox,
        "as_of": release.as_of.isoformat(),
        "published_at": release.stamp,
        **(about or {}),
        "made_by": made_by,
        "files": {
            str(path.relative_to(created)): asdict(
                File(rows.get(str(path.relative_to(created))), path.stat().st_size, _digest(path))
            )
            for path in sorted(created.rglob("*"))
            if path.is_file()
        },
    }
    (created / MANIFEST).write_text(_json(manifest), encoding="utf-8")
    replace_folder(created, folder)
    return Written(folder, release.release_id, _files(manifest), is_new=True, version=version)


def mark_superseded(data_dir: Path, release_id: str) -> list[Path]:
    """Let exports and report of another release than the published one say so, until they are written again; returns them.

    Their manifest gets `superseded_by`, and a note for people lies beside it.
    """
    marked = []
    for path in [*data_dir.glob(f"{EXPORTS}/*/{MANIFEST}"), data_dir / REPORT / MANIFEST]:
        manifest = _manifest(path.parent)
        if manifest is None or manifest["release_id"] == release_id:
            continue
        scratch = path.with_suffix(".part")
        scratch.write_text(_json(manifest | {"superseded_by": release_id}), encoding="utf-8")
        os.replace(scratch, path)
        (path.parent / SUPERSEDED_NOTE).write_text(
            f"Estos archivos son de la publicación {manifest['release_id']}. Ya se publicó {release_id}: vuelva a generarlos.\n"
            f"These files are of release {manifest['release_id']}. {release_id} is published since: write them again.\n",
            encoding="utf-8",
        )
        marked.append(path.parent)
    return marked


def _json(manifest: dict[str, object]) -> str:
    return json.dumps(manifest, indent=1, ensure_ascii=False) + "\n"


def replace_folder(created: Path, folder: Path) -> None:
    """Replace `folder` with `created`; the old content is removed last."""
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        os.replace(folder, old)
    os.replace(created, folder)
    shutil.rmtree(old, ignore_errors=True)


def release_of(folder: Path) -> str | None:
    """The release that an export in a folder is of; None where there is none, or not all of it."""
    manifest = _manifest(folder)
    return str(manifest["release_id"]) if manifest else None


def _manifest(folder: Path) -> dict[str, object] | None:
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # a half-written folder is written again
        return None
    is_whole = isinstance(found, dict) and {"release_id", "made_by", "files"} <= found.keys()
    return found if is_whole and all((folder / name).exists() for name in found["files"]) else None


def _files(manifest: dict[str, object]) -> dict[str, File]:
    files = manifest["files"]
    assert isinstance(files, dict)
    return {name: File(**about) for name, about in files.items()}


def _code_digest(writer: Writer) -> str:
    """The code that writes the export: the folder of the writer, with its styles and templates."""
    home = Path(inspect.getfile(inspect.unwrap(writer))).parent
    files = sorted(path for path in home.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return hashlib.sha256(b"".join(_digest(path).encode() for path in files)).hexdigest()[:16]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
