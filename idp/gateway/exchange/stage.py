"""The exchange as the last thing before a request goes on: with another token than it came with, or not at all."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from hashlib import sha256
from typing import Final

from idp.gateway import answers
from idp.gateway.answers import Headers, Refusal
from idp.gateway.exchange.believe import Inbound
from idp.gateway.exchange.exchanger import Exchanger, Job
from idp.gateway.exchange.model import Exchange
from idp.gateway.exchange.outcome import Failed, Issued, Outcome
from idp.gateway.inbound import inbound
from idp.gateway.principal import Principal
from idp.gateway.request import Decision, Request
from idp.jose.prove import prove
from idp.protocol import acr

_TEXT: Final = "no token for the server behind the gateway can be had"
_PATIENCE: Final = 4.0  # three seconds for one question, and what is around it


class ExchangeStage:
    """The exchange of one route."""

    seconds = _PATIENCE
    regardless = False

    def __init__(self, route: str, wanted: Exchange, exchanger: Exchanger, *, issuer: str) -> None:
        self._route = route
        self._wanted = wanted
        self._exchanger = exchanger
        # Everything that the result depends on, beside the token itself, which says to whom it is bound (GW21).
        jkt = exchanger.key.kid
        parts = (issuer, route, wanted.audience, " ".join(sorted(wanted.scopes)), wanted.actor, wanted.mode, jkt)
        self._salt = b"\0" + "\0".join(parts).encode("utf-8")

    def begin(self, request: Request, decision: Decision) -> Future[Outcome] | None:
        """Send what is there; else ask for it."""
        principal = decision.principal
        token = inbound(request, decision)
        if token is None or principal is None:
            return None
        key = sha256(token + self._salt).digest()
        job = partial(self._job, key, token, principal)
        outcome = self._exchanger.find(key, job)
        if outcome is None:
            asked = self._exchanger.ask(job())
            if isinstance(asked, Future):
                return asked
            outcome = asked
        self.end(decision, outcome)
        return None

    def end(self, decision: Decision, outcome: Outcome) -> None:
        """Send the token on, or refuse: never the caller's own instead."""
        if isinstance(outcome, Failed):
            _refuse(decision, outcome)
        elif self._exchanger.ended(outcome) or _ended(decision):
            decision.no(_invalid(decision), "revoked")
        elif outcome.bound:
            decision.upstream_headers += self._proved(decision, outcome)
        else:
            decision.upstream_headers += ((b"authorization", b"Bearer " + outcome.token),)

    def _proved(self, decision: Decision, issued: Issued) -> Headers:
        """Use a bound token as such (RFC 9449 section 7.1), at the address by which the server behind is asked."""
        rule, facts = decision.rule, decision.facts
        if rule is None or facts is None:
            raise AssertionError("an allowed request has a rule")
        request, upstream = facts.request, rule.route.upstream
        scheme = "https" if upstream is None or upstream.origins[0].tls else "http"
        address = f"{scheme}://{request.host.decode('ascii')}{request.target.decode('ascii')}"
        proof = prove(
            self._exchanger.key,
            method=request.method,
            address=address,
            now=facts.now,
            access_token=issued.token.decode("ascii"),
        )
        return ((b"authorization", b"DPoP " + issued.token), (b"dpop", proof.encode("ascii")))

    def _job(self, key: bytes, token: bytes, principal: Principal) -> Job:
        inbound = Inbound(
            token=token,
            subject=principal.subject,
            scopes=principal.scopes,
            ends=float(str(principal.claims["exp"])),
            bound=principal.bound is not None,
        )
        return Job(key=key, route=self._route, wanted=self._wanted, inbound=inbound)


def _ended(decision: Decision) -> bool:
    """Tell whether the caller's token was revoked while the answer was on its way."""
    rule, principal = decision.rule, decision.principal
    feed = rule.verifier.feed if rule is not None else None
    return feed is not None and principal is not None and feed.revoked.covers(principal.marks)


def _refuse(decision: Decision, failed: Failed) -> None:
    reason = f"exchange: {failed.reason}"
    if failed.kind == "refused":
        decision.no(_invalid(decision), reason)
    elif failed.kind == "stronger":
        decision.no(_stronger(decision), reason)
    elif failed.kind in {"away", "too_many"}:
        waits = ((b"retry-after", b"%d" % failed.retry_after),)
        decision.no(_refusal(503, "temporarily_unavailable", waits), reason)
    else:
        decision.no(_refusal(502, "bad_gateway"), reason)


def _refusal(status: int, error: str, headers: Headers = ()) -> Refusal:
    return Refusal(status=status, reason="exchange", error=error, text=_TEXT, headers=headers)


def _invalid(decision: Decision) -> Refusal:
    return decision.rule.invalid_token if decision.rule is not None else answers.INVALID_TOKEN


def _stronger(decision: Decision) -> Refusal:
    """Ask for any strength above the one that was not enough (RFC 9470 section 3)."""
    principal, rule = decision.principal, decision.rule
    had = principal.claims.get("acr") if principal is not None else None
    above = [each for each in acr.LEVELS if acr.level(each) > max(1, acr.level(had if isinstance(had, str) else None))]
    return answers.stronger(above, None, rule.metadata if rule is not None else "")
