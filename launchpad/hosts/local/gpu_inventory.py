"""Which GPUs this machine has, as far as this launchpad may use them.

LAUNCHPAD_GPUS says it where nobody else can (AMD, tests, a laptop), or otherwise than it is; else NVML does. Decides what
can be had at all; refuses to know who has it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from launchpad.hosts.gpu_asked import Gpu

VARIABLE = "LAUNCHPAD_GPUS"
VISIBLE = "CUDA_VISIBLE_DEVICES"
MOST = 64
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(?:([KMGT]?)i?B?)\Z", re.IGNORECASE)
_UNITS = {"": 0, "K": 1, "M": 2, "G": 3, "T": 4}
_NAME = re.compile(r"(?:0|[1-9][0-9]{0,3}|[A-Za-z][A-Za-z0-9_.-]{0,63})\Z")


class NotUnderstood(ValueError):
    """What LAUNCHPAD_GPUS says is no list of GPUs."""


def simulated(text: str) -> tuple[Gpu, ...]:
    """`4x80GB` and `4` are numbers 0 to 3; `0:80GB,1:24GB` or `GPU-a:80GB,GPU-b:80GB` names each; `none` is none. Without a
    size their memory is not known. Raises NotUnderstood."""
    if text.strip().lower() in ("", "none"):
        return ()
    if match := re.fullmatch(r"([0-9]{1,3})(?:x(.+))?", text.strip(), re.IGNORECASE):
        found = [(str(number), match[2] or "") for number in range(int(match[1]))]
    else:
        parts = [part.strip().partition(":") for part in text.split(",")]
        found = [(name.strip(), size.strip()) for name, _, size in parts]
    names = [name for name, _ in found]
    if len(found) > MOST or len(set(names)) < len(names) or not all(map(_NAME.match, names)):
        raise NotUnderstood(text)
    numbered = all(name.isdecimal() for name in names)
    sizes = [_bytes(size) for _, size in found]
    return tuple(
        Gpu(int(name) if numbered else place, name, size, size)
        for place, (name, size) in enumerate(zip(names, sizes, strict=True))
    )


def _bytes(text: str) -> int:
    match = _SIZE.match(text)
    if text and not match:
        raise NotUnderstood(text)
    return int(float(match[1]) * 1024 ** _UNITS[match[2].upper()]) if match else 0


def visible(gpus: Sequence[Gpu], environ: Mapping[str, str]) -> tuple[Gpu, ...]:
    """Those that launchpad itself was given (by a batch system, say): by number or by the beginning of their name."""
    given = environ.get(VISIBLE)
    if given is None:
        return tuple(gpus)
    words = [word.strip() for word in given.split(",") if word.strip()]
    return tuple(gpu for gpu in gpus if any(_means(word, gpu) for word in words))


def _means(word: str, gpu: Gpu) -> bool:
    return word == str(gpu.number) or (word.startswith("GPU-") and gpu.name.startswith(word))
