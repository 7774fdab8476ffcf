"""A server that speaks https only. The program's own asyncio has no TLS (`launchpad.cli.light`)."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e.conftest import Make

TLS = Path(__file__).parent.parent / "local" / "tls"

SERVE = """
import http.server, os, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 100_000 + b"loaded")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1] + "/cert.pem", sys.argv[1] + "/key.pem")
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""


def test_it_is_ready_once_it_answers(make_stack: Make) -> None:
    stack = make_stack(f"""
        servers:
          secure:
            command: [{sys.executable}, serve.py, {TLS}]
            port: auto
            ready: {{http: "https://127.0.0.1:${{self.port}}/", body: "xloaded$"}}
        """)
    (stack.folder / "serve.py").write_text(SERVE)
    stack.cli("up", "-d", check=0)
    assert stack.ps()["secure"]["state"] == "ready"
    stack.cli("down", check=0)
