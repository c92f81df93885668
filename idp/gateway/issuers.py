"""The issuers whose tokens are believed: their keys, what they say is revoked, and the verifiers that use both."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Self, TypeVar

from idp.gateway.client import credentials
from idp.gateway.config import ClientConfig, IssuerConfig
from idp.gateway.exchange.exchanger import Exchanger, Took, untold
from idp.gateway.exchange.make import exchanger, references
from idp.gateway.fetch import Fetch, fetcher
from idp.gateway.jwks import KeySource
from idp.gateway.log import Log
from idp.gateway.reference import References
from idp.gateway.revocation.feed import Feed
from idp.gateway.token_cache import TokenCache
from idp.gateway.verifier import Verifier

T = TypeVar("T")


class CannotChange(Exception):
    """A new file asks of an issuer what only a new start, or a provider that answers, can give."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What an issuer needs from outside: a log, a network, clocks, and somebody who counts exchanges."""

    log: Log
    fetch: Fetch | None
    wall: Callable[[], float]
    monotonic: Callable[[], float]
    took: Took = untold


class Issuers:
    """Every issuer of one file. Never changed: a new file gets a new value, with the keys of the old one."""

    def __init__(self, configs: Iterable[IssuerConfig], world: World, before: Issuers | None = None) -> None:
        self.configs = {config.name: config for config in configs}
        self._world = world
        # Tokens verified for an issuer that was described otherwise (other algorithms, say) are looked at again.
        self.cache: TokenCache = before.cache if before is not None and before.configs == self.configs else TokenCache()
        self.sources: Mapping[str, KeySource] = {
            name: before.sources[name] if before and name in before.sources else self._source(config)
            for name, config in self.configs.items()
        }
        self.feeds: Mapping[str, Feed] = {
            name: before.feeds[name] if before and name in before.feeds else self._feed(config, config.client)
            for name, config in self.configs.items()
            if config.client is not None and config.revocation is not None
        }
        self.exchangers: Mapping[str, Exchanger] = {
            name: before.exchangers[name] if before and name in before.exchangers else self._exchanger(config)
            for name, config in self.configs.items()
            if config.client is not None and config.client.key_file is not None
        }
        self.references: Mapping[str, References] = {
            name: before.references[name] if before and name in before.references else self._made(references, config)
            for name, config in self.configs.items()
            if config.reference_tokens
        }
        self.verifiers: Mapping[str, Verifier] = {
            name: Verifier(
                config,
                self.sources[name],
                self.cache,
                monotonic=world.monotonic,
                feed=self.feeds.get(name),
                exchanger=self.exchangers.get(name),
                references=self.references.get(name),
            )
            for name, config in self.configs.items()
        }

    def _source(self, config: IssuerConfig) -> KeySource:
        world = self._world
        return KeySource(config, log=world.log, fetch=world.fetch, wall=world.wall, monotonic=world.monotonic)

    def _feed(self, config: IssuerConfig, client: ClientConfig) -> Feed:
        world = self._world
        return Feed(
            config,
            self.sources[config.name],
            credentials(client),
            log=world.log,
            fetch=world.fetch or fetcher(config.jwks.ca_file),
            wall=world.wall,
            monotonic=world.monotonic,
        )

    def _exchanger(self, config: IssuerConfig) -> Exchanger:
        return self._made(partial(exchanger, took=self._world.took), config)

    def _made(self, make: Callable[..., T], config: IssuerConfig) -> T:
        world, name = self._world, config.name
        return make(
            config,
            config.client,
            self.sources[name],
            self.feeds.get(name),
            log=world.log,
            fetch=world.fetch or fetcher(config.jwks.ca_file),
            wall=world.wall,
            monotonic=world.monotonic,
        )

    def succeeded(self, configs: Iterable[IssuerConfig]) -> Self:
        """Give the issuers of a new file. Those that stay keep their keys and what they have revoked.

        A new issuer must have keys before it counts. Where and as whom an issuer is asked is for a new start to
        change: what it has already told about revocations must not be lost on the way.
        """
        after = type(self)(configs, self._world, self)
        for name, config in after.configs.items():
            old = self.configs.get(name)
            if old is not None and _asked_as(old) != _asked_as(config):
                raise CannotChange(f'issuer "{name}" is asked in another way: that takes a new start')
        for name, source in after.sources.items():
            if name not in self.sources and not source.refresh():
                raise CannotChange(f'the keys of issuer "{name}" cannot be fetched')
        return after

    def start(self, before: Issuers | None = None) -> None:
        """Begin to fetch keys and to hear what is revoked, unless somebody before has begun."""
        for part in self.parts() - (before.parts() if before is not None else set()):
            part.start()

    def stop(self, after: Issuers | None = None) -> None:
        """End the threads that nobody after goes on with."""
        for part in self.parts() - (after.parts() if after is not None else set()):
            part.stop()

    def parts(self) -> set[KeySource | Feed | Exchanger | References]:
        """Give everything that has a thread of its own."""
        parts = (self.sources, self.feeds, self.exchangers, self.references)
        return {part for mapping in parts for part in mapping.values()}


def _asked_as(config: IssuerConfig) -> IssuerConfig:
    """Leave out what may change at once: how tokens are judged."""
    return dataclasses.replace(config, algs=frozenset(), leeway=0.0)
