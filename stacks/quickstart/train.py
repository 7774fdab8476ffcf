"""Train the model on corpus.txt and write a checkpoint. Pure Python on one core: about ten seconds.

python train.py --steps 400 --seed 1
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

from model import CHECKPOINT, ORDER, Model, Trainer, read_corpus

STEP = 1000  # characters
RATE = 0.6


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a character model on corpus.txt.")
    parser.add_argument("--steps", type=int, default=400, help=f"of {STEP} characters each (default: 400)")
    parser.add_argument("--seed", type=int, default=1, help="decides the order in which the text is read")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT, help="where to write it")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error("--steps must be at least 1")

    text, held_out = read_corpus()
    print(f"training on {len(text):,} characters, {len(held_out):,} held out; seed {options.seed}")
    model = train(text, held_out, options.steps, options.seed)
    loss = held_out_loss(model, text, held_out)
    facts = {"held_out_loss": loss, "steps": options.steps, "seed": options.seed, "check": held_out[:500]}
    model.save(options.checkpoint, {**facts, "check_loss": model.loss(held_out[:500])})
    print(f"held-out loss {loss:.4f} bits per character; wrote {options.checkpoint}")


def train(text: str, held_out: str, steps: int, seed: int) -> Model:
    """A model trained for so many steps. The same text, steps and seed give the same weights, bit by bit."""
    model = Model.for_text(text)
    trainer = Trainer(model)
    chance = random.Random(seed)
    pieces: list[int] = []
    started, losses = time.monotonic(), []
    for step in range(1, steps + 1):
        if not pieces:  # a new pass over the text, in a new order
            pieces = list(range(0, len(text) - STEP, STEP)) or [0]
            chance.shuffle(pieces)
        start = pieces.pop()
        rate = RATE * (1.05 - step / steps)  # falls to a twentieth
        losses.append(trainer.learn(text, start, min(start + STEP, len(text)), rate))
        if step % max(1, steps // 10) == 0 or step == steps:
            loss, seconds = sum(losses) / len(losses), time.monotonic() - started
            print(
                f"step {step:4}/{steps}  loss {loss:.3f} bits per character"
                f"  held-out {held_out_loss(model, text, held_out):.3f}  {step * STEP / seconds:7,.0f} characters/s"
            )
            losses.clear()
    return model


def held_out_loss(model: Model, text: str, held_out: str) -> float:
    """Bits per character of the text that training does not see, read on from where the training text ends."""
    return model.loss(text[-ORDER:] + held_out, start=ORDER)


if __name__ == "__main__":
    main()
