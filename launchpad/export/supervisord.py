"""A configuration of supervisord, made from honcho's template.

Decides what is said beyond the template: it stops everything with SIGQUIT, restarts everything always, and has one folder for
all, so those lines are replaced.
"""

from __future__ import annotations

import configparser
import io
import re
import shlex
import signal

from launchpad.core.model import Condition, Kind, Service
from launchpad.export.source import Exported, Source
from launchpad.plan.read import Reading

CARRIED = frozenset(
    ("command", "shell", "port", "ports", "host", "restart", "stop_signal", "stop_grace",
     "environment", "working_dir", "venv", "profiles", "env_file"),
)  # fmt: skip
LOST = {
    "depends_on": "supervisord starts in an order (`priority`), and waits for nobody",
    "ready": "supervisord knows only whether a process runs",
    "alive": "supervisord knows only whether a process runs",
    "output": "output is in `NAME.log` beside the configuration",
    "max_restarts": "supervisord gives up starts only (`startretries`), not what ended later",
    "retries": "supervisord gives up starts only (`startretries`), not what ended later",
    "primary": "the stack does not end with it",
    "backoff": "supervisord waits a second longer after each attempt",
    "window": "supervisord counts the attempts in a row",
    "watch": "nobody watches files there",
    "on_change": "`supervisorctl update` restarts what has changed",
    "handover": "ports are not held for a service there",
    "inherit_env": "a program has supervisord's own environment",
    "gpus": "nobody shares out GPUs there; set CUDA_VISIBLE_DEVICES in `environment`",
}
_POLICY = {"never": "false", "on-failure": "unexpected", "always": "true"}
_SIGNALS = ("TERM", "HUP", "INT", "QUIT", "KILL", "USR1", "USR2")

_HEAD = """\
[supervisord]
nodaemon=true
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid

[unix_http_server]
file=%(here)s/supervisor.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://%(here)s/supervisor.sock

"""


def export(reading: Reading) -> Exported:
    """One file; `supervisord -c FILE` runs it."""
    source = Source(reading, "supervisord", CARRIED, LOST)
    for one in source.services:
        for need in one.needs:
            if need.condition is Condition.DONE:
                source.leave(one.name, "depends_on", f"it starts at once, not when `{need.on}` is done")
    app = re.sub(r"\W", "-", source.name) or "stack"
    return Exported({f"{app}.conf": _adjusted(source, app, _rendered(source, app))}, source.said())


def _rendered(source: Source, app: str) -> str:
    """What honcho's template makes of it."""
    from honcho.environ import ProcessParams
    from honcho.export.supervisord import Export

    processes = [ProcessParams(one.name, _script(source, one), False, {}) for one in source.services]
    context = {"app": app, "shell": "/bin/sh", "log": "%(here)s", "user": "", "app_root": "."}
    (file,) = Export().render(processes, context)
    return str(file.content)


def _script(source: Source, one: Service) -> str:
    """What the shell is given, for between the quotes of the template. Env files are read by it, since supervisord
    reads none; variables are set by it, since supervisord's own list takes no quotes in values."""
    lines = []
    if source.env_files(one):
        source.leave(
            one.name, "env_file", "the shell reads the file there: a value with a blank needs quotes in it"
        )
    for path, required in source.env_files(one):
        read = f"set -a; . {shlex.quote(path)}; set +a"
        lines.append(read if required else f"if [ -e {shlex.quote(path)} ]; then {read}; fi")
    for name, value in source.environment(one, source.here).items():
        lines.append(f"export {name}={_word(value)}")
    lines.append("exec " + " ".join(_word(word) for word in source.command(one, source.here)))
    return "; ".join(lines).replace("'", "'\"'\"'")


def _word(text: str) -> str:
    """A word for the shell. supervisord takes what follows a blank and `;` or `#` for a comment, also within quotes."""
    quoted = shlex.quote(text.replace("\n", " "))
    return re.sub(r"(?<=\s)(?=[;#])", "''", quoted)


def _adjusted(source: Source, app: str, text: str) -> str:
    config = configparser.RawConfigParser(delimiters=("=",), strict=True)
    config.optionxform = str  # type: ignore[assignment, method-assign]
    config.read_string(text)
    for index, one in enumerate(source.services):
        section = "program:" + re.sub(r"\W", "-", one.name)
        for key in ("user", "environment", "stderr_logfile"):
            config.remove_option(section, key)
        job = one.kind is Kind.JOB
        values = {
            "directory": one.working_dir.replace("%", "%%"),
            "priority": str(10 * (index + 1)),
            "autorestart": _POLICY[one.restart.policy],
            "startretries": str(one.restart.max_restarts if one.restart.policy != "never" else 0),
            "startsecs": "0" if job else "1",
            "stopsignal": _signal(source, one),
            "stopwaitsecs": f"{max(1, round(one.stop.grace_s))}",
            "stopasgroup": "false",
            "killasgroup": "true",
            "redirect_stderr": "true",
        }
        for key, value in values.items():
            config.set(section, key, value)
    out = io.StringIO()
    out.write(_HEAD)
    config.write(out, space_around_delimiters=False)
    return out.getvalue().rstrip("\n") + "\n"


def _signal(source: Source, one: Service) -> str:
    name = signal.Signals(one.stop.signal).name.removeprefix("SIG")
    if name in _SIGNALS:
        return name
    source.leave(one.name, "stop_signal", "supervisord does not know this signal; it is TERM")
    return "TERM"
