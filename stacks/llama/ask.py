"""Ask an OpenAI-compatible server twice: all at once, and as a stream. Exit 1 if it answers otherwise than it should."""

import json
import sys
from urllib.request import Request, urlopen

ADDRESS = f"{sys.argv[1]}/completions"
TOKENS = 16


def ask(**more):
    body = {"prompt": "Once upon a time", "max_tokens": TOKENS, "temperature": 0, "seed": 1, **more}
    request = Request(ADDRESS, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return urlopen(request, timeout=120)


with ask() as answer:
    whole = json.load(answer)
with ask(stream=True) as answer:
    lines = [line.decode().removeprefix("data: ").strip() for line in answer if line.startswith(b"data: ")]
pieces = [json.loads(line)["choices"][0]["text"] for line in lines if line != "[DONE]"]

text, counted = whole["choices"][0]["text"], whole["usage"]["completion_tokens"]
print(f"at once   {counted} tokens: {text!r}")
print(f"streamed  {len(pieces)} pieces: {''.join(pieces)!r}")
fine = counted > 0 and lines[-1] == "[DONE]" and "".join(pieces) == text
print("the same" if fine else "these are not the same")
sys.exit(0 if fine else 1)
