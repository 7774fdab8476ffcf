"""P7 from outside: save the file, only what changed restarts; a bad save changes nothing. Every way to save."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Make
from tests.e2e.harness import Stack, eventually, fire

STACK = """\
# three servers
servers:
  a: {command: PRETEND --name a, port: auto}
  b:
    command: PRETEND --name b
    port: auto
    env_file: [b.env]
  c:
    command: PRETEND --name c
    port: auto
    environment: {MARK: "0"}
  d: {command: PRETEND --name d, depends_on: [a]}
"""


def live(make_stack: Make, text: str = STACK, *args: str) -> Stack:
    stack = make_stack(text)
    (stack.folder / "b.env").write_text("B=1\n")
    stack.start("up", *args)
    stack.wait_up()
    return stack


def pids(stack: Stack) -> dict[str, int | None]:
    return {view.name: view.pid for view in stack.client.status().services}


def reloads(stack: Stack) -> list[str]:
    """The journal's lines about the file."""
    found = [json.loads(line) for line in (stack.folder / ".launchpad/stack.yaml/events.jsonl").open()]
    return [event["text"] for event in found if event["what"] == "plan" and not event["service"]]


def restarted(stack: Stack, before: dict[str, int | None], *names: str) -> None:
    """Exactly these get another process; the others keep theirs."""
    stack.wait_for(
        lambda s: (
            s.phase == "up"
            and all(v.pid not in (None, before[v.name]) for v in s.services if v.name in names)
        )
    )
    now = pids(stack)
    assert {name: pid for name, pid in now.items() if name not in names} == {
        name: pid for name, pid in before.items() if name not in names
    }


def edited(stack: Stack) -> str:
    text = stack.file.read_text()
    old = int(text.split('MARK: "')[1].split('"')[0])
    return text.replace(f'MARK: "{old}"', f'MARK: "{old + 1}"')


def have(program: str) -> str:
    path = shutil.which(program)
    if path is None:
        pytest.skip(f"no {program} on this machine")
    return path


def run(stack: Stack, *command: str, **more: Any) -> None:
    done = subprocess.run(
        command, cwd=stack.folder, check=False, capture_output=True, timeout=60, text=True, **more
    )
    assert done.returncode == 0, done.stdout + done.stderr


def vim(*settings: str) -> Any:
    def save(stack: Stack) -> None:
        have("vim")
        sets = [part for setting in settings for part in ("-c", f"set {setting}")]
        edit = r"%s/MARK: \"\zs\d\+/\=submatch(0)+1/"
        done = subprocess.run(
            ["vim", "-N", "-u", "NONE", "-n" if "noswapfile" in settings else "-N", "-es", *sets, "-c", edit,
             "-c", "wq", "stack.yaml"],
            cwd=stack.folder, stdin=subprocess.DEVNULL, capture_output=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done

    return save


def nano(stack: Stack) -> None:
    """Its keys, through a terminal: go to the end, a line, save, leave."""
    import pty

    path = have("nano")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(stack.folder)
        os.environ["TERM"] = "xterm"
        os.execv(path, [path, "--ignorercfiles", "stack.yaml"])
    text = stack.file.read_text()
    seen = b""
    while b"stack.yaml" not in seen:
        seen += os.read(terminal, 4096)
    old = text.split('MARK: "')[1].split('"')[0]
    keys = b"\x1c" + f'MARK: "{old}"'.encode() + b"\r" + f'MARK: "{int(old) + 1}"'.encode() + b"\r" + b"A"
    reader = threading.Thread(target=_drain, args=(terminal,), daemon=True)
    reader.start()
    os.write(terminal, keys)
    os.write(terminal, b"\x0f\r")
    eventually(lambda: stack.file.read_text() != text, "nano has saved")
    os.write(terminal, b"\x18")
    os.waitpid(pid, 0)


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 4096):
            pass
    except OSError:
        pass


def emacs(stack: Stack) -> None:
    new = edited(stack)
    script = f'(progn (find-file "stack.yaml") (erase-buffer) (insert {json.dumps(new)}) (save-buffer))'
    run(stack, have("emacs"), "--batch", "-Q", "--eval", script)


def ed(stack: Stack) -> None:
    number = edited(stack).split('MARK: "')[1].split('"')[0]
    run(stack, have("ed"), "-s", "stack.yaml", input=f'/MARK/s/"[0-9]*"/"{number}"/\nw\nq\n')


