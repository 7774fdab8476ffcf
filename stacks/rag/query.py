"""Answer questions with the paragraph that is nearest to each. Without a question of yours: six whose answers are known."""

import argparse
import json
import sys
from pathlib import Path

from embed import embed, similarity

KNOWN = {
    "How do I get my money back?": "refund",
    "The machine is leaking water, what should I do?": "valve",
    "At what time may I phone somebody?": "telephone",
    "Is it safe to let toddlers near it?": "children",
    "How do I remove limescale?": "lime",
    "Which parts may go into the dishwasher?": "dishwasher",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--embedder", required=True, help="its address")
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("questions", nargs="*")
    options = parser.parse_args()

    questions = options.questions or list(KNOWN)
    rows = json.loads(options.index.read_text())
    wrong = 0
    for question, vector in zip(questions, embed(options.embedder, questions), strict=True):
        score, text = max((similarity(vector, row["vector"]), row["text"]) for row in rows)
        fits = KNOWN.get(question, "") in text
        wrong += not fits
        print(f"{question}\n  {score:.2f}  {text}{'' if fits else '  <- wrong'}")
    if not options.questions:
        print(f"{len(questions) - wrong} of {len(questions)} answered")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
