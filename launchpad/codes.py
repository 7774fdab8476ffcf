"""The long form of every error code, for `launchpad explain`.

Decides how a kind of problem is explained. A diagnostic says what happened this time; this says what such a
problem means at all. Every code that appears in the program is here, and no other.
"""

from __future__ import annotations

from launchpad.codes_control import CONTROL
from launchpad.codes_entry import Entry
from launchpad.codes_processes import PROCESSES

CODES: dict[str, Entry] = {
    # --- the file ---
    "E101": Entry(
        "the stack file cannot be read",
        "The file is missing, is no text, or has nothing in it, so there is nothing to start.",
        ("a wrong path", "an editor that was just saving it", "a binary or UTF-16 file"),
        ("look at the path in the message", "save the file as UTF-8", "`launchpad init` writes a first one"),
    ),
    "E102": Entry(
        "the file is not YAML",
        "The text breaks YAML's own rules, so launchpad cannot tell what was meant from there on.",
        ("indentation with tabs", "a missing space after a colon", "a value with `: ` or `#` without quotes"),
        ("put quotes around the value at the arrow", "indent with spaces, two for each level"),
    ),
    "E103": Entry(
        "a key is given twice",
        "YAML readers silently take one of two equal keys, usually the last. launchpad refuses instead.",
        ("a copied block whose name was not changed", "a merge of two edits"),
        ("keep one of the two places that the message names",),
    ),
    "E104": Entry(
        "the file is larger than any stack file",
        "Too many values, too deep, or aliases and variables that make each other grow without end.",
        ("the wrong file was named", "an anchor that contains itself", "a variable used often in others"),
        ("check the path", "write the repeated part once, under `defaults`"),
    ),
    "E105": Entry(
        "YAML that a stack file does not use",
        "Tags, several documents in one file, and keys that are not text have no meaning in a stack.",
        ("a `---` in the middle of the file", "a tag such as `!!python/object`", "a list or map as a key"),
        ("leave it out; one stack is one document of plain values",),
    ),
    "E106": Entry(
        "an unknown key",
        "Nothing in a stack file is called that, so it would have no effect. Unknown keys are refused, because "
        "a typo that is passed over is found hours later.",
        ("a typo", "a key of another tool", "a key at the wrong level"),
        ("take the name that the hint proposes", "keys of your own begin with `x-`"),
    ),
    "E107": Entry(
        "a value of the wrong kind",
        "The key is right, and what stands there cannot be used for it.",
        (
            "text where a number is needed",
            "a word that is not one of the allowed ones",
            "a list for one value",
        ),
        (
            "compare with the allowed values in the message",
            "`launchpad schema` lists every key and its values",
        ),
    ),
    "E108": Entry(
        "something is missing",
        "A part without which the rest cannot work is not there, such as the `command` of a service.",
        ("a block that was begun and not finished", "wrong indentation: the key belongs to another block"),
        ("add the key that the message names",),
    ),
    "E110": Entry(
        "a `${…}` that cannot be read",
        "Something begins like a variable or a reference and does not follow the grammar of either.",
        ("a missing `}`", "a `$` that is meant for a shell"),
        (
            "write `$$` for a plain dollar",
            "variables: `${NAME}`, `${NAME:-default}`; references: `${llm.url}`",
        ),
    ),
    "E111": Entry(
        "a variable is not set",
        "The file uses a variable of the environment that is neither set nor given a default.",
        ("a `.env` that is not there", "a typo in the name", "a shell without the variable"),
        ("export it, or put it into a file named by `env_file`", "give it a default: `${NAME:-value}`"),
    ),
    "E112": Entry(
        "a reference to something that is not there",
        "A `${name.part}` names a service, port or variable that the stack does not have.",
        ("a renamed service", "a port that the service does not declare", "`vars.` forgotten before a name"),
        ("take the name that the hint proposes", "declare the port: `port: 8000-8099`"),
    ),
    "E113": Entry(
        "variables that are made of each other",
        "A variable under `vars` needs another one, and that one needs the first, so neither has a value.",
        ("two variables that refer to each other",),
        ("give one of them a value of its own",),
    ),
    "E114": Entry(
        "a name that cannot be used",
        "Names of servers and jobs share one namespace, begin with a letter, and go on with letters, digits, "
        "`_` and `-`. `self`, `stack` and `vars` mean something else.",
        ("a server and a job of the same name", "a space or a dot in a name"),
        ("choose another name",),
    ),
    "E115": Entry(
        "a port that cannot be read",
        "A port is a number from 1 to 65535, a range such as `8000-8099`, or `auto`.",
        ("a range that ends before it begins", "`8000:8000`, which other tools take for a mapping"),
        ("write `port: 8000`, `port: 8000-8099` or `port: auto`",),
    ),
    "E116": Entry(
        "a duration or size that cannot be read",
        "Durations have a unit: `500ms`, `30s`, `5m`, `2h`. Sizes too: `64KB`, `50MB`, `2GB`.",
        ("a bare number", "two units in one value"),
        ("add the unit",),
    ),
    "E117": Entry(
        "a command that cannot be run",
        "The command is empty, cannot be split into words, or uses what only a shell understands.",
        ("an unclosed quote", "`|`, `&&` or `>` without `shell: true`"),
        ("write it as a list of words", "add `shell: true` if a shell is meant to read it"),
    ),
    "E118": Entry(
        "an env file that cannot be used",
        "A file named by `env_file` is missing, or one of its lines is not `NAME=value`.",
        ("the file was never created on this machine", "a line of a shell script"),
        ("create it, often from a `.env.example`", "mark it: `{path: .env, required: false}`"),
    ),
    "E119": Entry(
        "a check that cannot be understood",
        "`ready` or `alive` does not say one thing that can be looked at: `http`, `tcp`, `exec`, `log`, `file` or "
        "`notify`.",
        (
            "two kinds in one check",
            "a path without a port to ask on",
            "a pattern that is no regular expression",
        ),
        ("keep one kind", "give the service a `port`, or write the whole URL"),
    ),
    "E120": Entry(
        "a host that is no literal address",
        "launchpad hands out one literal address, because a name can mean two: `localhost` is 127.0.0.1 and ::1.",
        ("`host: localhost`",),
        ("`host: 127.0.0.1`; `0.0.0.0` to be reached from other machines",),
    ),
    "E121": Entry(
        "a virtual environment that cannot be used",
        "`venv` names a folder without a Python environment in it, so the command would run with another one. Or, with "
        "`requirements`, it names something that is there and that launchpad did not make: that is never altered.",
        ("the environment was not made on this machine", "a path that is not relative to the stack file"),
        ("make it: `python -m venv PATH`", "correct the path", "say what is in it: `requirements: …`"),
    ),
    "E122": Entry(
        "a stack without services",
        "The file has neither a server nor a job.",
        ("everything is commented out", "`services:` instead of `servers:`"),
        ("add one under `servers:` or `jobs:`; `launchpad init` shows how",),
    ),
    "E123": Entry(
        "an option that does not fit the file",
        "Something on the command line names what the stack does not have.",
        (
            "`--set` with a variable that is not under `vars`",
            "`--profile` with a profile that no service has",
            "`launchpad scale` with a service that has no `replicas`",
        ),
        ("take a name from the message",),
    ),
    "E124": Entry(
        "two keys that exclude each other",
        "Both say something about the same matter, and only one of them can be followed.",
        ("`port` beside `ports: {main: …}`", "`retries` beside `restart`"),
        ("leave one of the two out",),
    ),
    "E125": Entry(
        "allowed, but probably not meant",
        "A warning. The stack is used as it is written; what it says often leads to a surprise.",
        ("a port range in which other programs get their ports", "a key that has no effect here"),
        ("follow the hint, or leave it if it is meant",),
    ),
    "E126": Entry(
        "files or services that are made of each other",
        "A file that is included includes the first one again, or a service extends one that extends it, so there is no "
        "telling what either of them is.",
        ("two files that each need something of the other", "`extends` in both of two services"),
        (
            "put what both need into a third file and include that",
            "move common keys into `x-base` and extend that in both",
        ),
    ),
    "E127": Entry(
        "requirements that cannot be read",
        "`requirements` names a file, or has a line `-r FILE`, and that file is not there or cannot be read.",
        ("a path that is not relative to the stack file", "a line of requirements where a path is wanted"),
        ("correct the path", "write lines as a list: `requirements: [uvicorn, torch]`"),
    ),
    "E128": Entry(
        "no such Python",
        "`python` asks for an interpreter that is not on this machine: it was looked for on PATH, among pyenv's versions, "
        "and it is not the one that runs launchpad.",
        ("another machine than the stack was written on", "a path that is not relative to the stack file"),
        ("install `uv`: it gets any version by itself", "install that Python", "leave `python` out"),
    ),
    "E129": Entry(
        "no recipe of that name",
        "`uses` names a recipe, and there is none of that name in `recipes/` beside the stack file, nor among those that come "
        "with launchpad.",
        ("a typo", "a team's recipe that was not checked out", "a recipe of a newer launchpad"),
        ("`launchpad recipes` lists them", "write `command`, `port` and `ready` yourself"),
    ),
    "E170": Entry(
        "a file that cannot be imported",
        "`launchpad import` reads Procfiles (lines of `name: command`) and compose files (YAML with `services`).",
        ("another kind of file", "a Procfile whose name ends in .yaml", "indented lines in a Procfile"),
        ("name the right file", "write the stack file by hand: `launchpad init`"),
    ),
    "E171": Entry(
        "nothing in the file can run here",
        "Every service of the compose file runs what is inside its image. launchpad runs programs of this machine.",
        ("services without `command`", "commands that are only arguments for an image's program"),
        ("give the services a `command`, and import the file again",),
    ),
    "E190": Entry(
        "no stack file was found",
        "No file was named, and neither this folder nor one above it has a stack.yaml or launchpad.yaml.",
        ("the wrong working folder", "a file with another name"),
        ("name it: `launchpad up path/to/file.yaml`", "`launchpad init` writes a first one"),
    ),
    "E191": Entry(
        "the stack file that was named is not there",
        "There is no such file, and no state of a stack that was started from it.",
        ("a typo in the path", "a path relative to another folder"),
        ("check the path",),
    ),
    "E192": Entry(
        "a file is there already",
        "`launchpad init`, `import` and `export` do not write over files.",
        ("the command was run before",),
        (
            "name another file: `launchpad init other.yaml`, or `-o` another place",
            "`init --force` writes over it",
        ),
    ),
    "E193": Entry(
        "a file cannot be written",
        "The folder is missing or may not be written.",
        ("missing rights", "a full disk", "a folder that does not exist"),
        ("choose another place",),
    ),
    "E194": Entry(
        "the current folder was deleted",
        "The folder in which the command was given is no longer there, so nobody can say which stack file is nearest.",
        ("it was removed, or made anew by a checkout, from another terminal",),
        ("`cd` to it again", "name the stack file by its whole path"),
    ),
    # --- the graph ---
    "E201": Entry(
        "services wait for each other",
        "Each of them starts when another one is up, in a circle, so none could ever start.",
        ("a dependency in both directions", "a service that only has to run beside the other"),
        ("drop one of them", "`depends_on: {other: started}` where it only has to run"),
    ),
    "E202": Entry(
        "a dependency that is not in the stack",
        "`depends_on` names what is neither a server nor a job of this stack.",
        ("a typo", "a service that was renamed or taken out"),
        ("take the name that the hint proposes",),
    ),
    "E203": Entry(
        "a service that waits for itself",
        "It could only start after it is up.",
        ("a copied `depends_on`",),
        ("take its own name out of `depends_on`",),
    ),
    "E204": Entry(
        "a server is never done",
        "`done` is for jobs. A server runs until it is stopped, so waiting for its end would never end.",
        ("a job under `servers:`", "`done` where `ready` is meant"),
        ("wait for `ready` or `started`", "move it to `jobs:` if it ends by itself"),
    ),
    "E205": Entry(
        "no service of that name",
        "The stack has no server or job that is called that.",
        ("a typo", "another stack file than was meant"),
        ("take a name from the message", "`launchpad graph` shows what there is"),
    ),
    "E206": Entry(
        "a check that needs a port",
        "A path or `tcp` is asked on the main port of the service, and it has none.",
        ("a missing `port`", "only named ports under `ports`"),
        ("add `port: 8000-8099`", "write the whole URL, with its port"),
    ),
    # --- ports ---
    "E301": Entry(
        "no free port",
        "All ports that a service may take are in use. A stack gets all its ports or none, so nothing was started.",
        ("the same stack runs from another folder", "a program of an earlier session still holds it"),
        ("widen the range", "end what holds it: the message names it", "`launchpad ps` of the other stack"),
    ),
    "E303": Entry(
        "a service does not share its port",
        "A warning. launchpad keeps a port until the program listens, and this program cannot bind beside that: it sets no SO_REUSEADDR, "
        "or looks first whether the port is free. It was started again at once, with the port let go of just before. No restart was counted.",
        (
            "Python's `socketserver`, or `socket` used by hand",
            "a program that looks for a free port by itself",
        ),
        (
            "`handover: release` says so from the start",
            "let it set SO_REUSEADDR: then nobody else can come in between",
        ),
    ),
    "E310": Entry(
        "two services ask for the same port",
        "Both want exactly one number, and it is the same one, so only one of them could have it.",
        ("a copied block",),
        ("give one of them another number", "use ranges: `port: 8000-8099`"),
    ),
    "E311": Entry(
        "a port range that others use too",
        "A warning. The kernel, or Ray, takes ports from this range for itself, so one may be gone by chance.",
        ("a range above 32767", "a range within Ray's 10002-19999"),
        ("take a range below 10000, such as `8000-8099`",),
    ),
    "E312": Entry(
        "no second port for a replacement",
        "With `on_change: replace` a new process is started beside the old one, on another number of the same range, so "
        "each port needs two numbers that no other port of the service takes.",
        ("a single number such as `port: 8030`", "two ports that share a range of fewer than four numbers"),
        ("write a range: `port: 8030-8039`", "`on_change: restart`"),
    ),
    # --- GPUs ---
    "E320": Entry(
        "not enough free GPUs",
        "Each GPU is with one service at a time, of whatever stack and user. A stack gets all its ports and GPUs or none, so "
        "nothing was started. The message says who has which.",
        (
            "another stack has them",
            "the services of this stack ask for more than there are",
            "somebody uses their memory",
        ),
        (
            "`launchpad ps` of the other stack",
            "`gpus: {count: 1, wait: true}` starts it once they are free; not where servers of the same stack have them, which "
            "do not end by themselves: ask for fewer there",
        ),
    ),
    "E321": Entry(
        "nobody can say which GPUs there are",
        "A service asks for GPUs. launchpad asks NVIDIA's driver (NVML) for them, and there is none that answers.",
        ("no driver, or none in this container", "GPUs of another maker"),
        ("say it: `export LAUNCHPAD_GPUS=2x80GB`", "`nvidia-smi -L` has to work where launchpad runs"),
    ),
    "E322": Entry(
        "two services ask for the same GPU",
        "Both name it, and a GPU is with one service at a time.",
        ("a copied block",),
        ("give a count instead: `gpus: 1`", "`wait: true` for one that comes after the other"),
    ),
    # --- readiness ---
    "E401": Entry(
        "a service did not become ready",
        "The process lives, and its readiness check has not passed: for too long without any sign of life "
        "(`stall`), or longer than `timeout` allows.",
        ("it still loads a model", "the check asks for another path or port", "it hangs"),
        ("look at what was seen, and at the last lines of its log", "raise `timeout`", "correct `ready`"),
    ),
    "E402": Entry(
        "a service listens, but not where it is asked",
        "Its own processes listen on another address or port than the one that was handed out.",
        ("a fixed port in its command", "`localhost` that became ::1", "a default host of the program"),
        ("pass the address on: `--host ${self.host} --port ${self.port}`",),
    ),
    "E403": Entry(
        "another program answers in its place",
        "Something that does not belong to the service listens at its address. An answer from it is not readiness.",
        ("a program of an earlier session on a fixed port", "a container that publishes this port"),
        ("end the program that the message names", "use a range: `port: 8000-8099`"),
    ),
    "E404": Entry(
        "the stack was not up in time",
        "`--timeout` was over before every server was ready and every job started.",
        ("a model that loads longer than thought", "a service that waits for one that never comes"),
        ("raise `--timeout`", "see what each service waits for in the message"),
    ),
    **PROCESSES,
    **CONTROL,
}