def sed(stack: Stack) -> None:
    number = edited(stack).split('MARK: "')[1].split('"')[0]
    run(stack, have("sed"), "-i", f's/MARK: "[0-9]*"/MARK: "{number}"/', "stack.yaml")


def git_checkout(stack: Stack) -> None:
    have("git")

    def git(*args: str) -> None:
        run(stack, "git", "-c", "user.name=t", "-c", "user.email=t@example.org", *args)

    new = edited(stack)
    if not (stack.folder / ".git").exists():
        git("init", "-q", "-b", "one")
    git("add", "stack.yaml", "b.env")
    git("commit", "-qm", "one", "--allow-empty")
    old_index = (stack.folder / "stack.yaml").read_text()
    git("checkout", "-q", "--orphan", "two")
    blob = subprocess.run(
        ["git", "hash-object", "-w", "--stdin"], cwd=stack.folder, input=new, text=True, capture_output=True, check=True
    ).stdout.strip()  # fmt: skip
    git("update-index", "--cacheinfo", f"100644,{blob},stack.yaml")
    git("commit", "-qm", "two")
    assert stack.file.read_text() == old_index
    git("checkout", "-q", "-f", "two")
    assert stack.file.read_text() == new


def cp(stack: Stack) -> None:
    (stack.folder / "new").write_text(edited(stack))
    run(stack, "cp", "new", "stack.yaml")


def mv(stack: Stack) -> None:
    (stack.folder / "new").write_text(edited(stack))
    run(stack, "mv", "new", "stack.yaml")


def in_place(stack: Stack) -> None:
    stack.file.write_text(edited(stack))


def in_pieces(stack: Stack) -> None:
    """Truncates, then writes in ten pieces over half a second, with the file open."""
    _pieces(stack, close=False)


def in_closed_pieces(stack: Stack) -> None:
    """Likewise, but opens and closes it for each piece; a comment at the top makes no piece a beginning of what ran."""
    _pieces(stack, close=True)


def _pieces(stack: Stack, *, close: bool) -> None:
    new = edited(stack)
    if close:
        new = new.replace("# three", "# still three", 1)
    size = len(new) // 10 + 1
    pause = threading.Event()
    stream = stack.file.open("w")
    for at in range(0, len(new), size):
        stream.write(new[at : at + size])
        stream.flush()
        if close:
            stream.close()
            stream = stack.file.open("a")
        pause.wait(0.05)
    stream.close()


def gone_for_a_moment(stack: Stack) -> None:
    """Deleted, and written anew a little later."""
    new = edited(stack)
    stack.file.unlink()
    threading.Event().wait(0.15)
    stack.file.write_text(new)


def folder_replaced(stack: Stack) -> None:
    """Another folder takes the place of the one in which the stack lies."""
    other = stack.folder.with_name(f"{stack.folder.name}.new")
    shutil.copytree(stack.folder, other, ignore=shutil.ignore_patterns("*.sock"))
    (other / "stack.yaml").write_text(edited(stack))
    stack.folder.rename(stack.folder.with_name(f"{stack.folder.name}.{other.stat().st_ino}"))
    other.rename(stack.folder)


SAVES = {
    "in place": in_place,
    "in pieces": in_pieces,
    "in closed pieces": in_closed_pieces,
    "cp": cp,
    "mv": mv,
    "gone for a moment": gone_for_a_moment,
    "sed -i": sed,
    "ed": ed,
    "git checkout": git_checkout,
    "vim": vim(),
    "vim backupcopy=yes": vim("backup", "backupcopy=yes"),
    "vim backupcopy=no": vim("backup", "backupcopy=no"),
    "vim backupcopy=auto nowritebackup": vim("nowritebackup", "backupcopy=auto"),
    "vim writebackup": vim("writebackup", "backupcopy=no"),
    "nano": nano,
    "emacs": emacs,
}


@pytest.mark.heavy
def test_every_way_to_save(make_stack: Make) -> None:
    """One reload each, of the one service that changed."""
    stack = live(make_stack)
    skipped = []
    for way, save in SAVES.items():
        before, said = pids(stack), reloads(stack)
        try:
            save(stack)
        except pytest.skip.Exception:
            skipped.append(way)
            continue
        try:
            restarted(stack, before, "c")
        except AssertionError as error:
            raise AssertionError(f"{way}: {reloads(stack)}") from error
        settle(stack)
        news = reloads(stack)[len(said) :]
        assert len(news) == 1, f"{way}: {news}"
        assert "restart c" in news[0], f"{way}: {news}"
        assert "keep 3 services" in news[0], f"{way}: {news}"
    print("skipped:", skipped)
    assert not stack.client.status().stale
    stack.down()


