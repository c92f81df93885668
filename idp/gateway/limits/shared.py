"""Buckets in Redis, shared by every gateway that names the same one.

One thread talks to Redis and nobody else waits for it: whatever has come in while it was away goes into the next call,
one script for all, and each request in it takes from all of its buckets or from none. Time is the clock of the Redis.
Redis away, hanging, full or read-only is all the same: each gateway counts alone until a probe has been answered.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from hashlib import sha256
from typing import TYPE_CHECKING, Final, Protocol, cast

from idp.gateway.limits.bucket import Ask, Taken
from idp.gateway.limits.model import Meter, Store
from idp.gateway.shared import PROBE_EVERY, Courier, connection

if TYPE_CHECKING:
    from idp.gateway.log import Log

_PREFIX: Final = b"gatehouse:limit:"
_DIGEST: Final = 32
_SCRIPT: Final = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local answer, key, arg = {}, 0, 1
while arg <= #ARGV do
  local size, levels, passed = tonumber(ARGV[arg]), {}, 1
  for i = 1, size do
    local cost, leak, capacity = tonumber(ARGV[arg + 3*i - 2]), tonumber(ARGV[arg + 3*i - 1]), tonumber(ARGV[arg + 3*i])
    local kept, level = redis.call('GET', KEYS[key + i]), 0
    if kept then
      local was, at = string.match(kept, '^(%d+) (%d+)$')
      if was then level = math.max(0, tonumber(was) - math.max(0, now - tonumber(at)) * leak) end
    end
    if level + cost > capacity then passed = 0 end
    levels[i] = level
  end
  answer[#answer + 1] = passed
  for i = 1, size do
    if passed == 1 then
      local level = levels[i] + tonumber(ARGV[arg + 3*i - 2])
      local runs = math.ceil(level / tonumber(ARGV[arg + 3*i - 1]) / 1000) + 1
      redis.call('SET', KEYS[key + i], string.format('%.0f %.0f', level, now), 'PX', string.format('%.0f', runs))
      levels[i] = level
    end
    answer[#answer + 1] = levels[i]
  end
  key, arg = key + size, arg + 3*size + 1
end
return answer
"""

_PROBE: Final = (Ask(meter=Meter(cost=0, leak=1, capacity=1), key=("probe", "")),)
Question = tuple[Sequence[Ask], "Future[Taken | None]"]


class Client(Protocol):
    """The script of a Redis that is connected."""

    def run(self, keys: list[bytes], args: list[int]) -> list[int]:
        """Run it, within the time that was agreed, or raise."""

    def close(self) -> None:
        """Let go of the connection."""


class RedisClient:
    """A `Client` by redis-py."""

    def __init__(self, store: Store) -> None:
        self._redis = connection(store, "gatehouse")
        self._script = self._redis.register_script(_SCRIPT)

    def run(self, keys: list[bytes], args: list[int]) -> list[int]:
        """Run the script; a Redis that does not know it yet is told."""
        return cast("list[int]", self._script(keys=keys, args=args))

    def close(self) -> None:
        """Let go of the connection."""
        self._redis.close()


class SharedBuckets(Courier[Sequence[Ask], Taken, Client]):
    """The thread that asks for the buckets, and probes while Redis is away."""

    NAME = "limits-redis"
    LOST = "limits.alone"
    BACK = "limits.shared"

    def __init__(
        self,
        store: Store,
        *,
        log: Log,
        connect: Callable[[Store], Client] = RedisClient,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(store, log=log, connect=connect)
        self._monotonic = monotonic
        self._probe_at = 0.0

    def take(self, asked: Sequence[Ask]) -> Future[Taken | None]:
        """Take from all or from none, soon."""
        return self._put(asked)

    def suspect(self) -> None:
        """An answer did not come in time: nobody else shall wait before there is one."""
        self._turned(away=True, reason="late")
        self._queue.put(None)

    def _run(self) -> None:
        self._ask([_PROBE])  # connected before the first request, which has less time than a handshake may take
        while not self._stopping:
            batch = self._next()
            if not self.away:
                self._answer(batch)
                continue
            self._dismiss(batch)
            if self._monotonic() >= self._probe_at:
                self._probe_at = self._monotonic() + PROBE_EVERY
                self._ask([_PROBE])
        self._dismiss(self._next(wait=False))
        self._close()

    def _answer(self, batch: Sequence[Question]) -> None:
        if not batch:
            return
        found = self._ask([asked for asked, _ in batch])
        if found is None:
            self._dismiss(batch)
            return
        for (_, future), taken in zip(batch, found, strict=True):
            future.set_result(taken)

    def _dismiss(self, batch: Sequence[Question]) -> None:
        for _, future in batch:
            future.set_result(None)

    def _ask(self, groups: Sequence[Sequence[Ask]]) -> list[Taken] | None:
        """Run the script for requests; None when Redis is away, whatever that means this time."""
        keys = [_name(ask) for asked in groups for ask in asked]
        args: list[int] = []
        for asked in groups:
            args.append(len(asked))
            for ask in asked:
                args += (ask.meter.cost, ask.meter.leak, ask.meter.capacity)
        said = self._call(lambda client: client.run(keys, args))
        return None if said is None else list(_read(groups, said))


def _name(ask: Ask) -> bytes:
    """Name a bucket without saying whose it is."""
    return _PREFIX + sha256("\n".join(ask.key).encode()).hexdigest()[:_DIGEST].encode("ascii")


def _read(groups: Sequence[Sequence[Ask]], said: Sequence[int]) -> Iterator[Taken]:
    at = 0
    for asked in groups:
        end = at + 1 + len(asked)
        yield Taken(passed=said[at] == 1, levels=said[at + 1 : end])
        at = end
