"""The gateway inside a WSGI server, in front of one application, or around single functions of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

from idp.gateway.answers import Headers
from idp.gateway.binding import load as binding
from idp.gateway.config import Route
from idp.gateway.decide import Gate
from idp.gateway.environ import Environ, identify, path_of, request_of
from idp.gateway.limits.load import given
from idp.gateway.policy import metadata
from idp.gateway.policy.load import seconds, strengths
from idp.gateway.policy.model import Require
from idp.gateway.request import Decision
from idp.gateway.rules import Rule
from idp.gateway.template import Template

P = ParamSpec("P")
R = TypeVar("R")
Refusal = tuple[bytes, int, list[tuple[str, str]]]  # as Flask takes it: body, status, headers
Application = Callable[[Environ, Callable[..., Any]], Iterable[bytes]]


class Guarded:
    """A WSGI application behind the gate: `app = Guarded(app, gate)`."""

    def __init__(self, app: Application, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Let an allowed request through, under a verified name."""
        self._gate.start()
        request = request_of(environ)
        described = metadata.answer(self._gate.rules.documents, request.method, request.host, request.target)
        if described is not None:
            status, headers, body = _as_text(described)
            start_response(f"{status} OK", headers)
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
        request.seen = path_of(environ)
        decision = self._gate.decide(request)
        if decision.principal is None or decision.rule is None:
            status, headers, body = _text_answer(decision)
            start_response(f"{status} Refused", headers)
            return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]
        identify(environ, decision.rule.strip, decision.principal, decision.upstream_headers)
        if not (decision.answer_headers or decision.holds):
            return self._app(environ, start_response)
        try:
            return _Held(self._app(environ, _with(decision.answer_headers, start_response)), decision)
        except BaseException:
            decision.over()
            raise


class _Held:
    """An answer that tells when it is over (PEP 3333: the server calls `close`, however it ended)."""

    def __init__(self, answer: Iterable[bytes], decision: Decision) -> None:
        self._answer = answer
        self._decision = decision

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._answer)

    def close(self) -> None:
        """Let go, after the application's own end."""
        try:
            close = getattr(self._answer, "close", None)
            if close is not None:
                close()
        finally:
            self._decision.over()


def _with(headers: Headers, start_response: Callable[..., Any]) -> Callable[..., Any]:
    """Add to the application's answer what the gate has to say about it."""

    def start(status: str, given: list[tuple[str, str]], *exc_info: Any) -> Any:
        return start_response(status, [*given, *_text_headers(headers)], *exc_info)

    return start


class Guard:
    """Guards single functions of an application that has an environment for each request.

    With Flask: `guard = Guard(gate, lambda: flask.request.environ)`, then `@guard.require(audience=..., scope=[...])`.
    """

    def __init__(self, gate: Gate, environ: Callable[[], Environ]) -> None:
        self._gate = gate
        self._environ = environ

    def require(
        self,
        *,
        audience: str,
        scope: Iterable[str] = (),
        role_any: Iterable[str] = (),
        role_all: Iterable[str] = (),
        acr: str | list[str] | None = None,
        max_age: str | None = None,
        bind: Mapping[str, object] | None = None,
        limit: Sequence[Mapping[str, object]] = (),
        issuer: str | None = None,
    ) -> Callable[[Callable[P, R]], Callable[P, R | Refusal]]:
        """Let a function be called only with a token for this audience, with these scopes and these roles.

        `acr` ("aal2") and `max_age` ("15m") ask for a strong or recent sign-in; who has none is told what would do
        (RFC 9470). `bind` says in whose hands the token must be. All is written as in gateway.toml; functions for the
        same audience count in the same buckets.
        """
        route = Route(
            id=audience,
            host=None,
            methods=frozenset(),
            path=Template.parse("/"),
            audience=audience,
            issuer=issuer or next(iter(self._gate.sources)),
            require=Require(
                scopes=frozenset(scope),
                role_any=frozenset(role_any),
                role_all=frozenset(role_all),
                acr=() if acr is None else strengths(acr),
                max_age=None if max_age is None else seconds(max_age),
            ),
            bind=binding.given(bind),
            limits=given(limit),
        )
        return self._by(self._gate.rule_for(route))

    def _by(self, rule: Rule) -> Callable[[Callable[P, R]], Callable[P, R | Refusal]]:
        def guard(view: Callable[P, R]) -> Callable[P, R | Refusal]:
            @functools.wraps(view)
            def guarded(*args: P.args, **kwargs: P.kwargs) -> R | Refusal:
                self._gate.start()
                environ = self._environ()
                decision = self._gate.decide(request_of(environ), rule)
                if decision.principal is None:
                    status, headers, body = _text_answer(decision)
                    return body, status, headers
                environ["gatehouse.principal"] = decision.principal
                environ["gatehouse.headers"] = _text_headers(decision.answer_headers)
                try:
                    return view(*args, **kwargs)
                finally:
                    decision.over()

            return guarded

        return guard


def _text_answer(decision: Decision) -> tuple[int, list[tuple[str, str]], bytes]:
    return _as_text(decision.answer())


def _as_text(answer: metadata.Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    status, headers, body = answer
    return status, _text_headers(headers), body


def _text_headers(headers: Headers) -> list[tuple[str, str]]:
    return [(name.decode("ascii").title(), value.decode("ascii")) for name, value in headers]
