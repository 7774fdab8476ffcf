"""Serve the checkpoint over HTTP the way OpenAI's completions API does. One token is one character.

    POST /v1/completions   prompt, max_tokens, temperature, seed, stop, echo, logprobs
    GET  /v1/models        the one model
    GET  /health           503 while the checkpoint is being loaded, 200 once requests can be answered

The server listens at once and loads meanwhile, as large model servers do: "it accepts connections" is not "it is
ready". That is why the stack waits for /health to say 200.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

try:
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route
except ImportError as missing:
    sys.exit(
        f"serve.py: {missing} in {sys.executable}; activate the environment that launchpad is installed in"
    )

from model import CHECKPOINT, Model

NAME = "wonderland"
MAX_TOKENS = 4096
MAX_PROMPT = 100_000  # characters, all prompts of a request together
MAX_LOGPROBS = 5


class Refused(Exception):
    """A request that cannot be answered, as the client shall read it."""

    def __init__(
        self, message: str, param: str | None = None, status: int = 400, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Service:
    """The model, once it is loaded, and the answers to requests."""

    def __init__(self) -> None:
        self.model: Model | None = None
        self.facts: dict[str, Any] = {}
        self.failure: str | None = None

    def load(self, path: Path) -> None:
        """Load the checkpoint, and see that it still measures what it measured when it was saved."""
        try:
            model, self.facts = Model.load(path)
            if not math.isclose(model.loss(self.facts["check"]), self.facts["check_loss"], rel_tol=1e-9):
                raise ValueError(f"{path} does not predict as it did after training")
        except (OSError, ValueError, KeyError) as error:
            self.failure = str(error)
        else:
            self.model = model

    def complete(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a completion request. Refused when it asks for something wrong."""
        if self.model is None:
            raise Refused("the model is still loading", status=503, code="loading")
        asked = Completion(self.model, request)
        choices = [{"index": index, **asked.choice(prompt)} for index, prompt in enumerate(asked.prompts)]
        prompt_tokens = sum(map(len, asked.prompts))
        usage = {"prompt_tokens": prompt_tokens, "completion_tokens": asked.generated}
        return {
            "id": f"cmpl-{uuid.uuid4().hex}",
            "object": "text_completion",
            "created": int(time.time()),
            "model": NAME,
            "choices": choices,
            "usage": {**usage, "total_tokens": prompt_tokens + asked.generated},
        }


class Completion:
    """One completion request: its fields, checked, and the making of its choices."""

    def __init__(self, model: Model, request: dict[str, Any]) -> None:
        self.model = model
        if request.get("model") not in (None, NAME):
            message = f"there is no model `{request['model']}` here, only `{NAME}`"
            raise Refused(message, "model", 404, "model_not_found")
        for field, fixed in (("stream", False), ("n", 1), ("best_of", 1), ("suffix", None)):
            if request.get(field) not in (None, fixed):
                raise Refused(f"`{field}` is not supported by this server", field)
        self.prompts = strings(request, "prompt", [""])
        if sum(map(len, self.prompts)) > MAX_PROMPT:
            raise Refused(f"the prompts have more than {MAX_PROMPT} characters together", "prompt")
        self.stops = strings(request, "stop", [])
        if len(self.stops) > 4 or "" in self.stops:
            raise Refused("`stop` must be at most four strings, none of them empty", "stop")
        self.max_tokens = int(number(request, "max_tokens", 16, 0, MAX_TOKENS, whole=True))
        self.temperature = number(request, "temperature", 1.0, 0.0, 2.0)
        self.logprobs = request.get("logprobs")
        if self.logprobs is not None:
            self.logprobs = int(number(request, "logprobs", 0, 0, MAX_LOGPROBS, whole=True))
        self.echo = request.get("echo") or False
        if not isinstance(self.echo, bool):
            raise Refused("`echo` must be true or false", "echo")
        seed = request.get("seed")
        self.chance = random.Random(
            None if seed is None else number(request, "seed", 0, -math.inf, math.inf, whole=True)
        )
        self.generated = 0

    def choice(self, prompt: str) -> dict[str, Any]:
        """The completion of one prompt."""
        text, finish_reason = self.model.readable(prompt), "length"
        for _ in range(self.max_tokens):
            text += self.model.sample(text, self.temperature, self.chance)
            self.generated += 1
            stop = next((stop for stop in self.stops if text.endswith(stop, len(prompt))), None)
            if stop is not None:
                text, finish_reason = text[: -len(stop)], "stop"
                break
        start = 0 if self.echo else len(prompt)
        shown = prompt[start:] + text[len(prompt) :]
        logprobs = None if self.logprobs is None else self.measure(text, start)
        return {"text": shown, "logprobs": logprobs, "finish_reason": finish_reason}

    def measure(self, text: str, start: int) -> dict[str, Any]:
        """Log-probabilities of the characters from `start` on. The very first has none: nothing is before it."""
        likely: list[float | None] = []
        top: list[dict[str, float] | None] = []
        for position in range(start, len(text)):
            contexts = self.model.contexts(text, position)
            likely.append(self.model.log_probability(text[position], contexts) if position else None)
            top.append(self.best(contexts) if position else None)
        return {
            "tokens": list(text[start:]),
            "token_logprobs": likely,
            "top_logprobs": top if self.logprobs else None,
            "text_offset": list(range(start, len(text))),
        }

    def best(self, contexts: list[int]) -> dict[str, float] | None:
        """The likeliest next characters."""
        if not self.logprobs:
            return None
        chances = sorted(self.model.distribution(contexts).items(), key=lambda pair: -pair[1])
        return {character: math.log(chance) for character, chance in chances[: self.logprobs] if chance}


