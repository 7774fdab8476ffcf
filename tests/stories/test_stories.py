"""Each `*.txt` here is a story: commands, a line `----`, and exactly what the core does.

`pytest tests/stories --rewrite` writes what was seen below the commands; read the difference.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stories.teller import Teller

STORIES = sorted(Path(__file__).parent.glob("*.txt"))


def told(text: str) -> str:
    """The same story with what is seen now."""
    teller = Teller()
    blocks = [_told(teller, block) for block in text.strip("\n").split("\n\n")]
    return "\n\n".join(blocks) + "\n"


def _told(teller: Teller, block: str) -> str:
    written = block.partition("\n----")[0].splitlines()
    commands = [line for line in written if not line.startswith("#")]
    if not commands:
        return "\n".join(written)
    seen = [line.rstrip() for line in teller.tell(commands)]
    return "\n".join([*written, "----", *seen])


@pytest.mark.parametrize("path", STORIES, ids=lambda path: path.stem)
def test_story(path: Path, request: pytest.FixtureRequest) -> None:
    text = path.read_text()
    now = told(text)
    if request.config.getoption("--rewrite"):
        path.write_text(now)
    else:
        assert now == text


def test_there_are_stories() -> None:
    assert len(STORIES) >= 20
