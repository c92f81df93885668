"""The demo API, "Orders": a few rows in memory, and the identity that the gateway vouches for. Standard library only.

It never sees a token: the gateway has checked it, taken it away, and says who is calling in headers of its own.
"""

from __future__ import annotations

import json
import re
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from idp.demo.places import LOOPBACK

LONGEST_BODY = 4_096
LONGEST_ITEM = 100
MOST_PIECES = 999
MOST_ORDERS = 50
SAID_BY_GATEWAY = {
    "subject": "X-Auth-Subject",
    "client": "X-Auth-Client",
    "scopes": "X-Auth-Scopes",
    "roles": "X-Auth-Roles",
}
FIRST_ORDERS = (
    {"id": 1, "item": "Harbour chart, sheet 4", "pieces": 2, "state": "sent"},
    {"id": 2, "item": "Brass lantern", "pieces": 1, "state": "packed"},
    {"id": 3, "item": "Rope, 20 m", "pieces": 6, "state": "waiting"},
)


class Orders:
    """The rows, behind one lock."""

    def __init__(self) -> None:
        self._rows: list[dict[str, Any]] = [dict(row) for row in FIRST_ORDERS]
        self._turn = threading.Lock()

    def all(self) -> list[dict[str, Any]]:
        """Return every row."""
        with self._turn:
            return list(self._rows)

    def add(self, item: str, pieces: int) -> dict[str, Any]:
        """Append one row; the oldest leaves when there are many, for this is a demo."""
        with self._turn:
            row = {"id": self._rows[-1]["id"] + 1, "item": item, "pieces": pieces, "state": "waiting"}
            self._rows = [*self._rows[1 - MOST_ORDERS :], row]
            return row

    def approve(self, number: int) -> dict[str, Any] | None:
        """Mark one row as approved, if there is such a one."""
        with self._turn:
            for row in self._rows:
                if row["id"] == number:
                    row["state"] = "approved"
                    return dict(row)
        return None


APPROVE = re.compile(r"/orders/([0-9]{1,9})/approve")


class Api(BaseHTTPRequestHandler):
    """GET /orders lists, POST /orders places one, POST /orders/NUMBER/approve approves it."""

    protocol_version = "HTTP/1.1"
    # Without it each answer waits 40 ms for the caller's acknowledgement.
    disable_nagle_algorithm = True
    timeout = 10
    orders: Orders

    def do_GET(self) -> None:
        """List the orders."""
        if self.path.partition("?")[0] != "/orders":
            return self.answer(404, {"error": "there is nothing here"})
        return self.answer(200, {"orders": self.orders.all(), "the_gateway_says_you_are": self.caller()})

    def do_POST(self) -> None:
        """Place an order, or approve one."""
        body, path = self.body(), self.path.partition("?")[0]
        approval = APPROVE.fullmatch(path)
        if approval is not None:
            return self.approve(int(approval[1]))
        if path != "/orders":
            return self.answer(404, {"error": "there is nothing here"})
        item, pieces = body.get("item"), body.get("pieces", 1)
        if not (isinstance(item, str) and 0 < len(item) <= LONGEST_ITEM and pieces in range(1, MOST_PIECES + 1)):
            return self.answer(400, {"error": "an order is an item in words and a number of pieces"})
        return self.answer(201, {"order": self.orders.add(item, pieces), "the_gateway_says_you_are": self.caller()})

    def approve(self, number: int) -> None:
        """Approve an order. That the person proved enough for it is the gateway's to see."""
        row = self.orders.approve(number)
        if row is None:
            return self.answer(404, {"error": "there is no such order"})
        return self.answer(200, {"order": row, "the_gateway_says_you_are": self.caller()})

    def body(self) -> dict[str, Any]:
        """Read a short JSON object; anything else is an empty one."""
        length = self.headers.get("Content-Length", "0")
        # What is not read here must not be taken for the next request.
        if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > LONGEST_BODY:
            self.close_connection = True
            return {}
        try:
            said = json.loads(self.rfile.read(int(length)) or b"{}")
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}

    def caller(self) -> dict[str, str]:
        """Return who is calling, in the gateway's words."""
        return {name: self.headers.get(header, "") for name, header in SAID_BY_GATEWAY.items()}

    def answer(self, status: int, said: dict[str, Any]) -> None:
        """Answer JSON."""
        body = json.dumps(said, indent=2).encode() + b"\n"
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Quiet: what was let through is in the gateway's decision log."""


def serve(port: int) -> None:
    """Serve until the process is ended."""
    handler = type("Api", (Api,), {"orders": Orders()})
    with ThreadingHTTPServer((LOOPBACK, port), handler) as server:
        server.serve_forever(poll_interval=60)


if __name__ == "__main__":
    try:
        serve(int(sys.argv[1]))
    except KeyboardInterrupt:
        sys.exit(0)
