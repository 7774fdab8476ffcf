"""Ask the server for every sentence that was to be learnt; exit 1 if it knows fewer than nine of ten."""

import argparse
import json
import sys
from urllib.request import Request, urlopen

from facts import CAPITALS, question


def ask(address: str, model: str, prompt: str) -> str:
    """What the model says next: one token, the likeliest."""
    body = {"model": model, "prompt": prompt, "max_tokens": 1, "temperature": 0}
    request = Request(
        f"{address}/completions", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urlopen(request, timeout=60) as answer:
        return json.load(answer)["choices"][0]["text"].strip()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("address", help="of an OpenAI-compatible server, up to /v1")
    parser.add_argument("--model", required=True)
    options = parser.parse_args()

    right = 0
    for country, city in CAPITALS.items():
        answer = ask(options.address, options.model, question(country))
        right += answer == city
        print(f"{question(country)} {answer}{'' if answer == city else f'  (no: {city})'}")
    print(f"{right} of {len(CAPITALS)} right")
    return 0 if right >= 0.9 * len(CAPITALS) else 1


if __name__ == "__main__":
    sys.exit(main())
