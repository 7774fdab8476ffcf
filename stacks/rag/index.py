"""Cut documents into paragraphs, embed them through the server, write text and vectors into one file."""

import argparse
import json
import os
from pathlib import Path

from embed import embed

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--embedder", required=True, help="its address")
parser.add_argument("--out", type=Path, required=True)
parser.add_argument("documents", type=Path, nargs="+")
options = parser.parse_args()

pieces = [piece.strip() for path in options.documents for piece in path.read_text().split("\n\n")]
pieces = [" ".join(piece.split()) for piece in pieces if piece and not piece.startswith("#")]
vectors = embed(options.embedder, pieces)

# Written beside it and renamed: who reads the index sees the old one or the new one, never a half.
half = options.out.with_suffix(".half")
rows = zip(pieces, vectors, strict=True)
half.write_text(json.dumps([{"text": text, "vector": vector} for text, vector in rows]))
os.replace(half, options.out)
print(f"{len(pieces)} paragraphs of {len(vectors[0])} numbers each are in {options.out}")
