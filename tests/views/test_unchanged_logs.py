"""A log in which nothing happened is not read again, and one in which something did always is."""

from __future__ import annotations

from pathlib import Path

from launchpad.views import lines
from launchpad.views.lines import Follower
from tests.views.samples import FileSpool


class Counting(FileSpool):
    reads = 0

    def read_from(self, offset: int, limit: int) -> tuple[bytes, int]:
        type(self).reads += 1
        return super().read_from(offset, limit)


def test_only_what_grew_is_read(tmp_path: Path) -> None:
    text: list[str] = []
    follower = Follower(text.append, color=False, open_spool=Counting)
    logs = [tmp_path / f"s{number}.log" for number in range(50)]
    for log in logs:
        log.write_text("")
        follower.add(log.stem, log, 0)
    follower.pump()
    Counting.reads = 0
    for round in range(10):
        with open(logs[7], "a") as one:
            one.write(f"line {round}\n")
        follower.pump()
    assert "".join(text).count("line") == 10
    assert Counting.reads <= 11, "one for each line, and one that finds that there is no more"


def test_what_one_look_did_not_get_the_next_one_does(tmp_path: Path) -> None:
    """Although nothing has changed since: a look takes a piece, or ends where an earlier part of a log ends."""
    log = tmp_path / "llm.log"
    log.write_bytes(b"first\nsecond\nthird\n")

    class Parts(FileSpool):
        def read_from(self, offset: int, limit: int) -> tuple[bytes, int]:
            data, _ = super().read_from(offset, limit)
            data = data[: data.find(b"\n") + 1]
            return data, offset + len(data)

    text: list[str] = []
    follower = Follower(text.append, color=False, open_spool=Parts)
    follower.add("llm", log, 0)
    for _ in range(3):
        follower.pump()
    assert "".join(text) == "llm │ first\nllm │ second\nllm │ third\n"


def test_a_log_that_is_written_while_it_is_read_is_read_again(tmp_path: Path) -> None:
    log = tmp_path / "llm.log"
    log.write_bytes(b"one\n")

    class Late(FileSpool):
        late = [b"", b"two\n"]

        def read_from(self, offset: int, limit: int) -> tuple[bytes, int]:
            found = super().read_from(offset, limit)
            with open(self.path, "ab") as more:
                more.write(self.late.pop(0) if self.late else b"")
            return found

    text: list[str] = []
    follower = Follower(text.append, color=False, open_spool=Late)
    follower.add("llm", log, 0)
    for _ in range(3):
        follower.pump()
    assert "".join(text) == "llm │ one\nllm │ two\n"


def test_a_log_that_is_another_one_is_read(tmp_path: Path) -> None:
    log, other = tmp_path / "llm.log", tmp_path / "other"
    log.write_bytes(b"one\n")
    before = lines._mark(log)
    other.write_bytes(b"two\n")
    other.replace(log)
    assert before is not None
    assert lines._mark(log) != before
    log.unlink()
    assert lines._mark(log) is None
