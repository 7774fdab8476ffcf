"""Measure the served model on the held-out text, through its HTTP API, and compare it with two baselines.

    python evaluate.py http://127.0.0.1:8030/v1

The address comes as an argument, or as LLM_URL in the environment, which a stack gives to every service that depends
on `llm`. It is never read from a file: a file would still hold the port of an earlier run. Exits with 1 when the
model is not better than the unigram baseline.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import textwrap
from collections import Counter

try:
    import httpx
except ImportError as missing:
    sys.exit(
        f"evaluate.py: {missing} in {sys.executable}; activate the environment that launchpad is installed in"
    )

from model import read_corpus

WINDOW = 1000  # characters measured in one request
OVERLAP = 16  # characters before them that serve as context; the model looks back 5
PROMPT = "'Curiouser and curiouser!' said the "


def main() -> int:
    parser = argparse.ArgumentParser(description="Measure a served character model on held-out text.")
    given = os.environ.get("LLM_URL")
    parser.add_argument(
        "base_url", nargs="?", default=given and f"{given}/v1", help="such as http://127.0.0.1:8030/v1"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the sample")
    options = parser.parse_args()
    if not options.base_url:
        parser.error("where is the server? Give its address, or set LLM_URL")

    text, held_out = read_corpus()
    # trust_env=False: a proxy that the environment names must not stand between two programs on one machine.
    with httpx.Client(base_url=options.base_url, timeout=60, trust_env=False) as client:
        try:
            return report(client, text, held_out, options.seed)
        except httpx.HTTPStatusError as error:
            sys.exit(
                f"evaluate.py: {error.request.url} answered {error.response.status_code}: {error.response.text}"
            )
        except httpx.HTTPError as error:
            sys.exit(f"evaluate.py: no answer from {options.base_url}: {error}")
        except (ValueError, KeyError, IndexError, TypeError):
            sys.exit(f"evaluate.py: what answers at {options.base_url} is not a completions server")


def report(client: httpx.Client, text: str, held_out: str, seed: int) -> int:
    """Measure, print, and say with the exit code whether the model has learnt anything."""
    name, trained = model_of(client)
    unigram = unigram_loss(text, held_out)
    served = served_loss(client, text[-OVERLAP:], held_out)
    rows = [
        ("uniform (every character alike)", math.log2(len(set(text)))),
        ("unigram (how often each occurs)", unigram),
        (f"{name} (through the server)", served),
    ]
    print(f"held-out text: {len(held_out):,} characters, served by {client.base_url}")
    print()
    print(table(rows))
    print()
    if trained is not None:
        print(f"After training it measured {trained:.4f} bits; through the server it is {served:.4f}.")
    print(f"A sample, from {PROMPT!r} on:")
    print()
    print(textwrap.indent(wrapped(PROMPT + sample(client, seed)), "    "))
    print()
    if served >= unigram:
        print("The model is not better than counting characters: something is wrong.", file=sys.stderr)
        return 1
    print(f"The model needs {1 - served / unigram:.0%} fewer bits than counting characters.")
    return 0


def model_of(client: httpx.Client) -> tuple[str, float | None]:
    """The name of the served model, and its held-out loss as training has measured it."""
    model = client.get("models").raise_for_status().json()["data"][0]
    return model["id"], model.get("meta", {}).get("held_out_loss")


def served_loss(client: httpx.Client, before: str, text: str) -> float:
    """Bits per character of the text. `echo` with `max_tokens` 0 measures the prompt and generates nothing."""
    whole, nats = before + text, 0.0
    for start in range(len(before), len(whole), WINDOW):
        prompt = whole[start - len(before) : start + WINDOW]
        body = {"prompt": prompt, "max_tokens": 0, "echo": True, "logprobs": 0}
        choice = client.post("completions", json=body).raise_for_status().json()["choices"][0]
        nats -= sum(choice["logprobs"]["token_logprobs"][len(before) :])
    return nats / len(text) / math.log(2)


def unigram_loss(text: str, held_out: str) -> float:
    """Bits per character when each is predicted by its frequency in the text, with one added to each count."""
    counts = Counter(text)
    alphabet = set(text) | set(held_out)
    total = len(text) + len(alphabet)
    return -sum(math.log2((counts[c] + 1) / total) for c in held_out) / len(held_out)


def sample(client: httpx.Client, seed: int) -> str:
    body = {"prompt": PROMPT, "max_tokens": 320, "temperature": 0.6, "seed": seed}
    text: str = client.post("completions", json=body).raise_for_status().json()["choices"][0]["text"]
    return text


def wrapped(text: str) -> str:
    return "\n".join(textwrap.fill(line, 84) for line in text.splitlines())


def table(rows: list[tuple[str, float]]) -> str:
    """Three columns of plain text: it reads the same on a terminal, in a log file, and in a mail."""
    head = f"{'predicting the next character':<33}  {'bits':>6}  {'perplexity':>10}"
    lines = [f"{name:<33}  {bits:6.3f}  {2**bits:10.2f}" for name, bits in rows]
    rule = "-" * len(head)
    return "\n".join([head, rule, *lines, rule])


if __name__ == "__main__":
    sys.exit(main())
