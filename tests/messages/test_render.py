"""How diagnostics are drawn: places, arrows, evidence, and what terminals must not act upon."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from launchpad.errors import Diagnostic, Label, Span
from launchpad.views.diagnostics import render, shortened, to_json

FILE = "stacks/rag.yaml"
LINES = """\
servers:
  embedder:
    command: embed
    port: auto

    depends_on: [index]
  index:
    command: index
    depends_on: [embedder]
""".splitlines()


def at(line: int, column: int, length: int, text: str = "", file: str = FILE) -> Label:
    return Label(Span(file, line, column, line, column + length), text)


def draw(one: Diagnostic, lines: list[str] | None = LINES, **options: int) -> str:
    return render([one], color=False, read=lambda file: lines, **options)


def test_two_places_and_notes() -> None:
    one = Diagnostic(
        "E201",
        "services wait for each other, so none can start",
        labels=(at(6, 18, 5, "embedder waits for index"), at(9, 18, 8, "index waits for embedder")),
        notes=("embedder -> index -> embedder",),
        consequence="nothing was started",
        hint="drop one of them",
    )
    assert draw(one) == (
        "error[E201]: services wait for each other, so none can start\n"
        "  --> stacks/rag.yaml:6:18\n"
        "   |\n"
        " 6 |     depends_on: [index]\n"
        "   |                  ^^^^^ embedder waits for index\n"
        "...\n"
        " 9 |     depends_on: [embedder]\n"
        "   |                  -------- index waits for embedder\n"
        "   |\n"
        "   = embedder -> index -> embedder\n"
        "   = nothing was started\n"
        "hint: drop one of them\n"
    )


def test_no_source_to_show() -> None:
    one = Diagnostic(
        "E301",
        "no free port",
        labels=(at(6, 11, 9),),
        notes=("8000  taken",),
        consequence="nothing was started",
    )
    assert draw(one, None) == (
        "error[E301]: no free port\n  --> stacks/rag.yaml:6:11\n   = 8000  taken\n   = nothing was started\n"
    )
    assert draw(one, LINES[:2]) == draw(one, None), "the file is shorter by now"


def test_no_place_and_log_lines() -> None:
    one = Diagnostic(
        "E501",
        "`train` crashed",
        severity="warning",
        notes=("killed by SIGKILL", "before: exit 1"),
        log=("step 1840  loss 2.113", "x" * 300, "y" * 3000),
        consequence="not started: `eval`",
    )
    lines = draw(one, width=80).splitlines()
    assert lines[0] == "warning[E501]: `train` crashed"
    assert lines[1:4] == ["   = killed by SIGKILL", "   = before: exit 1", "   |   step 1840  loss 2.113"]
    assert lines[4] == f"   |   {'x' * 300}", "its end is what matters: a terminal wraps it"
    assert lines[5] == f"   |   {'y' * 399}…"
    assert lines[6] == "   = not started: `eval`"


def test_labels_on_one_line() -> None:
    line = ["a: {http: /, tcp: 1}"]
    both = draw(Diagnostic("E119", "two", labels=(at(1, 14, 3, "second"), at(1, 5, 4, "first"))), line)
    assert both.splitlines()[3:] == [
        " 1 | a: {http: /, tcp: 1}",
        "   |     ----     ^^^ second",
        "   |     first",
    ]
    over = draw(Diagnostic("E119", "two", labels=(at(1, 4, 17, "all"), at(1, 5, 4, "part"))), line)
    assert over.splitlines()[4:] == ["   |    ^^^^^^^^^^^^^^^^^ all", "   |     ---- part"]


def test_adjacent_lines_are_not_separated() -> None:
    text = draw(Diagnostic("E103", "twice", labels=(at(3, 5, 7), at(2, 3, 8))))
    assert "..." not in text


def test_two_files() -> None:
    one = Diagnostic(
        "E103", "twice", labels=(at(2, 3, 8, "here"), at(1, 1, 7, "there", "stacks/rag.local.yaml"))
    )
    lines = draw(one).splitlines()
    assert "  --> stacks/rag.yaml:2:3" in lines
    assert "  ::: stacks/rag.local.yaml:1:1" in lines


def test_wide_characters_and_tabs() -> None:
    lines = ["\tnäme: 漢字 bad"]
    drawn = draw(Diagnostic("E107", "x", labels=(at(1, 11, 3),)), lines).splitlines()
    assert drawn[3] == " 1 |     näme: 漢字 bad"
    assert drawn[4] == "   |                ^^^", "four for the tab, two for each wide character"


def test_line_numbers_make_room() -> None:
    drawn = draw(Diagnostic("E107", "x", labels=(at(1234, 1, 1),)), [""] * 1233 + ["abc"]).splitlines()
    assert drawn[1:] == ["    --> stacks/rag.yaml:1234:1", "     |", "1234 | abc", "     | ^"]


@pytest.mark.parametrize("column", [1, 50, 500, 995, 1000])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_long_lines_are_cut_around_the_arrow(column: int, width: int) -> None:
    line = "".join(chr(ord("a") + index % 26) for index in range(1000))
    drawn = draw(Diagnostic("E107", "x", labels=(at(1, column, 1),)), [line], width=width).splitlines()
    assert all(len(one) <= width for one in drawn)
    assert drawn[3][drawn[4].index("^")] == line[column - 1]


def test_a_label_over_many_lines_and_past_the_end() -> None:
    many = Diagnostic("E122", "x", labels=(Label(Span(FILE, 1, 1, 9, 5)),))
    assert draw(many).splitlines()[4] == "   | ^^^^^^^^"
    past = Diagnostic("E101", "x", labels=(at(5, 1, 1),))
    assert draw(past).splitlines()[3:] == [" 5 |", "   | ^"]


def test_terminals_are_not_driven() -> None:
    evil = "a\x1b[31mb\x07\u202ec\r\nd"
    one = Diagnostic("E107", evil, labels=(at(1, 1, 1, evil),), notes=(evil,), log=(evil,), hint=evil)
    text = draw(one, [evil])
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202e]", text)


def test_colour_adds_only_colour() -> None:
    one = Diagnostic("E201", "x", labels=(at(6, 18, 5, "a"), at(9, 18, 8, "b")), notes=("n",), hint="h")
    coloured = render([one], color=True, read=lambda file: LINES)
    assert "\x1b[" in coloured
    assert re.sub("\x1b\\[[0-9;]*m", "", coloured) == draw(one)
    assert "\x1b" not in draw(one)


def test_several_and_none() -> None:
    one = Diagnostic("E107", "x")
    assert render([one, one], color=False) == "error[E107]: x\n\nerror[E107]: x\n"
    assert render([], color=False) == ""


def test_reads_the_file_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "stack.yaml"
    file.write_bytes("\ufeffa: é\r\nb: 1\r\n".encode())
    one = Diagnostic("E107", "x", labels=(Label(Span(str(file), 2, 4, 2, 5)),))
    assert render([one], color=False).splitlines()[1:] == [
        "  --> stack.yaml:2:4",
        "   |",
        " 2 | b: 1",
        "   |    ^",
    ]
    assert to_json(one)["file"] == "stack.yaml"
    assert shortened("/a") == "/a"


def test_json_of_one_without_a_place() -> None:
    data = to_json(Diagnostic("E123", "m", hint=""))
    assert (data["file"], data["line"], data["column"], data["hint"]) == (None, None, None, None)
