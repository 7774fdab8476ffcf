"""The long form of the error codes of control and hosts (E6xx), and of our own bugs (E9xx); see `codes`."""

from __future__ import annotations

from launchpad.codes_entry import Entry

CONTROL: dict[str, Entry] = {
    "E601": Entry(
        "another version of launchpad runs the stack",
        "The supervisor and this command speak different versions of the control protocol.",
        ("launchpad was upgraded while the stack ran", "two installations on this machine"),
        ("stop the stack with the version that started it, then start it again",),
    ),
    "E602": Entry(
        "the two sides do not understand each other",
        "A request or an answer on the control socket was not what it should be.",
        ("another program uses the socket", "two versions of launchpad"),
        ("`launchpad --version`", "`launchpad down`, then `launchpad up`"),
    ),
    "E603": Entry(
        "the supervisor does not answer",
        "It holds its socket and says nothing. Its services are not touched by that.",
        ("it was suspended with Ctrl-Z or SIGSTOP", "the machine is out of memory"),
        ("`fg`, or `kill -CONT PID`",),
    ),
    "E604": Entry(
        "the stack belongs to another user",
        "What a stack printed, where it stands and its control socket are for the user who started it, and for nobody else.",
        ("the stack was started with sudo", "two people run one stack file"),
        (
            "ask as the user who started it",
            "a copy of the stack file in another folder is a stack of its own",
            "`sudo chown -R $USER .launchpad` where nothing of it runs any more",
        ),
    ),
    "E605": Entry(
        "the stack runs already",
        "`launchpad run` begins with a stack that is down and leaves it down; this one is up.",
        ("an `up` in another terminal", "an earlier `up -d`"),
        ("`launchpad start JOB` runs the job in the stack that is up", "`launchpad down` first"),
    ),
    "E606": Entry(
        "a server where a job is needed",
        "`launchpad run` ends when its job is done. A server is never done.",
        ("a name under `servers:`",),
        ("`launchpad up NAME`", "move it to `jobs:` if it ends by itself"),
    ),
    "E607": Entry(
        "another launchpad holds the stack and does not answer",
        "The stack is locked by a process that cannot be reached, so starting it again could run everything twice.",
        ("it is just starting or leaving", "it was suspended with Ctrl-Z or SIGSTOP"),
        ("wait a moment and try again", "see the supervisor's log that the message names"),
    ),
    "E608": Entry(
        "the state folder cannot be written",
        "Logs, records of processes and ports are kept in `.launchpad/` beside the stack file.",
        ("a read-only folder", "a full disk", "an earlier start with sudo"),
        ("make the folder writable", "copy the stack file to a folder of your own"),
    ),
    "E611": Entry(
        "a server where a job is needed",
        "`launchpad wait` returns when jobs are done. A server is never done.",
        ("a name under `servers:`",),
        ("`launchpad start NAME` returns when a server is ready",),
    ),
    "E612": Entry(
        "a save that waits for your word",
        "It would end most of what runs, or cut it off within a line. A half-written file can look just like that.",
        ("an editor or a full disk that left half a file", "services that were taken out on purpose"),
        ("if it is meant: `launchpad reload --yes`", "`launchpad diff` shows what it would do"),
    ),
    "E613": Entry(
        "the kernel does not tell about changed files",
        "The files are looked at a few times a second instead, or watching failed. All else works.",
        ("the user's inotify watches are used up", "LAUNCHPAD_WATCH=poll in the environment"),
        ("raise `fs.inotify.max_user_watches`", "`launchpad reload` applies the file at once"),
    ),
    "E670": Entry(
        "there is no such process",
        "`up --until-exit PID` stops the stack when that process ends; there is none with that number.",
        ("it has ended already", "a number from another machine or container"),
        ("in a shell script, `--until-exit $$` is the script itself",),
    ),
    "E671": Entry(
        "nothing to export",
        "All services of the stack have profiles, and none of these is on.",
        ("`--profile` was left out",),
        ("`launchpad export FORMAT --profile P`",),
    ),
    "E672": Entry(
        "two services would have one name",
        "Compose and Kubernetes are given names in lower case, with `-` for `_`, since they are host names there.",
        ("names that differ in case, or in `-` and `_`, only",),
        ("rename one of the two",),
    ),
    # --- launchpad itself ---
    "E901": Entry(
        "launchpad itself failed",
        "A bug of launchpad, not a fault of the stack. What was running goes on.",
        ("something that nobody thought of",),
        ("report it with the file that the message names", "`launchpad ps`, `launchpad down`"),
    ),
}
