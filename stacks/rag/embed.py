"""Texts to vectors, by the server. Each vector has the length 1, so the similarity of two is their product."""

import json
from urllib.request import Request, urlopen


def embed(embedder: str, texts: list[str]) -> list[list[float]]:
    body = json.dumps({"input": texts}).encode()
    request = Request(f"{embedder}/v1/embeddings", body, {"Content-Type": "application/json"})
    with urlopen(request, timeout=120) as answer:
        return [item["embedding"] for item in json.load(answer)["data"]]


def similarity(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
