"""The JSON schema of stack files, for editors: what the models say, in draft 2020-12.

Decides only what pydantic cannot know: that `x-` names are free in `servers` and `jobs`, that a recipe and what is extended have a
command, and which recipes there are. It cannot say that servers and jobs share one set of names, nor what `${…}` will be.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue

from launchpad.stack.recipe import names
from launchpad.stack.schema import Stack

SCHEMA_ID = "stack.schema.json"


class _Generator(GenerateJsonSchema):
    schema_dialect = "https://json-schema.org/draft/2020-12/schema"

    def generate(self, schema: Any, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        made = super().generate(schema, mode)
        return {"$schema": self.schema_dialect, "$id": SCHEMA_ID, **made}

    def sort(self, value: JsonSchemaValue, parent_key: str | None = None) -> JsonSchemaValue:
        """Keys stay in the order in which they are told."""
        return value


def json_schema() -> dict[str, Any]:
    """The schema as JSON data."""
    made = Stack.model_json_schema(schema_generator=_Generator)
    made["title"] = "launchpad stack file"
    for group in ("servers", "jobs"):
        form = next(form for form in made["properties"][group]["anyOf"] if form.get("type") == "object")
        form["patternProperties"] = {"^x-": {}}
        form["propertyNames"] = made["properties"][group].pop("propertyNames")
    for one in (made["$defs"]["Server"], made["$defs"]["Job"]):
        one["required"].remove("command")
        one["anyOf"] = [{"required": [key]} for key in ("command", "uses", "extends")]
        one["properties"]["uses"]["anyOf"] = [{"enum": list(names())}, {"type": "string", "minLength": 1}]
    return made