def settle(stack: Stack) -> None:
    """Until whatever was to be done about what is on disk is done: `diff` finds nothing, and asks the file itself."""
    eventually(
        lambda: all(e.verb == "keep" for e in stack.client.diff().effects), "what is on disk is what runs"
    )


def test_a_folder_takes_the_place_of_another(make_stack: Make) -> None:
    stack = live(make_stack)
    before = pids(stack)
    folder_replaced(stack)
    restarted(stack, before, "c")
    before = pids(stack)
    in_place(stack)
    restarted(stack, before, "c")
    stack.cli("down", check=0)


def test_a_link_is_led_elsewhere(make_stack: Make) -> None:
    """`stack.yaml` is a link to a link, as deployments do it."""
    stack = make_stack(STACK)
    (stack.folder / "b.env").write_text("B=1\n")
    for number in (1, 2):
        (stack.folder / f"v{number}").mkdir()
    stack.file.rename(stack.folder / "v1" / "stack.yaml")
    (stack.folder / "current").symlink_to("v1")
    stack.file.symlink_to("current/stack.yaml")
    stack.start("up")
    stack.wait_up()
    before = pids(stack)
    (stack.folder / "v2" / "stack.yaml").write_text(edited(stack))
    (stack.folder / "next").symlink_to("v2")
    (stack.folder / "next").replace(stack.folder / "current")
    restarted(stack, before, "c")
    before = pids(stack)
    in_place(stack)
    restarted(stack, before, "c")
    stack.down()


def test_env_file_and_local_file(make_stack: Make) -> None:
    """Only the user of an env file restarts; the local file counts from the moment in which it appears."""
    stack = live(make_stack)
    before = pids(stack)
    (stack.folder / "b.env").write_text("B=2\n")
    restarted(stack, before, "b")
    before = pids(stack)
    local = stack.folder / "stack.local.yaml"
    local.write_text("servers: {a: {environment: {X: y}}}\n")
    restarted(stack, before, "a")
    before = pids(stack)
    local.unlink()
    restarted(stack, before, "a")
    before = pids(stack)
    (stack.folder / "b.env").unlink()
    stack.wait_for(lambda s: bool(s.stale) and [d.code for d in s.diagnostics] == ["E118"])
    (stack.folder / "b.env").write_text("B=3\n")
    restarted(stack, before, "b")
    stack.down()


def test_an_env_file_that_appears(make_stack: Make) -> None:
    """One that may be missing, and one whose absence makes the file wrong."""
    stack = live(
        make_stack, STACK.replace("env_file: [b.env]", "env_file: [{path: b2.env, required: false}]")
    )
    before = pids(stack)
    (stack.folder / "b2.env").write_text("B=2\n")
    restarted(stack, before, "b")
    before = pids(stack)
    stack.file.write_text(stack.file.read_text().replace("b2.env, required: false", "conf/b3.env"))
    stack.wait_for(lambda s: [d.code for d in s.diagnostics] == ["E118"])
    (stack.folder / "conf").mkdir()
    (stack.folder / "conf/b3.env").write_text("B=3\n")
    restarted(stack, before, "b")
    stack.down()


def test_in_the_background_and_by_name(make_stack: Make) -> None:
    """`up -d` of some: a save does not start the others, and the name of one that is gone does no harm."""
    stack = make_stack(STACK)
    (stack.folder / "b.env").write_text("B=1\n")
    stack.up("b", "c", "d")
    stack.cli("stop", "b", check=0)
    before = pids(stack)
    text = edited(stack).replace("  a: {", "  e: {command: PRETEND --name e}\n  a: {")
    stack.write(text)
    stack.wait_for(lambda s: len(s.services) == 5 and s.phase == "up")
    restarted(stack, {**before, "e": None}, "c")
    assert pids(stack)["e"] is None
    assert pids(stack)["b"] is None
    before = pids(stack)
    start = text.index("  c:\n")
    stack.write((text[:start] + text[text.index("  d: {") :]).replace("--name d", "--name dd"))
    stack.wait_for(lambda s: len(s.services) == 4 and s.phase == "up")
    restarted(stack, {name: pid for name, pid in before.items() if name != "c"}, "d")
    stack.down()


