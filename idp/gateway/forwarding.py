"""With what a request goes on, beside the plain headers: prepared once for each file."""

from __future__ import annotations

from typing import Final

from idp.gateway.answers import Headers
from idp.gateway.assertion import HEADER, AssertionStage, Jwks, Signer
from idp.gateway.config import Config, Route
from idp.gateway.exchange.exchanger import Exchanger
from idp.gateway.exchange.stage import ExchangeStage
from idp.gateway.stages import Stage

_NAMES: Final = (b"authorization", b"dpop", HEADER)
_NOTHING: Final[Headers] = tuple((name, b"") for name in _NAMES)


def complete(headers: Headers) -> Headers:
    """Name every header that a front may copy: where there is nothing to say, an empty one replaces the caller's."""
    if not headers:
        return _NOTHING
    told = {name for name, _ in headers}
    return (*headers, *((name, b"") for name in _NAMES if name not in told))


class Forwarding:
    """The gateway's own keys, if it has any, and the last stages of every route."""

    def __init__(self, config: Config) -> None:
        self._signer = Signer.read(config.assertion) if config.assertion is not None else None
        self._issuers = {issuer.name: issuer.issuer for issuer in config.issuers}

    @property
    def jwks(self) -> Jwks | None:
        """The public keys, for the servers behind."""
        return None if self._signer is None else self._signer.jwks

    def stages(self, route: Route, exchanger: Exchanger | None) -> tuple[Stage, ...]:
        """Give what is left to do for a route once everything else has allowed a request."""
        stages: list[Stage] = []
        if route.exchange is not None:
            if exchanger is None:
                raise AssertionError("an exchange without a key does not load")
            stages.append(ExchangeStage(route.id, route.exchange, exchanger, issuer=self._issuers[route.issuer]))
        if route.assertion is not None:
            if self._signer is None:
                raise AssertionError("an assertion without a key does not load")
            stages.append(AssertionStage(route.assertion, self._signer))
        return tuple(stages)
