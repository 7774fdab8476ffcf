"""A small language model over characters, in pure Python. train.py teaches it, serve.py serves it.

It predicts the next character from the last five. Each of the last 0, 1, … 5 characters, taken together, is a
*context*; a context is hashed, and points to its weights in one flat table. To predict, the model walks down a binary
tree from the root to a character. At each node it adds up the node's weight of every context and squashes the sum into
the probability of turning left: a logistic regression at each node. The product of the turns is the probability of
the character, so the probabilities of all characters add up to one by construction. The tree is a Huffman tree, where
frequent characters are near the root, so that a character costs five small regressions instead of one large softmax.

In the literature: a log-linear n-gram model with feature hashing and a hierarchical softmax, trained with AdaGrad.
"""

from __future__ import annotations

import heapq
import json
import math
import os
import random
import sys
from array import array
from collections import Counter
from pathlib import Path
from zlib import crc32

ORDER = 5
TABLE = 1 << 20  # weights; a power of two, so that a mask brings a hash into range
NODE_STRIDE = 40503  # spreads the nodes of one context over the table; odd, so that none coincide
HELD_OUT = 10_000  # characters at the end of the corpus, which training never sees
UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # stands for every character that the corpus does not have

CORPUS = Path(__file__).with_name("corpus.txt")
CHECKPOINT = Path(__file__).with_name("checkpoint.bin")

Turns = tuple[tuple[int, float], ...]
"""The way from the root to a character: at which node, and 1.0 for left or 0.0 for right."""


def read_corpus() -> tuple[str, str]:
    """The text to learn from, and the held-out text to be measured on."""
    text = CORPUS.read_text(encoding="utf-8")
    return text[:-HELD_OUT], text[-HELD_OUT:]


def huffman_tree(counts: dict[str, int]) -> dict[str, Turns]:
    """The way to each character: the more frequent, the shorter."""
    heap: list[tuple[int, int, list[str]]] = [(n, i, [c]) for i, (c, n) in enumerate(sorted(counts.items()))]
    heapq.heapify(heap)
    ways: dict[str, Turns] = dict.fromkeys(counts, ())
    for node in range(len(counts) - 1):  # join the two rarest groups under a new node, until one is left
        (n, _, left), (m, _, right) = heapq.heappop(heap), heapq.heappop(heap)
        for group, turn in ((left, 1.0), (right, 0.0)):
            for character in group:
                ways[character] = ((node, turn), *ways[character])
        heapq.heappush(heap, (n + m, len(counts) + node, left + right))
    return ways