def test_run_is_not_reloaded(make_stack: Make) -> None:
    """What CI runs is what was there when it began."""
    stack = make_stack(
        STACK + "jobs:\n  j: {command: PRETEND --name j --exit 0 --exit-when go, depends_on: [c]}\n"
    )
    (stack.folder / "b.env").write_text("B=1\n")
    go = stack.pipe("go")
    process = stack.start("run", "j")
    stack.wait_state("j", "ready", "starting")
    before = pids(stack)
    stack.file.write_text(edited(stack))
    stack.cli("ps", check=0)
    assert pids(stack) == before
    fire(go)
    assert process.wait(60) == 0
    assert not reloads(stack)


def test_bad_save_is_shown_and_the_next_good_one_applies(make_stack: Make) -> None:
    stack = live(make_stack)
    before, good = pids(stack), stack.file.read_text()
    stack.file.write_text(good.replace("depends_on: [a]", "depends_on: [aa]"))
    bad = stack.wait_for(lambda s: bool(s.stale))
    assert [d.code for d in bad.diagnostics] == ["E202"]
    shown = stack.cli("ps", check=0)
    assert "cannot be applied" in shown.stdout + shown.stderr
    assert pids(stack) == before
    eventually(lambda: "error[E202]" in stack.output(), "the console shows it")
    assert "nothing was changed" in stack.output()
    events = stack.events()
    assert [e["text"][:4] for e in events if e["what"] == "problem" and not e["service"]] == ["E202"]
    assert stack.cli("diff").returncode == 2
    assert stack.cli("reload").returncode == 2
    stack.file.write_text(edited(stack).replace("[aa]", "[a]"))
    restarted(stack, before, "c")
    assert not stack.client.status().stale
    eventually(lambda: "stack.yaml was applied" in stack.output(), "the console says so")
    assert "restart c" in stack.output()
    stack.down()


def test_diff_and_reload(make_stack: Make) -> None:
    """`--no-watch`: nothing happens by itself; `diff` says what `reload` then does."""
    stack = live(make_stack, STACK, "--no-watch")
    before = pids(stack)
    assert "nothing to do" in stack.cli("diff", check=0).stderr
    stack.file.write_text(edited(stack))
    lines = stack.cli("diff", check=0).stdout.splitlines()
    assert lines[0].startswith("restart c: ")
    assert lines[-1] == "keep 3 services"
    assert stack.cli("up", "--dry-run", check=0).stdout.splitlines() == lines
    effects = json.loads(stack.cli("diff", "--json", check=0).stdout)
    assert json.loads(stack.cli("up", "--dry-run", "--json", check=0).stdout) == effects
    assert stack.cli("up", "--json").returncode == 2
    assert {one["service"]: one["verb"] for one in effects} == {
        "a": "keep", "b": "keep", "c": "restart", "d": "keep",
    }  # fmt: skip
    assert next(one for one in effects if one["service"] == "c")["because"]
    assert pids(stack) == before
    assert stack.cli("reload", check=0).stderr.splitlines() == lines
    restarted(stack, before, "c")
    stack.down()
    assert stack.cli("reload").returncode == 1
    assert stack.cli("diff").returncode == 1
    starts = json.loads(stack.cli("up", "--dry-run", "--json", check=0).stdout)
    assert {one["verb"] for one in starts} == {"start"}


def test_most_of_it_gone_is_held(make_stack: Make) -> None:
    stack = live(make_stack)
    before = pids(stack)
    lines = stack.file.read_text().splitlines(True)
    stack.file.write_text("# less\n" + "".join(lines[1:3]))
    held = stack.wait_for(lambda s: bool(s.stale))
    assert [d.code for d in held.diagnostics] == ["E612"]
    assert pids(stack) == before
    refused = stack.cli("reload")
    assert refused.returncode == 2
    assert "launchpad reload --yes" in refused.stderr
    assert stack.cli("up", "-d").returncode == 2
    assert pids(stack) == before
    stack.cli("reload", "--yes", check=0)
    stack.wait_for(lambda s: {v.name for v in s.services} == {"a"})
    assert pids(stack) == {"a": before["a"]}
    stack.down()


@pytest.mark.parametrize("name", ["LAUNCHPAD_WATCH", "WATCHFILES_FORCE_POLLING"])
def test_without_file_events(make_stack: Make, name: str) -> None:
    stack = make_stack(STACK)
    (stack.folder / "b.env").write_text("B=1\n")
    stack.environ[name] = {"LAUNCHPAD_WATCH": "poll"}.get(name, "1")
    stack.start("up")
    stack.wait_up()
    for save in (in_place, mv, in_pieces):
        before = pids(stack)
        save(stack)
        restarted(stack, before, "c")
    eventually(lambda: "E613" in stack.output(), "it says so")
    assert stack.output().count("warning[E613]") == 1
    stack.down()


