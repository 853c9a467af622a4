"""Snapshots: content-addressed, append-only, verified."""

from __future__ import annotations

from pathlib import Path

import pytest

from resources.errors import CorruptSnapshot, RestorationError, Shrunk, SourceError
from resources.snapshots import Draft, SnapshotStore

TERMS = {"licence": "l", "disclaimer": "d", "allowed_shrink": 0.1}


@pytest.fixture
def store(tmp_path: Path) -> SnapshotStore:
    return SnapshotStore(tmp_path)


def draft_of(store: SnapshotStore, *bodies: bytes) -> Draft:
    draft = store.draft()
    for body in bodies:
        draft.add("page", body)
    return draft


def commit(store: SnapshotStore, draft: Draft, rows: int = 10) -> bool:
    return store.commit(draft, "minam.x", None, url="https://u", rows=rows, rows_at_server=rows, **TERMS)[1]  # type: ignore[arg-type]


def test_the_same_bytes_are_stored_once_and_are_no_new_snapshot(store: SnapshotStore, tmp_path: Path) -> None:
    assert commit(store, draft_of(store, b"one", b"two"))
    assert not commit(store, draft_of(store, b"one", b"two"))
    assert len(list((tmp_path / "blobs").glob("*/*.zst"))) == 2
    assert [a.outcome for a in store.attempts("minam.x")] == ["new", "unchanged"]


def test_pages_in_another_order_are_another_snapshot(store: SnapshotStore) -> None:
    assert draft_of(store, b"one", b"two").snapshot_id != draft_of(store, b"two", b"one").snapshot_id


def test_bodies_come_back_as_they_were(store: SnapshotStore) -> None:
    body = bytes(range(256)) * 5_000
    part = store.put("file", [body[:1000], body[1000:]])
    assert store.read(part) == body


def test_a_source_that_lost_rows_is_refused_and_the_old_snapshot_is_kept(store: SnapshotStore) -> None:
    commit(store, draft_of(store, b"all"), rows=100)
    with pytest.raises(Shrunk, match=r"lost 31 % since 20\d\d-\d\d-\d\d .*raise allowed_shrink in minam.yml"):
        commit(store, draft_of(store, b"less"), rows=69)
    current = store.current("minam.x")
    assert current
    assert current.rows == 100
    assert commit(store, draft_of(store, b"a little less"), rows=95)


def test_a_failure_is_recorded_and_the_last_good_snapshot_is_kept(store: SnapshotStore) -> None:
    commit(store, draft_of(store, b"good"))
    store.failed("minam.x", None, SourceError("minam.x", "down"))
    assert store.current("minam.x") is not None
    assert store.attempts("minam.x")[-1].message == "minam.x: down"


def test_a_damaged_blob_is_found_and_named(store: SnapshotStore) -> None:
    part = store.put("file", [b"content"])
    path = store.blob_path(part.sha256)
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(CorruptSnapshot, match=part.sha256):
        store.read(part)
    assert [e.sha256 for e in store.verify()] == [part.sha256]


def test_a_blob_that_breaks_while_written_leaves_nothing(store: SnapshotStore, tmp_path: Path) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield b"some"
        raise OSError("cut")

    with pytest.raises(OSError, match="cut"):
        store.put("file", broken())
    assert not [p for p in (tmp_path / "blobs").rglob("*") if p.is_file()]


def test_fiscal_years_have_ledgers_of_their_own(store: SnapshotStore) -> None:
    for year in ("2021", "2020"):
        draft = draft_of(store, year.encode())
        store.commit(draft, "mef.budget", year, url="u", rows=1, rows_at_server=None, **TERMS)  # type: ignore[arg-type]
    assert store.partitions("mef.budget") == ["2020", "2021"]
    assert store.current("mef.budget") is None


def test_errors_have_one_root() -> None:
    assert issubclass(SourceError, RestorationError)
    assert issubclass(CorruptSnapshot, RestorationError)


def test_where_a_manifest_is_damaged_the_previous_snapshot_is_used_until_it_is_received_again(
    store: SnapshotStore, tmp_path: Path
) -> None:
    commit(store, draft_of(store, b"old"))
    commit(store, draft_of(store, b"young"))
    now = store.current("minam.x")
    assert now
    path = tmp_path / "minam" / "x" / f"{now.snapshot_id}.json"
    path.write_text(path.read_text()[:100])
    last_good = store.current("minam.x")
    assert last_good
    assert last_good.snapshot_id == draft_of(store, b"old").snapshot_id
    with pytest.raises(
        CorruptSnapshot, match=now.snapshot_id
    ):  # the state at that time cannot be determined from what is left
        SnapshotStore(tmp_path, until=store.attempts("minam.x")[-1].at).current("minam.x")
    assert commit(store, draft_of(store, b"young"))
    assert store.current("minam.x") == store.manifest("minam.x", None, now.snapshot_id)


def test_what_was_withdrawn_is_no_longer_current_and_may_be_received_again(store: SnapshotStore) -> None:
    for body in (b"one", b"two"):
        commit(store, draft_of(store, body))
    second = store.current("minam.x")
    assert second
    store.withdraw("minam.x", None, "the file was taken away", second.snapshot_id)
    first = store.current("minam.x")
    assert first
    assert first.snapshot_id == draft_of(store, b"one").snapshot_id
    assert store.previous("minam.x") is None, "a withdrawn snapshot is not the previous one of any other"
    store.withdraw("minam.x", None, "all of it")
    assert store.current("minam.x") is None
    assert store.good("minam.x") == []
    assert store.is_withdrawn("minam.x")
    assert commit(store, draft_of(store, b"two"), rows=1), "there is no current snapshot that it could have shrunk from"
    assert not store.is_withdrawn("minam.x")
    assert store.current("minam.x") == second
