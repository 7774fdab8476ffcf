"""A small router: each request goes to the next of several servers; GET /stats tells how many each has had.

For real work there are better ones (`uses: litellm`, the router of SGLang). This one shows what such a program is told.
"""

import argparse
import itertools
from collections import Counter
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route


def create_app(backends: list[str]) -> Starlette:
    turns, answered = itertools.cycle(backends), Counter(dict.fromkeys(backends, 0))

    @asynccontextmanager
    async def lifespan(app: Starlette):
        async with httpx.AsyncClient(timeout=300, trust_env=False) as app.state.client:
            yield

    async def forward(request: Request) -> Response:
        backend = next(turns)
        body, kind = await request.body(), {"Content-Type": "application/json"}
        answer = await request.app.state.client.post(backend + request.url.path, content=body, headers=kind)
        answered[backend] += 1
        return Response(answer.content, answer.status_code, media_type=answer.headers.get("Content-Type"))

    async def stats(_: Request) -> JSONResponse:
        return JSONResponse(dict(answered))

    routes = [Route("/stats", stats), Route("/v1/{path:path}", forward, methods=["POST"])]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", required=True, help="addresses, separated by commas")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(
        create_app(options.backends.split(",")), host=options.host, port=options.port, access_log=False
    )