WATCHED = """\
servers:
  a: {command: PRETEND --name a, watch: ["src/**/*.py", conf]}
  b: {command: PRETEND --name b, watch: ["data/*.txt"]}
  c: {command: PRETEND --name c}
"""


def test_watched_files(make_stack: Make) -> None:
    """Those of a service restart that service; what nobody means by it does nothing."""
    stack = make_stack(WATCHED)
    for folder in ("src/deep", "src/.git", "src/__pycache__", "data"):
        (stack.folder / folder).mkdir(parents=True)
    (stack.folder / "src/deep/x.py").write_text("1")
    stack.start("up")
    stack.wait_up()
    first = pids(stack)
    eventually(lambda: is_watched(stack, "src/deep"), "it is watched")

    def change(path: str, *names: str) -> None:
        before = pids(stack)
        (stack.folder / path).parent.mkdir(exist_ok=True, parents=True)
        (stack.folder / path).write_text("changed")
        restarted(stack, before, *names)

    change("src/deep/x.py", "a")
    for harmless in (
        "src/.git/x.py",
        "src/__pycache__/x.py",
        "src/x.pyc",
        "src/.x.py.swp",
        "data/x.csv",
        "x.py",
    ):
        (stack.folder / harmless).write_text("changed")
    change("src/new.py", "a")
    change("src/new/deeper/y.py", "a")
    eventually(lambda: is_watched(stack, "src/new/deeper"), "new folders are watched")
    change("src/new/deeper/y.py", "a")
    change("data/one.txt", "b")
    change("conf/x.toml", "a")
    (stack.folder / "src/deep/x.py").unlink()
    before = pids(stack)
    restarted(stack, before, "a")
    assert pids(stack)["c"] == first["c"]
    attempts = {v.name: v.attempt & 0xFFFFFFFF for v in stack.client.status().services}
    assert (
        len([e for e in stack.events() if e["service"] == "a" and e["text"].startswith("started, pid")]) == 7
    )
    assert (
        len([e for e in stack.events() if e["service"] == "b" and e["text"].startswith("started, pid")]) == 2
    )
    assert max(attempts.values()) == 3 + 7, "nothing else was started"
    stack.down()


def is_watched(stack: Stack, folder: str) -> bool:
    """Whether the supervisor has an inotify watch on it, as the kernel tells."""
    inode = f"ino:{(stack.folder / folder).stat().st_ino:x} "
    supervisor = Path(f"/proc/{stack.client.status().pid}")
    for info in (supervisor / "fdinfo").iterdir():
        try:
            if any(inode in line for line in info.read_text().splitlines() if line.startswith("inotify")):
                return True
        except OSError:
            continue
    return False


def test_a_service_that_writes_what_it_watches(make_stack: Make) -> None:
    """It does not go round for ever."""
    stack = make_stack("""
        servers:
          a: {command: PRETEND --name a --touch own.txt --mark own.mark, watch: ["own.*"]}
          b: {command: PRETEND --name b}
    """)
    stack.start("up")
    stack.wait_up()
    eventually(lambda: is_watched(stack, "."), "it is watched")
    (stack.folder / "own.txt").write_text("changed")
    stack.wait_for(lambda s: any(h.kind == "watch" for v in s.services for h in v.holds))
    count = len([e for e in stack.events() if e["service"] == "a" and e["text"].startswith("started, pid")])
    assert count <= 15
    stack.down()


def test_a_save_before_anybody_watches(make_stack: Make) -> None:
    """Between reading the file and watching it nothing is lost."""
    stack = make_stack(STACK)
    (stack.folder / "b.env").write_text("B=1\n")
    stack.start("up")
    new = edited(stack)
    eventually(
        lambda: (stack.folder / ".launchpad/stack.yaml/events.jsonl").exists(), "the file has been read"
    )
    stack.file.write_text(new)
    stack.wait_for(lambda s: s.phase == "up")
    eventually(lambda: environment(pids(stack)["c"]).get("MARK") == "1", "the new definition runs")
    stack.down()


def environment(pid: int | None) -> dict[str, str]:
    try:
        raw = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(part.split("=", 1) for part in raw.split("\0") if "=" in part)
