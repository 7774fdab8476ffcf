"""A file that is rotated, in a flood: what it would have deleted again is not copied."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from launchpad.core.model import Sink
from launchpad.hosts.local import sinks
from launchpad.hosts.local.sinks_file import FileTarget
from launchpad.hosts.local.spool import Spools
from tests.local.test_sinks import caught_up, numbered, paths, until, whole, write

FLOOD = numbered(1000, 30_000)
EARLY = numbered(0, 1000)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How much is written to files, a number for each write."""
    written: list[int] = []
    append = FileTarget._append

    def counting(self: FileTarget, data: bytes) -> int:
        written.append(append(self, data))
        return written[-1]

    monkeypatch.setattr(FileTarget, "_append", counting)
    return written


async def early_and_flood(spools: Spools, *wanted: Sink) -> None:
    spools.route("llm", wanted)
    write(spools, "llm", EARLY)
    await caught_up(spools, "llm")
    write(spools, "llm", FLOOD)


def test_only_what_is_kept_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = counted(monkeypatch)

    async def run() -> None:
        spools = Spools(paths(tmp_path))
        await early_and_flood(spools, Sink("file", "a.log", rotate=60_000, keep=2))
        await caught_up(spools, "llm")
        assert [(sink.skipped, sink.problem) for sink in spools.sinks("llm")] == [(0, "")]
        await spools.close()

    asyncio.run(run())
    assert sum(written) <= len(EARLY) + 180_000
    kept = whole(tmp_path / "a.log")
    assert FLOOD.endswith(kept)
    assert len(kept) > 119_000
    parts = sorted(tmp_path.glob("a.log*"))
    assert [part.name for part in parts] == ["a.log", "a.log.1", "a.log.2"]
    assert all(part.read_bytes().startswith(b"line ") for part in parts)


@pytest.mark.parametrize(
    ("rotate", "kept"),
    [(0, 256 << 20), (60_000, 179_999)],
    ids=["it deletes nothing", "it holds more than the log"],
)
def test_what_it_holds_longer_than_the_log_is_copied_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rotate: int, kept: int
) -> None:
    written = counted(monkeypatch)

    async def run() -> None:
        spools = Spools(paths(tmp_path))
        spools.route("llm", (wanted := Sink("file", "a.log", rotate=rotate, keep=2),))
        spools._sinks["llm"][("file", "a.log")].kept = kept
        await early_and_flood(spools, wanted)
        await caught_up(spools, "llm")
        await spools.close()

    asyncio.run(run())
    assert sum(written) == len(EARLY + FLOOD)
    assert (EARLY + FLOOD).endswith(whole(tmp_path / "a.log"))


def test_services_that_share_a_file_leave_nothing_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = counted(monkeypatch)

    async def run() -> None:
        spools = Spools(paths(tmp_path))
        shared = Sink("file", "a.log", rotate=60_000, keep=2)
        spools.route("other", (shared,))
        await early_and_flood(spools, shared)
        await caught_up(spools, "llm")
        await spools.close()

    asyncio.run(run())
    assert sum(written) == len(EARLY + FLOOD)


@pytest.mark.parametrize("goes_on", [True, False], ids=["it goes on", "it is over"])
def test_it_rests_while_it_floods_and_no_file_has_a_gap_inside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, goes_on: bool
) -> None:
    monkeypatch.setattr(sinks, "RAW_BLOCK", 4096)
    monkeypatch.setattr(sinks.Raw, "block", 100_000)
    monkeypatch.setattr(sinks, "_ROUND", 100_000)
    monkeypatch.setattr(sinks, "_REST_S", 1000.0)
    new, append = tmp_path / "a.log", FileTarget._append

    def printing(self: FileTarget, data: bytes) -> int:
        """Whenever much is copied, more is printed."""
        if goes_on and len(data) == 100_000:
            write(spools, "llm", FLOOD[: len(FLOOD) // 2])
        return append(self, data)

    async def run() -> None:
        nonlocal spools
        spools = Spools(paths(tmp_path))
        monkeypatch.setattr(FileTarget, "_append", printing)
        await early_and_flood(spools, Sink("file", "a.log", rotate=300_000, keep=1))
        (runner,) = spools._sinks["llm"].values()
        if goes_on:
            await until(lambda: runner._retry is not None, "it to rest")
            piece = new.read_bytes()
            assert len(piece) == 100_000
            assert piece in FLOOD
            assert piece.startswith(b"line ")
            assert Path(f"{new}.1").read_bytes() == EARLY
            monkeypatch.setattr(FileTarget, "_append", append)
        else:
            await caught_up(spools, "llm")
        await spools.close()

    spools: Spools
    asyncio.run(run())
    printed = FLOOD + FLOOD[: len(FLOOD) // 2] if goes_on else FLOOD
    assert printed.endswith(whole(new))
    assert len(whole(new)) > 299_000


def test_one_that_is_let_go_in_a_flood_ends_where_it_was_told(tmp_path: Path) -> None:
    async def run() -> None:
        spools = Spools(paths(tmp_path))
        await early_and_flood(spools, Sink("file", "a.log", rotate=60_000, keep=2))
        spools.route("llm", ())
        write(spools, "llm", b"more\n" * 50_000)
        await until(lambda: not spools._leaving, "it to be gone")
        await spools.close()

    asyncio.run(run())
    assert FLOOD.endswith(whole(tmp_path / "a.log"))
