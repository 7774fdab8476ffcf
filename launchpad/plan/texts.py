"""From the stack's templates to the core's texts."""

from __future__ import annotations

from launchpad.core.model import Ref, Text
from launchpad.stack.template import Reference
from launchpad.stack.words import Template


def text(template: Template) -> Text:
    """The same, in the core's words; what is secret is so no longer by type."""
    return tuple(
        Ref(part.service, part.port, part.form) if isinstance(part, Reference) else str(part)
        for part in template
    )


def canonical(one: Text) -> list[object]:
    """For a digest: plain JSON, in which a reference cannot be mistaken for text."""
    return [part if isinstance(part, str) else [part.service, part.port, part.form] for part in one]
