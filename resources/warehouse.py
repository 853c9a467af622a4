"""The one DuckDB file: how it is opened, how a build starts and how it replaces the published file.

Belongs here: connections, copies, the atomic swap. Does not: what the tables hold (dbt_like_sql) or whether they may be
published (restoration/build/publish.py).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from pathlib import Path

import duckdb
import polars as pl

from resources.errors import CorruptWarehouse, PublishRefused, first_line

FILE_NAME = "restauracion.duckdb"
KEPT_RELEASES = 7
# without it a column loses its coordinate reference when the file is opened again
STORAGE: dict[str, str | bool | int | float | list[str]] = {"storage_compatibility_version": "v1.5.0"}


@cache
def spatial_extension() -> Path:
    """The spatial extension installed with the package; it works without a network and with this DuckDB only.

    Raises RuntimeError when package and DuckDB do not match.
    """
    folder = Path(str(files("duckdb_extension_spatial"))) / "extensions" / f"v{duckdb.__version__}"
    path = folder / "spatial.duckdb_extension"
    if not path.exists():
        raise RuntimeError(f"duckdb {duckdb.__version__} has no spatial extension at {path}; install the same versions")
    return path


def connect(path: Path | str = ":memory:", *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    """A connection with the spatial functions and longitude first."""
    con = duckdb.connect(str(path), read_only=read_only, config={} if read_only else STORAGE)
    con.execute(f"load '{spatial_extension()}'")
    con.execute("set geometry_always_xy = true")  # ST_Area_Spheroid reads latitude first otherwise: 4 times too small
    con.execute("set timezone = 'UTC'")
    con.execute("set enable_progress_bar = false")
    return con


def register_frame(
    con: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame, *, is_temporary: bool = False
) -> None:
    """Make a table of a frame, in place of one of that name; a temporary one is never in the file."""
    con.register("put_frame", frame.to_arrow())
    con.execute(f"create or replace {'temp ' if is_temporary else ''}table {table} as from put_frame")
    con.unregister("put_frame")


class WarehouseFiles:
    """The files below `<data>/warehouse`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def published(self) -> Path:
        """The file analysts open."""
        return self.folder / FILE_NAME

    @property
    def releases(self) -> Path:
        """The last releases, one file each."""
        return self.folder / "releases"

    def state(self) -> tuple[int, int] | None:
        """Identifies one version of the published file."""
        if not self.published.exists():
            return None
        status = self.published.stat()
        return status.st_ino, status.st_mtime_ns

    def start_build(self, run_id: str) -> Path:
        """A file of this run alone: a copy of the published one, or none yet."""
        builds = self.folder / "builds"
        builds.mkdir(parents=True, exist_ok=True)
        path = builds / f"{run_id}.duckdb"
        path.unlink(missing_ok=True)
        if self.published.exists():
            shutil.copyfile(self.published, path)
        return path

    def drop_build(self, path: Path) -> None:
        """Remove a build that will not be published."""
        path.unlink(missing_ok=True)
        Path(f"{path}.wal").unlink(missing_ok=True)

    def remove_stale_builds(self) -> list[str]:
        """Builds and half-written files of runs that were killed. Only for who holds the data folder's lock."""
        found = [*(self.folder / "builds").glob("*"), *self.releases.glob("*.part"), *self.folder.glob("*.part")]
        for path in found:
            path.unlink(missing_ok=True)
        return [path.name for path in found]

    # -- intact or damaged -------------------------------------------------------------------------

    @property
    def _checksums(self) -> Path:
        """A line a publication: checksum and release. A file that is none of them was not published."""
        return self.folder / "published.sha256"

    def _known(self) -> dict[str, str]:
        if not self._checksums.exists():
            return {}
        lines = [line.split() for line in self._checksums.read_text(encoding="utf-8").splitlines()]
        return {line[0]: line[1] for line in lines if len(line) == 2}

    def _remember(self, digest: str, release_id: str) -> None:
        known = [*self._known().items(), (digest, release_id)][-10 * KEPT_RELEASES :]
        scratch = self._checksums.with_suffix(".part")
        scratch.write_text("".join(f"{d} {r}\n" for d, r in dict(known).items()), encoding="utf-8")
        os.replace(scratch, self._checksums)

    def damage(self, path: Path) -> str | None:
        """What is wrong with a published or kept file; None where it is byte for byte what was published, and opens."""
        known = self._known()
        try:
            if known and _digest(path) not in known:
                return "its checksum is that of no release"
            with duckdb.connect(str(path), read_only=True) as con:
                con.execute("select count(*) from meta.releases").fetchone()
        except (OSError, duckdb.Error) as error:
            return first_line(error)
        return None

    def repair(self) -> str | None:
        """Replace a damaged published file by the last good release; returns what it did, None if nothing is damaged.

        The damaged file stays beside it as `*.damaged`. Raises CorruptWarehouse where no release is intact.
        """
        if not self.published.exists():
            return None
        reported = self._set_aside_log()
        reason = self.damage(self.published)
        if reason is None:
            return reported
        order = {release: place for place, release in enumerate(self._known().values())}
        releases = sorted(self.releases.glob("*.duckdb"), key=lambda p: (order.get(p.stem, -1), p.stat().st_mtime))
        for release in reversed(releases):
            if self.damage(release) is None:
                scratch = self.folder / "mended.part"
                shutil.copyfile(release, scratch)
                os.replace(self.published, self.published.with_suffix(".damaged"))
                os.replace(scratch, self.published)
                return f"{self.published} was damaged ({reason}); release {release.stem} was put in its place"
        raise CorruptWarehouse(str(self.published), reason)

    def _set_aside_log(self) -> str | None:
        """Set aside a write-ahead log beside the published file.

        It is left by a process that wrote into the file and ended; DuckDB would apply it to the file.
        """
        log = Path(f"{self.published}.wal")
        if not log.exists():
            return None
        os.replace(log, log.with_name(f"{log.name}.damaged"))
        return f"{log.name} lay beside the published file, which nobody may write in: it was set aside, what it held counts no more"

    @contextmanager
    def _publishing(self) -> Iterator[None]:
        with (self.folder / ".publish.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def publish(self, build: Path, release_id: str, base: tuple[int, int] | None) -> Path:
        """Replace the published file, which readers may hold open, by a closed build.

        `base` is the `state` when the build began. Raises PublishRefused for a build that is not closed cleanly or
        whose base was replaced meanwhile.
        """
        if Path(f"{build}.wal").exists():
            raise PublishRefused(f"{build.name} still has a write-ahead log; renaming it alone would lose data")
        with build.open("rb") as handle:
            os.fsync(handle.fileno())
        with self._publishing():
            if self.state() != base:
                raise PublishRefused("another run published since this one began; run again on top of it")
            self.releases.mkdir(exist_ok=True)
            kept = self.releases / f"{release_id}.duckdb"
            scratch = kept.with_suffix(".part")
            digest = _copy(build, scratch)  # bytes of its own: what damages one of the two spares the other
            os.replace(scratch, kept)
            self._remember(digest, release_id)
            for path in (kept, build):  # analysts read; the next build is a copy
                path.chmod(path.stat().st_mode & ~0o222)
            self._set_aside_log()  # or nobody could open the new file
            os.replace(build, self.published)
            for old in sorted(self.releases.glob("*.duckdb"), key=lambda p: p.stat().st_mtime)[:-KEPT_RELEASES]:
                old.unlink()
        return self.published


def _copy(source: Path, target: Path) -> str:
    """Copy bytes to the disk; returns their checksum."""
    digest = hashlib.sha256()
    with source.open("rb") as reader, target.open("wb") as writer:
        while chunk := reader.read(1 << 20):
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
