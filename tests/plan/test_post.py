"""`ready: {post: …}`: what is written, as JSON, with what is filled in."""

from __future__ import annotations

import json
from pathlib import Path

from launchpad.core.model import Lease, Ref
from launchpad.core.render import probing
from tests.stack.writing import planned

TEXT = """
    vars: {model: 'a "quoted" one', count: 3}
    servers:
      other: {command: x, port: auto}
      web:
        command: x
        port: auto
        ready:
          http: /v1
          post:
            x-own: [1, 2.5, true, "4", "${vars.count}", {}]
            model: "${vars.model}"
            to: "${other.url}/é"
            nested: {port: "${self.port}", none: []}
          once: true
    """
SENT = {
    "x-own": [1, 2.5, True, "4", 3, {}],
    "model": 'a "quoted" one',
    "to": "http://127.0.0.1:7/é",
    "nested": {"port": "8", "none": []},
}


def test_what_is_sent(tmp_path: Path) -> None:
    reading = planned(tmp_path, TEXT)
    web = next(one for one in reading.plan.services if one.name == "web")
    assert web.ready is not None
    assert web.refs == (("other", "main"),)
    assert Ref("other", "main", "url") in web.ready.content
    leases = {
        ("other", "main"): Lease("other", "main", 7, "127.0.0.1"),
        ("web", "main"): Lease("web", "main", 8, "127.0.0.1"),
    }
    assert json.loads(probing(web.ready, leases).content) == SENT
    assert web.ready.interval_s == 0, "what has passed is not asked again"


def test_config_says_it_as_it_could_be_written(tmp_path: Path) -> None:
    ready = planned(tmp_path, TEXT).config()["servers"]["web"]["ready"]
    assert ready["once"] is True
    assert ready["post"]["to"] == "${other.url}/é"
    assert ready["post"]["x-own"] == SENT["x-own"]
