"""The place on which a console draws, on a real file."""

from __future__ import annotations

from pathlib import Path

from rich.text import Text

from launchpad.views.surface import Surface


def test_the_cursor_is_never_hidden(tmp_path: Path) -> None:
    """Ctrl-Z and SIGKILL leave a terminal as it is at that moment."""
    with (tmp_path / "terminal").open("w+") as terminal:
        surface = Surface(tty=True, color=False, out=terminal, err=terminal)
        surface.show_block(Text("grpo is starting"))
        surface.output("a line\n")
        surface.hide_block()
        written = (tmp_path / "terminal").read_text()
    assert "grpo is starting" in written
    assert "\x1b[?25" not in written
