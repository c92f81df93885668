"""Traffic at gateways: each caller keeps a pace of its own, and writes down every answer."""

from __future__ import annotations

import base64
import json
import secrets
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from tests.gateway.raw import Client, request
from tests.services.gateway import Gateway

BROKEN = 0  # no answer at all
_PATIENCE = 12.0  # a busy machine may take so many times as long


@dataclass(frozen=True, slots=True)
class Answer:
    """What one request was told, when, and after how long."""

    when: float
    status: int
    seconds: float


class Traffic:
    """Callers at every gateway, `rate` requests a second at each, for so long; then they leave by themselves."""

    def __init__(
        self, gateways: Sequence[Gateway], token: Callable[[int], str], *, rate: float, seconds: float
    ) -> None:
        self.answers: list[Answer] = []
        self.began = time.monotonic()
        self._token = token
        self._pace = 1 / rate
        self._number = round(rate * seconds)
        self._latest = self.began + seconds * _PATIENCE
        self._threads = [
            threading.Thread(target=self._call, args=(("127.0.0.1", each.port), f"127.0.0.1:{each.port}"), daemon=True)
            for each in gateways
        ]

    def _call(self, address: tuple[str, int], host: str) -> None:
        client = Client(address, timeout=20)
        for number in range(self._number):
            due = self.began + number * self._pace
            time.sleep(max(0.0, due - time.monotonic()))
            sent = time.monotonic()
            if sent > self._latest:
                break
            try:
                client.send(request(target="/orders", host=host, token=self._token(number)))
                status = client.answer().status
            except OSError:
                status, client = BROKEN, Client(address, timeout=20)
            now = time.monotonic()
            self.answers.append(Answer(now, status, now - sent))
        client.socket.close()

    def __enter__(self) -> Self:
        self.began = time.monotonic()
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        for thread in self._threads:
            thread.join()

    def statuses(self) -> Counter[int]:
        """How often each status was heard."""
        return Counter(answer.status for answer in self.answers)

    def rate(self) -> float:
        """Requests a second, as it came to be."""
        return len(self.answers) / (max(answer.when for answer in self.answers) - self.began)

    def seconds(self, percent: int) -> float:
        """Within how long so many percent of the answers came."""
        return statistics.quantiles((answer.seconds for answer in self.answers), n=100)[percent - 1]

    def typical(self) -> str:
        """Say how long answers took."""
        return f"p50 {self.seconds(50) * 1e3:.1f} ms, p99 {self.seconds(99) * 1e3:.0f} ms"

    def slowest(self) -> float:
        """The longest that anybody waited."""
        return max(answer.seconds for answer in self.answers)


def of_unknown_key(token: str) -> Callable[[int], str]:
    """Tokens like this one, each of a key that nobody has heard of."""
    _, _, rest = token.partition(".")

    def invented(_number: int) -> str:
        header = {"alg": "ES256", "typ": "at+jwt", "kid": secrets.token_urlsafe(12)}
        return base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode() + "." + rest

    return invented