class Model:
    """The weights, the tree, and what can be asked of them. Loss is in bits per character, the rest in nats."""

    def __init__(self, counts: dict[str, int], weights: list[float] | None = None) -> None:
        self.counts = counts
        self.ways = huffman_tree(counts)
        self.weights = weights or [0.0] * TABLE

    @classmethod
    def for_text(cls, text: str) -> Model:
        """An untrained model whose alphabet is that of the text."""
        return cls(dict(sorted(Counter(text + UNKNOWN).items())))

    def readable(self, text: str) -> str:
        """The text as the model sees it: unknown characters replaced, the length unchanged."""
        return "".join(c if c in self.counts else UNKNOWN for c in text)

    def contexts(self, text: str, position: int) -> list[int]:
        """The hashes of the 0, 1, … ORDER characters before this position. Fewer at the beginning of the text."""
        return [
            crc32(text[position - length : position].encode(), length)
            for length in range(min(ORDER, position) + 1)
        ]

    def log_probability(self, character: str, contexts: list[int]) -> float:
        """The natural logarithm of the probability that this character comes next."""
        weights, mask = self.weights, TABLE - 1
        total = 0.0
        for node, turn in self.ways[character]:
            offset = node * NODE_STRIDE
            logit = sum([weights[(context + offset) & mask] for context in contexts])
            total -= softplus(-logit if turn else logit)
        return total

    def distribution(self, contexts: list[int]) -> dict[str, float]:
        """The probability of every character to come next. They add up to one."""
        weights, mask = self.weights, TABLE - 1
        turns = []
        for node in range(len(self.counts) - 1):
            offset = node * NODE_STRIDE
            logit = sum([weights[(context + offset) & mask] for context in contexts])
            turns.append((math.exp(-softplus(logit)), math.exp(-softplus(-logit))))  # right, left
        return {c: math.prod([turns[node][int(turn)] for node, turn in way]) for c, way in self.ways.items()}

    def loss(self, text: str, start: int = 0) -> float:
        """Bits per character of the text from `start` on; what is before it serves as context only."""
        text = self.readable(text)
        nats = [self.log_probability(text[i], self.contexts(text, i)) for i in range(start, len(text))]
        return -sum(nats) / len(nats) / math.log(2)

    def sample(self, text: str, temperature: float, chance: random.Random) -> str:
        """A next character: the likeliest at temperature 0, as the model has it at 1, wilder above."""
        chances = self.distribution(self.contexts(text, len(text)))
        chances.pop(UNKNOWN, None)
        likeliest = max(chances, key=lambda c: chances[c])
        if temperature <= 0:
            return likeliest
        top = chances[likeliest]  # divided out first: a power of a small number would vanish
        powers = [(p / top) ** (1 / temperature) for p in chances.values()]
        return chance.choices(list(chances), powers)[0]

    def save(self, path: Path, facts: dict[str, object]) -> None:
        """Write a checkpoint: one line of JSON, then the weights. It is there as a whole or not at all."""
        weights = array("d", self.weights)
        if sys.byteorder == "big":
            weights.byteswap()
        content = weights.tobytes()
        header = {**facts, "order": ORDER, "table": TABLE, "counts": self.counts, "crc32": crc32(content)}
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            unfinished.write_bytes(json.dumps(header).encode() + b"\n" + content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: Path) -> tuple[Model, dict[str, object]]:
        """The model of a checkpoint and the facts saved with it. ValueError when the file is not whole."""
        line, _, content = path.read_bytes().partition(b"\n")
        try:
            header = json.loads(line)
            fits = (header["order"], header["table"], header["crc32"]) == (ORDER, TABLE, crc32(content))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{path} is not a checkpoint of this model") from error
        if not fits:
            raise ValueError(f"{path} is damaged, or was written by another version of this model")
        weights = array("d", content)
        if sys.byteorder == "big":
            weights.byteswap()
        return cls(header["counts"], weights.tolist()), header


class Trainer:
    """Stochastic gradient descent with AdaGrad: each weight has a step size of its own, which shrinks with use."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.squares = [1.0] * TABLE  # sums of squared gradients

    def learn(self, text: str, start: int, stop: int, rate: float) -> float:
        """One pass over these characters, with an update after each. Returns their loss before it, in bits."""
        weights, squares, ways, mask = self.model.weights, self.squares, self.model.ways, TABLE - 1
        contexts, exp, log, sqrt = self.model.contexts, math.exp, math.log, math.sqrt
        nats = 0.0
        for position in range(start, stop):
            here = contexts(text, position)
            for node, turn in ways[text[position]]:
                offset = node * NODE_STRIDE
                places = [(context + offset) & mask for context in here]
                logit = 0.0
                for place in places:
                    logit += weights[place]
                left = 1.0 / (1.0 + exp(-logit)) if logit > -500 else 0.0
                nats -= log(max(left if turn else 1.0 - left, 1e-300))
                gradient = left - turn  # of the loss, by the logit: the same for every weight in the sum
                for place in places:
                    squares[place] += gradient * gradient
                    weights[place] -= rate * gradient / sqrt(squares[place])
        return nats / (stop - start) / log(2)


def softplus(x: float) -> float:
    """log(1 + e^x), without overflow: minus the log of the probability of turning the other way."""
    return x + math.log1p(math.exp(-x)) if x > 0 else math.log1p(math.exp(x))
