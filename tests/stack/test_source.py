"""Strict YAML: what values are, where they stand, and both of PyYAML's parsers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from launchpad.stack import source
from launchpad.stack.nodes import Map, Scalar, resolve, span_at, walk


def read(folder: Path, text: str) -> Map:
    file = folder / "stack.yaml"
    file.write_text(text)
    result = source.read(file)
    assert result.problems == []
    assert result.root is not None
    return result.root


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("FALSE", False),
        ("on", "on"),
        ("yes", "yes"),
        ("n", "n"),
        ("~", None),
        ("", None),
        ("null", None),
        ("8000", 8000),
        ("-7", -7),
        ("0", 0),
        ("0755", "0755"),
        ("0o17", 15),
        ("0x1F", 31),
        ("8000:10", "8000:10"),
        ("1_000", "1_000"),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("007.5", "007.5"),
        ("2026-11-22", "2026-11-22"),
        ("9" * 5000, "9" * 5000),
        (".inf", float("inf")),
    ],
)
def test_plain_scalars_are_yaml_1_2(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_places_of_keys_values_and_items(tmp_path: Path) -> None:
    root = read(
        tmp_path, "servers:\n  llm:\n    command: [a, 'b c']\n    env:\n      X: |\n        one\n    port:\n"
    )
    assert str(span_at(root, ["servers", "llm", "command", 1])).endswith(":3:18")
    assert str(span_at(root, ["servers", "llm", "env", "X"])).endswith(":5:10")
    assert str(span_at(root, ["servers", "llm", "port"])).endswith(":7:5"), "an empty value: its key"
    assert str(span_at(root, ["servers", "llm", "nothing", "there"])).endswith(":3:5"), "the nearest above"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("a: x ${V}\n", "1:6"),
        ("a: 'it''s ${V}'\n", "1:11"),
        ('a: "tab\\t ${V}"\n', "1:11"),
        ("a: |\n  one\n    two ${V}\n", "3:9"),
        ("a: >-  # ${NO}\n  one\n  two ${V}\n", "3:7"),
        ("a: one\n  two\n  ${V}\n", "3:3"),
        ('a: "one\n  two ${V}"\n', "2:7"),
        ("a: é漢 ${V}\n", "1:7"),
        ("a: one\r\n  ${V}\r\n", "2:3"),
        ('a: "\\x24{V} ${V}"\n', "1:4"),
    ],
)
def test_place_within_a_scalar(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "stack.yaml"
    file.write_bytes(text.encode())
    root = source.read(file).root
    assert root is not None
    node = root.get("a")
    assert isinstance(node, Scalar)
    span = node.place(node.text.rindex("${"), 4)
    assert f"{span.line}:{span.column}" == place


def test_aliases_and_merge_keys(tmp_path: Path) -> None:
    root = read(
        tmp_path,
        "x-a: &a {k: 1, l: 1}\nx-b: &b {l: 2, m: 2}\none:\n  <<: [*a, *b]\n  k: 0\ntwo: *a\nthree: {'<<': 5}\n",
    )
    one = root.get("one")
    assert isinstance(one, Map)
    values = {key: entry.value.value for key, entry in one.entries.items()}  # type: ignore[union-attr]
    assert values == {"k": 0, "l": 1, "m": 2}
    assert walk(root, ["two", "k"])[0].value == 1  # type: ignore[union-attr]
    three = root.get("three")
    assert isinstance(three, Map)
    assert list(three.entries) == ["<<"], "a quoted key means itself"


def test_tags_of_the_core_schema_are_fine(tmp_path: Path) -> None:
    root = read(tmp_path, "a: !!str 8000\nb: !!int 7\nc: !!map {x: 1}\n")
    assert [root.get(key).value for key in "ab"] == ["8000", 7]  # type: ignore[union-attr]


BROKEN = [
    "a: [b\n",
    "a: 'b\n",
    "a:\n\tb: c\n",
    "a: b: c\n",
    "a: *x\n",
    "a: @b\n",
    "- a\nb: c\n",
    "a: {b\n",
    "a: !!python/name:os.system x\n",
    "a: 1\n---\nb: 2\n",
    "a: &b [*b]\n",
    "%YAML 3.0\n---\na\n",
    "a: |\n x\n  y\n z\n w: [\n",
    'a: "\\q"\n',
]


@pytest.mark.parametrize("text", BROKEN)
@pytest.mark.parametrize("loader", ["CSafeLoader", "SafeLoader"])
def test_both_parsers_end_in_diagnostics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, loader: str
) -> None:
    monkeypatch.setattr(source, "_LOADER", getattr(yaml, loader))
    file = tmp_path / "stack.yaml"
    file.write_text(text)
    result = source.read(file)
    if result.root is None:
        assert result.problems
    assert all(problem.labels for problem in result.problems)


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        (problem,) = source.read(path).problems
        assert problem.code == "E101"


def test_depth_cannot_exhaust_the_stack(tmp_path: Path) -> None:
    for opening in ("[", "{a: ", "- ", "? "):
        file = tmp_path / "stack.yaml"
        file.write_text("x: " + opening * 20_000)
        assert source.read(file).problems


def test_five_thousand_services_are_a_stack_file(tmp_path: Path) -> None:
    lines = "".join(
        f"  s{n}: {{command: x, depends_on: [a, b], environment: {{A: 1}}}}\n" for n in range(5000)
    )
    assert len(read(tmp_path, f"servers:\n{lines}").entries) == 1


@pytest.mark.parametrize("more", ["", "  # größer, 🚀"])
@pytest.mark.parametrize("sign", [*"\x00\x07\x0b\x1f\x7f", "\x84", "\x9f", "\uffff", "\ufffe"])
def test_what_cannot_be_printed_is_no_text(tmp_path: Path, sign: str, more: str) -> None:
    file = tmp_path / "stack.yaml"
    file.write_text(f"servers:{more}\n  llm: {{command: a{sign}b}}\n")
    (problem,) = source.read(file).problems
    assert f"U+{ord(sign):04X}" in problem.message
    assert str(problem.labels[0].span).endswith(":2:19")


@pytest.mark.parametrize("signs", ["\t ~", "\x85", "\xa0ÿ", "→퟿", "\ue000", "\uff00�", "𐀀🚀"])
def test_what_can_be_is(tmp_path: Path, signs: str) -> None:
    root = read(tmp_path, f"servers:  # {signs}\n  llm: {{command: x}}\n")
    assert isinstance(root.get("servers"), Map)
