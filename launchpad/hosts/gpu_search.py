"""Which GPUs each service of a batch gets: all or none, but for those that wait.

The strictest requests choose first: those that name one, then those that want the most memory. What suits a stricter one
suits the others too, so this finds an assignment if there is one. Taking a GPU is the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct, field

from launchpad.core.facts import Refusal
from launchpad.core.model import Lease, PortRequest
from launchpad.hosts.gpu_asked import Gpu, as_written, in_words, name_of, suits

Found = dict[PortRequest, Gpu]
Take = Callable[[Gpu], bool]
NOBODY: Mapping[str, str] = {}


class Assigned(Struct):
    """`refused`, and those that are `waiting`, with all others of their service."""

    found: Found = field(default_factory=dict)
    tried: Found = field(default_factory=dict)
    """The same, and where all is refused, what would have been found."""
    refused: list[PortRequest] = field(default_factory=list)
    waiting: list[PortRequest] = field(default_factory=list)
    never: list[PortRequest] = field(default_factory=list)
    """Those of the refused that could not be had if nobody had any."""


def assign(
    requests: Sequence[PortRequest],
    gpus: Sequence[Gpu],
    take: Take,
    let_go: Callable[[Gpu], None],
    preferred: Iterable[Lease] = (),
) -> Assigned:
    """`take` says whether a GPU could be had; what was taken in vain is `let_go`. `preferred` were had before. Whoever
    does not care is given an idle one that nobody names."""
    before = {(lease.service, lease.name): lease.gpu for lease in preferred}
    named = [one for one in requests if _is_named(one)]
    gpus = sorted(gpus, key=lambda gpu: (any(suits(one, gpu) for one in named), gpu.free < gpu.memory))
    firm = [one for one in requests if not _waits(one)]
    result = Assigned()
    result.found, failed = _search(firm, gpus, take, before)
    owners = [_owner(one) for one in failed]
    result.refused = [one for one in firm if _owner(one) in owners]
    result.never = [one for one in result.refused if not _could(_all_of(one, firm), gpus)]
    for owner in dict.fromkeys(_owner(one) for one in requests if _waits(one)):
        asked = [one for one in requests if _waits(one) and _owner(one) == owner]
        if not _could(asked, gpus):
            result.refused += asked
            result.never += asked
            continue
        found, failed = _search(asked, gpus, take, before) if not result.refused else ({}, asked)
        if failed:
            _drop(found, let_go)
            result.waiting += asked
        else:
            result.found.update(found)
    result.tried = result.found
    if result.refused:
        _drop(result.found, let_go)
        result.found, result.waiting = {}, []
    return result


def _could(asked: Sequence[PortRequest], gpus: Sequence[Gpu]) -> bool:
    """If nobody had any of them."""
    return not _search(asked, [_empty(gpu) for gpu in gpus], lambda gpu: True, {})[1]


def _all_of(one: PortRequest, requests: Iterable[PortRequest]) -> list[PortRequest]:
    return [other for other in requests if _owner(other) == _owner(one)]


def refusals(
    requests: Iterable[PortRequest],
    notes: tuple[str, ...],
    *,
    unknown: bool = False,
    never: Sequence[PortRequest] = (),
    gpus: Iterable[Gpu] = (),
    owners: Mapping[str, str] = NOBODY,
) -> tuple[Refusal, ...]:
    """Each with who has what. `owners`: GPU → the service of this stack that has it."""
    listed, gpus = list(requests), list(gpus)
    return tuple(
        Refusal(
            one.service,
            one.name,
            one.low,
            one.high,
            notes,
            one.beside,
            gpus=len(_all_of(one, listed)),
            what=in_words(_all_of(one, listed)),
            written=as_written(_all_of(one, listed)),
            unknown=unknown,
            never=one in never,
            holders=tuple(owners.get(gpu.name, "") for gpu in gpus if suits(one, _empty(gpu))),
        )
        for one in listed
    )


def _search(
    requests: Sequence[PortRequest], gpus: Sequence[Gpu], take: Take, before: dict[tuple[str, str], str]
) -> tuple[Found, list[PortRequest]]:
    found: Found = {}
    failed: list[PortRequest] = []
    for one in sorted(requests, key=_strictness):
        wished = before.get((one.service, one.name))
        order = sorted(gpus, key=lambda gpu: gpu.name != wished)
        used = [gpu.name for gpu in found.values()]
        mine = (gpu for gpu in order if gpu.name not in used and suits(one, gpu) and take(gpu))
        gpu = next(mine, None)
        if gpu is None:
            failed.append(one)
        else:
            found[one] = gpu
    return found, failed


def _strictness(request: PortRequest) -> tuple[bool, int]:
    assert request.gpu is not None
    return not _is_named(request), -request.gpu.memory


def _is_named(request: PortRequest) -> bool:
    return name_of(request) != ""


def _waits(request: PortRequest) -> bool:
    return request.gpu is not None and request.gpu.wait


def _owner(request: PortRequest) -> tuple[str, bool]:
    return request.service, request.beside


def _empty(gpu: Gpu) -> Gpu:
    return Gpu(gpu.number, gpu.name, gpu.memory, gpu.memory)


def _drop(found: Found, let_go: Callable[[Gpu], None]) -> None:
    for gpu in found.values():
        let_go(gpu)
