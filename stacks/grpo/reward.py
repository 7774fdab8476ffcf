"""The reward server: POST /score with `completions` and `answers`, a number from 0 to 1 for each."""

import re

from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()


class Asked(BaseModel):
    completions: list[str]
    answers: list[str]


def score(completion: str, answer: str) -> float:
    """One for the right number at the end, and something for a number at all."""
    numbers = re.findall(r"-?\d+", completion)
    if not numbers:
        return 0.0
    return 1.0 if numbers[-1] == answer else 0.1


@app.get("/health")
def health() -> dict:
    return {"status": "ok"}


@app.post("/score")
def scores(asked: Asked) -> list[float]:
    return [score(*pair) for pair in zip(asked.completions, asked.answers, strict=True)]
