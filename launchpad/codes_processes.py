"""The long form of the error codes about processes (E5xx)."""

from __future__ import annotations

from launchpad.codes_entry import Entry

PROCESSES: dict[str, Entry] = {
    "E501": Entry(
        "a service ended and was given up",
        "Its process ended although nobody asked it to, and its `restart` policy does not start it again, or has "
        "tried often enough. For a server even exit code 0 is a failure.",
        ("an exception: see the last lines of its log", "a lack of memory", "a wrong argument"),
        ("`launchpad logs NAME`", "run its command by hand with `launchpad env NAME`"),
    ),
    "E502": Entry(
        "a service could not be started",
        "There never was a process: the program, its folder or its output could not be opened.",
        ("the program is not on PATH", "`working_dir` is not there", "the file is not executable"),
        ("check the first word of `command`", "name its environment with `venv`"),
    ),
    "E503": Entry(
        "a service was alive but no longer healthy",
        "Its `alive` check failed more often than `failures` allows, it was restarted, and that did not help.",
        ("it hangs", "it is overloaded and answers too late"),
        ("`launchpad logs NAME`", "raise `failures`, `interval` or `probe_timeout` of `alive`"),
    ),
    "E504": Entry(
        "it is not known how a service ended",
        "It ended while no supervisor lived, and what keeps watch then could not say how: that was killed as well, or the "
        "kernel is older than 6.15. A job counts as failed and is not run again by itself, since it may have "
        "done its work; a server is started again by its `restart` policy.",
        ("launchpad and its keeper were killed together", "an old kernel"),
        ("`launchpad logs NAME` says what it did", "`launchpad start NAME` runs it again"),
    ),
    "E505": Entry(
        "output cannot be written",
        "A sink could not be written: nothing is lost, the run's log has everything, and the sink goes on where it was. Or "
        "the disk under the run's own logs is full: what is printed then is lost. Neither holds a service up.",
        ("the disk is full", "the folder is read-only or gone", "nobody reads a named pipe"),
        ("make room, or mend the path", "see `launchpad logs NAME` meanwhile"),
    ),
    "E506": Entry(
        "a service was not replaced",
        "It has `on_change: replace`, it changed, and the new process that was started beside it failed: it ended, was "
        "not ready in time, could not be started or got no port. The old process was not touched and runs on with its old "
        "definition. A replacement is tried once for each change.",
        ("a mistake in the change", "not enough memory for two at once", "no second port is free"),
        ("mend the file: the next change is tried again", "`launchpad restart NAME` stops the old one first"),
    ),
    "E508": Entry(
        "an environment could not be made",
        "A service has `requirements`, and the installer (uv, or venv and pip) ended with an error: its last lines are shown. "
        "What is half made counts for nothing, and is made from the beginning the next time.",
        ("a requirement that does not exist, or contradicts another one", "no network", "a full disk"),
        ("mend the requirements: a save is tried at once", "`launchpad restart NAME` tries it again"),
    ),
    "E509": Entry(
        "a service failed in a known way",
        "A warning. Its process ended, is to be started again, and the last lines of its output are those of a known trap: of the "
        "recipe that it uses, or of whatever has a port. If GPU memory was missing, the message says who held it at that moment.",
        ("too little GPU memory", "a model that cannot be fetched", "a port that is taken"),
        ("follow the hint", "`launchpad recipes NAME` lists the traps of a recipe"),
    ),
}
