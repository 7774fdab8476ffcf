"""Runs the commands of a story against the core and a simulated host; says what the core did.

stack / reload      the stack from now on, one indented line for each service (`tests.sim.notation`);
                    what is new is wanted up
apply               the same as the runtime does it: ports that it needs besides are leased first, or it is refused
behave NAME …       what its processes are going to do (`launchpad.hosts.sim.Behaviour`)
run S · at T CMD    let S seconds pass · let time pass until T, then do CMD
ready, unready, sick, well, busy, still NAME       by hand, to the latest process (or `NAME#N`: of that attempt)
exit NAME CODE [LEFT]                              its main process ends, LEFT others of its tree live on; CODE ?: nobody
                     can say how
start, stop, restart, rerun NAME…                  what people ask
touch NAME…                                        files that these watch were changed
close [CODE] · kill                                the end of the stack · no more grace
lose, late, double FACT [NAME] [S]                 what happens to the next such answer (after S seconds)
lose-wish WISH [NAME]                              the next such wish is not carried out
make FOLDER S|never [REASON]     how long this environment takes, and why it cannot be made · `unmake FOLDER`
take, free LOW-HIGH · take-gpus, free-gpus LOW-HIGH            ports, and GPUs, of strangers
away · back · crash                                host lost · host back · another supervisor takes over
ps · verdict
"""

from __future__ import annotations

from msgspec import Struct, field

from launchpad.core.facts import (
    CloseAsked,
    Fact,
    GoalsSet,
    KillAsked,
    PlanApplied,
    RestartAsked,
    WatchedChanged,
)
from launchpad.core.wishes import HostWish
from launchpad.hosts.sim import Behaviour, Process
from launchpad.hosts.sim_environments import Making
from tests.sim import notation
from tests.sim.transcript import short, wish_line
from tests.sim.world import World

USUAL = Behaviour(ready_s=None, leaves_s=0.1)


class Mishaps(Struct):
    """What goes wrong next: (kind, service or "") → how; each happens once."""

    answers: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)
    wishes: dict[tuple[str, str], bool] = field(default_factory=dict)

    def answer(self, fact: Fact) -> tuple[float, ...]:
        return self.answers.pop((type(fact).__name__, getattr(fact, "service", "")), (0.0,))

    def wish(self, wish: HostWish) -> bool:
        return self.wishes.pop((type(wish).__name__, getattr(wish, "service", "")), True)


