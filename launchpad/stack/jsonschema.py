"""The JSON schema of stack files, for editors: what the models say, in draft 2020-12.

Decides only what pydantic cannot know: that `x-` names are free in `servers` and `jobs`. It cannot say that servers
and jobs share one set of names, nor what `${…}` will be.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue

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
    for name in ("Server", "Job"):  # a command may come from what it extends
        one = made["$defs"][name]
        one["required"] = [key for key in one["required"] if key != "command"]
        one["anyOf"] = [{"required": ["command"]}, {"required": ["extends"]}]
    for group in ("servers", "jobs"):
        form = next(form for form in made["properties"][group]["anyOf"] if form.get("type") == "object")
        form["patternProperties"] = {"^x-": {}}
        form["propertyNames"] = made["properties"][group].pop("propertyNames")
    return made