def strings(request: dict[str, Any], field: str, default: list[str]) -> list[str]:
    """A field that is a string or a list of strings."""
    value = request.get(field)
    values = default if value is None else [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise Refused(f"`{field}` must be a string or a list of strings", field)
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        raise Refused(f"`{field}` has half a character in it (a lone surrogate)", field) from None
    return values


def number(
    request: dict[str, Any], field: str, default: float, low: float, high: float, *, whole: bool = False
) -> float:
    """A field that is a number in a range."""
    value = request.get(field)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
        raise Refused(f"`{field}` must be {'a whole' if whole else 'a'} number", field)
    if not low <= value <= high:
        raise Refused(f"`{field}` must be from {low} to {high}", field)
    return value


def create_app(service: Service) -> Starlette:
    """The HTTP side of the service."""

    async def health(_: Request) -> JSONResponse:
        if service.failure:
            return JSONResponse({"status": "failed", "error": service.failure}, 500)
        return JSONResponse({"status": "ok"}) if service.model else JSONResponse({"status": "loading"}, 503)

    async def models(_: Request) -> JSONResponse:
        meta = {key: service.facts.get(key) for key in ("held_out_loss", "steps", "seed")}
        model = {"id": NAME, "object": "model", "created": 0, "owned_by": "quickstart", "meta": meta}
        return JSONResponse({"object": "list", "data": [model]})

    async def completions(request: Request) -> JSONResponse:
        try:
            try:
                body = await request.json()
            except ValueError:
                raise Refused("the body is not JSON") from None
            if not isinstance(body, dict):
                raise Refused("the body must be a JSON object")
            return JSONResponse(await run_in_threadpool(service.complete, body))
        except Refused as refused:
            return JSONResponse(refused.body, refused.status)

    return Starlette(
        routes=[
            Route("/health", health),
            Route("/v1/models", models),
            Route("/v1/completions", completions, methods=["POST"]),
        ]
    )


def load_beside(service: Service, path: Path, give_up: Callable[[], None]) -> None:
    """Load in the background. A server without its model is of no use: then give up."""

    def load() -> None:
        started = time.monotonic()
        service.load(path)
        if service.failure:
            give_up()
        else:
            print(f"loaded {path} in {time.monotonic() - started:.2f} s", flush=True)

    threading.Thread(target=load, daemon=True).start()


def main() -> int:
    parser = argparse.ArgumentParser(description="Serve the checkpoint that train.py wrote.")
    parser.add_argument(
        "--host", default="127.0.0.1", help="an address, not a name: `localhost` may mean two"
    )
    parser.add_argument("--port", type=int, default=8030)
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    options = parser.parse_args()
    if not options.checkpoint.is_file():
        sys.exit(f"serve.py: there is no checkpoint at {options.checkpoint}; run train.py first")

    service = Service()
    server = uvicorn.Server(
        uvicorn.Config(create_app(service), host=options.host, port=options.port, access_log=False)
    )
    load_beside(service, options.checkpoint, lambda: setattr(server, "should_exit", True))
    server.run()
    if service.failure:
        sys.exit(f"serve.py: {service.failure}")
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
