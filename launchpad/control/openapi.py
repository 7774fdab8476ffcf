"""The control API as an OpenAPI document: for whoever writes a client, and for tests that take it at its word.

Made from the table of requests and from the values of `api`; decides nothing of its own but the words.
"""

from __future__ import annotations

from typing import Any

from launchpad.control.api import VERSION, Reply, Snapshot
from launchpad.control.requests import FIELDS, REQUIRED

PATH = f"/v{VERSION}/openapi.json"
SAYS = {
    "start": "Start services, and what they need",
    "stop": "Stop services; they stay so until `start`",
    "restart": "Stop services and start them again",
    "down": "End the stack; answered at once",
    "apply": "Read the stack file again and apply it, or refuse",
    "reload": "Likewise, with the names and options that the stack has",
    "scale": "So many copies of each service that is named; else like `reload`",
    "diff": "What `apply` would do, and why; nothing is done",
}
_REF = "#/components/schemas/{name}"


def document() -> dict[str, Any]:
    """OpenAPI 3.1."""
    paths = {f"/v{VERSION}/{verb}": {"post": _request(verb)} for verb in FIELDS}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "launchpad control",
            "version": str(VERSION),
            "description": "Spoken over a unix socket that only its user can open. Fields are only ever added.",
        },
        "paths": {f"/v{VERSION}/status": {"get": _status()}, **paths},
        "components": {"schemas": _schemas()},
    }


def _schemas() -> dict[str, Any]:
    from msgspec.json import schema_components

    _, found = schema_components((Snapshot, Reply), ref_template=_REF)
    return dict(sorted(found.items()))


def _status() -> dict[str, Any]:
    return {
        "operationId": "status",
        "summary": "The stack now; with `after`, once it is newer than that revision, or `timeout` seconds are over",
        "parameters": [
            {"name": "after", "in": "query", "schema": {"type": "integer"}},
            {"name": "timeout", "in": "query", "schema": {"type": "number", "minimum": 0, "default": 0}},
        ],
        "responses": {"200": _answer("Snapshot", "The stack"), "400": _answer("Reply", "No such request")},
    }


def _request(verb: str) -> dict[str, Any]:
    fields = {name: dict(kind.schema) for name, kind in FIELDS[verb].items()}
    body: dict[str, Any] = {"type": "object", "properties": fields, "additionalProperties": False}
    if verb in REQUIRED:
        body["required"] = list(REQUIRED[verb])
    return {
        "operationId": verb,
        "summary": SAYS[verb],
        "requestBody": {
            "required": verb in REQUIRED,
            "content": {"application/json": {"schema": body}},
        },
        "responses": {
            "200": _answer("Reply", "It is done, or has begun"),
            "400": _answer("Reply", "No such request; nothing was done"),
            "409": _answer("Reply", "Refused, for the reasons given; nothing was done"),
        },
    }


def _answer(schema: str, says: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": _REF.format(name=schema)}}}
    return {"description": says, "content": content}
