"""Everything behind the gateway, found by what the file says about it; what two files say alike goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from idp.gateway.config import Config
from idp.gateway.log import Log
from idp.gateway.server.watch import Watched
from idp.gateway.upstreams.model import Upstream
from idp.gateway.upstreams.servers import Servers
from idp.gateway.upstreams.tls import Tls


class Behind:
    """The servers of every upstream."""

    def __init__(self, config: Callable[[], Config], *, log: Log) -> None:
        self._config = config
        self._log = log
        self._tls: dict[Upstream, Tls] = {}
        self._servers: dict[Upstream, Servers] = {}
        self._leaving: list[Servers] = []  # no longer named, but something is still being answered
        self._server = config().server  # what a listener is built with stays as long as it listens
        self._known = config()
        self.prepare(self._known)
        for upstream in _named(self._known):
            self.of(upstream)

    def prepare(self, config: Config) -> None:
        """Read the files that a configuration names, before it counts; raise Unusable. In any thread."""
        for upstream in _named(config):
            if upstream.origins[0].tls and upstream not in self._tls:
                self._tls[upstream] = Tls(upstream.tls, log=self._log)

    def of(self, upstream: Upstream) -> Servers:
        """Give the servers of an upstream."""
        servers = self._servers.get(upstream)
        if servers is None:
            tls = self._tls.get(upstream)
            servers = self._servers[upstream] = Servers(upstream, self._server, log=self._log, tls=tls)
        return servers

    def all(self) -> tuple[Servers, ...]:
        """Give all of them, for facts and metrics."""
        return tuple(self._servers.values())

    def watched(self) -> Iterator[Watched]:
        """Give everything with a deadline."""
        config = self._config()
        if config is not self._known:
            self._settle(config)
        self._leaving = [servers for servers in self._leaving if servers.connected]
        for servers in (*self.all(), *self._leaving):
            yield from servers.watched()

    def _settle(self, config: Config) -> None:
        """Let go of what another file no longer names; what is being answered there goes on to its end."""
        self._known = config
        named = _named(config)
        for upstream in [upstream for upstream in self._servers if upstream not in named]:
            servers = self._servers.pop(upstream)
            servers.retire()
            self._leaving.append(servers)
            self._tls.pop(upstream, None)
        for upstream in named:
            self.of(upstream)

    def close(self) -> None:
        """End every connection."""
        for servers in (*self.all(), *self._leaving):
            servers.close()


def _named(config: Config) -> frozenset[Upstream]:
    return frozenset(route.upstream for route in config.routes if route.upstream is not None)
