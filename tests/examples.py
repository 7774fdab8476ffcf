"""The examples that run real software: what each is started with, and what tells that it went well.

All of them are checked by the test suite; `scripts/examples` runs them, with what they install.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Example:
    """`job` is run; it exits with 0, prints `says`, and what is in `writes` exists afterwards, relative to the stack file."""

    file: str
    job: str
    says: str
    writes: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


EXAMPLES = {
    "quickstart": Example(
        "quickstart.yaml", "evaluate", "fewer bits than counting characters", ("quickstart/checkpoint.bin",)
    ),
    "tracking-light": Example("tracking/light.yaml", "report", "tracked", ("weights.npz",)),
    "tracking": Example("tracking/stack.yaml", "report", "tracked", ("mlflow.db", "weights.npz")),
    "finetune-then-serve": Example(
        "finetune-then-serve/stack.yaml",
        "evaluate",
        "20 of 20 right",
        ("checkpoints/tuned/model.safetensors",),
    ),
    "rag": Example("rag/stack.yaml", "query", "6 of 6 answered", ("index.json",)),
    "llama": Example("llama/stack.yaml", "ask", "the same", ("tiny.gguf",)),
}