class Teller:
    """One story's world. `tell` does the commands of a block and returns what is to be seen of them."""

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.mishaps = Mishaps()
        self.world = World(lambda name, nth: self.behaviours.get(name, USUAL), self.mishaps)
        self.stack: list[str] = []
        self.rev = 0
        self.seen = 0
        self.lines: list[str] = []

    def tell(self, block: list[str]) -> list[str]:
        self.lines = []
        index = 0
        while index < len(block):
            rest = list(block[index + 1 :])
            body = rest[: next((i for i, line in enumerate(rest) if not line.startswith(" ")), len(rest))]
            self._do(block[index].split(), [line.strip() for line in body])
            index += 1 + len(body)
        return self.lines

    def _do(self, words: list[str], body: list[str]) -> None:
        command, *args = words
        if command == "at":
            self.world.run(float(args[0]))
            command, *args = args[1:]
        before = self.stack
        if body:
            self.stack = body
        if not self._act(command, args):
            self.stack = before
            self.lines.append("refused, nothing is changed")
        while self.world.inbox:
            self.world.step()
        self.world.run(self.world.now)
        self._look()
        if command in ("ps", "verdict"):
            self.lines += self._ps() if command == "ps" else [str(self.world.engine.verdict())]

    def _act(self, command: str, args: list[str]) -> bool:
        """False if it was refused."""
        world = self.world
        if command in ("stack", "reload"):
            world.step(self._plan())
        elif command == "apply":
            fact = self._plan()
            return world.apply(fact.plan, fact.goals)
        elif command == "behave":
            self.behaviours[args[0]] = notation.behaviour(["ready_s=never", "leaves_s=0.1", *args[1:]])
        elif command == "run":
            world.run(world.now + float(args[0]))
        elif command in ("start", "stop", "rerun"):
            goals = tuple((name, command != "stop") for name in args)
            world.step(GoalsSet(goals, tuple(args) if command == "rerun" else ()))
        elif command == "restart":
            world.step(RestartAsked(tuple(args)))
        elif command == "touch":
            world.step(WatchedChanged(tuple(args)))
        elif command == "close":
            world.step(CloseAsked(int(args[0]) if args else 0))
        elif command == "kill":
            world.step(KillAsked())
        elif command not in ("ps", "verdict"):
            self._to_the_host(command, args)
        return True

    def _plan(self) -> PlanApplied:
        self.rev += 1
        plan = notation.plan(self.rev, self.stack)
        units = self.world.engine.units
        new = [s.name for s in plan.services if s.name not in units or units[s.name].removed]
        return PlanApplied(plan, tuple((name, True) for name in new))

    def _to_the_host(self, command: str, args: list[str]) -> None:
        host = self.world.host
        if command in ("ready", "unready"):
            host.make_ready(args[0], command == "ready")
        elif command in ("sick", "well", "busy", "still"):
            self._change(host.current(args[0]), command)
        elif command == "exit":
            host.end(
                args[0], None if args[1] == "?" else int(args[1]), int(args[2]) if len(args) > 2 else None
            )
        elif command in ("take", "free"):
            low, _, high = args[0].partition("-")
            for number in range(int(low), int(high or low) + 1):
                host.taken[number] = "a stranger"
                if command == "free":
                    del host.taken[number]
        elif command == "make":
            takes_s = None if args[1] == "never" else float(args[1])
            host.environments.makings[args[0]] = Making(takes_s, " ".join(args[2:]))
        elif command == "unmake":
            del host.environments.made[args[0]]
        elif command in ("away", "back"):
            host.lose() if command == "away" else host.back()
        elif command in ("take-gpus", "free-gpus"):
            low, _, high = args[0].partition("-")
            for number in range(int(low), int(high or low) + 1):
                host.gpus.taken[number] = "a stranger"
                if command == "free-gpus":
                    del host.gpus.taken[number]
            if command == "free-gpus":
                host.tell_of_gpus()
        elif command == "crash":
            self._crash()
        else:
            self._mishap(command, args)

    def _change(self, process: Process, command: str) -> None:
        if command in ("sick", "well"):
            process.well = command == "well"
        else:
            process.busy = command == "busy"

    def _mishap(self, command: str, args: list[str]) -> None:
        key = (args[0], args[1] if len(args) > 1 and not args[1][0].isdigit() else "")
        if command == "lose-wish":
            self.mishaps.wishes[key] = False
        else:
            wait = float(args[-1]) if args[-1][0].isdigit() else 0.001
            self.mishaps.answers[key] = {"lose": (), "double": (0.0, wait), "late": (wait,)}[command]

    def _crash(self) -> None:
        goals = tuple((unit.name, unit.goal) for unit in self.world.engine.units.values())
        self.rev += 1
        self.world.crash(PlanApplied(notation.plan(self.rev, self.stack), goals))

    # --- what is to be seen ----------------------------------------------------------------------------

    def _look(self) -> None:
        trace = self.world.trace
        for now, _, wishes in trace[self.seen :]:
            self.lines += [f"{now:7.3f} {line}" for wish in wishes if (line := wish_line(wish)) is not None]
        self.seen = len(trace)

    def _ps(self) -> list[str]:
        found = []
        for unit in self.world.engine.units.values():
            pid = f"pid {unit.handle.pid}" if unit.handle is not None else "-"
            attempt = short(unit.attempt) if unit.attempt else "-"
            holds = "; ".join(hold.text for hold in self.world.engine.holds(self.world.now)[unit.name])
            words = (unit.name, unit.phase.value, attempt, pid, f"restarts {unit.restarts}", holds)
            found.append("  ".join(word for word in words if word))
        return found
