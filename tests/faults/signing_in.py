"""Somebody who signs in, and how long each form took."""

from __future__ import annotations

import time
from typing import Any

from tests.cli.serving.visitor import Visitor


class Timed(Visitor):
    """Remembers how long each form took."""

    def __init__(self, *who: Any) -> None:
        super().__init__(*who)
        self.posts: list[float] = []

    def _ask(self, method: str, url: str, **more: dict[str, str]) -> Any:
        began = time.monotonic()
        answer = super()._ask(method, url, **more)
        if method == "POST":
            self.posts.append(time.monotonic() - began)
        return answer
