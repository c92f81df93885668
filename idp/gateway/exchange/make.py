"""What the gateway asks one issuer for about single tokens, put together from its configuration."""

from __future__ import annotations

from collections.abc import Callable

from idp.gateway.call import Caller
from idp.gateway.client import credentials
from idp.gateway.config import ClientConfig, IssuerConfig
from idp.gateway.discovery import Discovery
from idp.gateway.exchange.believe import Believer
from idp.gateway.exchange.client import TokenEndpoint
from idp.gateway.exchange.exchanger import Exchanger, Took, untold
from idp.gateway.fetch import Fetch
from idp.gateway.jwks import KeySource
from idp.gateway.log import Log
from idp.gateway.reference import References
from idp.gateway.revocation.feed import Feed
from idp.gateway.signed_introspection import IntrospectionEndpoint
from idp.jose.keys import SigningKey


def exchanger(
    config: IssuerConfig,
    client: ClientConfig,
    source: KeySource,
    feed: Feed | None,
    *,
    log: Log,
    fetch: Fetch,
    wall: Callable[[], float],
    monotonic: Callable[[], float],
    took: Took = untold,
) -> Exchanger:
    """Make it; nothing is asked and nothing runs until a request needs it."""
    discovery = Discovery(config.issuer, fetch)
    key = SigningKey.generate("ES256")  # of this process, as what is bound to it is
    endpoint = TokenEndpoint(
        credentials(client),
        Believer(config, source, client.id, jkt=key.kid),
        issuer=config.issuer,
        address=lambda: config.token_endpoint or discovery.address("token_endpoint"),
        forget=discovery.forget,
        sender=lambda: Caller(config.jwks.ca_file),
        wall=wall,
        key=key,
    )
    made = Exchanger(
        config.name,
        endpoint,
        key=key,
        log=log,
        wall=wall,
        monotonic=monotonic,
        revoked=None if feed is None else feed.revoked,
        took=took,
    )
    if feed is not None:
        feed.listeners += (made.sweep,)
    return made


def references(
    config: IssuerConfig,
    client: ClientConfig,
    source: KeySource,
    feed: Feed | None,
    *,
    log: Log,
    fetch: Fetch,
    wall: Callable[[], float],
    monotonic: Callable[[], float],
) -> References:
    """Make what reads reference tokens."""
    discovery = Discovery(config.issuer, fetch)
    endpoint = IntrospectionEndpoint(
        config,
        source,
        credentials(client),
        address=lambda: config.introspection_endpoint or discovery.address("introspection_endpoint"),
        forget=discovery.forget,
        sender=lambda: Caller(config.jwks.ca_file),
        wall=wall,
    )
    made = References(
        config.name,
        endpoint,
        log=log,
        wall=wall,
        monotonic=monotonic,
        revoked=None if feed is None else feed.revoked,
    )
    if feed is not None:
        feed.listeners += (made.sweep,)
    return made
