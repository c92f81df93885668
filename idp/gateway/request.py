"""What a decision is about and what it says, free of any server. Plain slotted classes: one of each per request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Protocol

from idp.gateway.answers import Headers, Refusal

if TYPE_CHECKING:
    from idp.gateway.limits.stage import Attempt
    from idp.gateway.policy.facts import Facts
    from idp.gateway.principal import Principal
    from idp.gateway.rules import Rule
    from idp.gateway.stages import Stage
    from idp.gateway.trace import Trace
    from idp.jose.dpop import Proof


class Request:
    """A request as it came: raw target, header names in lower case, address of the peer ("" on a unix socket)."""

    __slots__ = ("attempt", "headers", "host", "method", "peer", "relayed", "replaced_host", "seen", "target", "trace")

    def __init__(
        self, *, method: str, target: bytes, host: bytes, headers: Sequence[tuple[bytes, bytes]], peer: str = ""
    ) -> None:
        self.method = method
        self.target = target
        self.host = host
        self.headers = headers
        self.peer = peer
        self.seen: str | None = None  # the path as the application behind will see it, where that is known
        self.relayed = False  # the peer is a front: it holds the request, and its address is not the caller's
        self.trace: Trace | None = None
        self.attempt: Attempt | None = None  # what it has taken of its limits
        self.replaced_host = False  # the host is an absolute-form target's, and not what the Host header said


class Asks(Protocol):
    """Something that may be asked before a decision stands."""

    def ask(self) -> Future[None] | None:
        """Ask, and say what to wait for; None: it was asked a moment ago, be content."""


class Decision:
    """Yes with a principal and a rule, or no with a refusal."""

    __slots__ = (
        "answer_headers",
        "asks",
        "began",
        "cached",
        "caller",
        "facts",
        "failed",
        "holds",
        "id",
        "judged",
        "left",
        "path",
        "policy",
        "principal",
        "proof",
        "proved",
        "reason",
        "refusal",
        "rule",
        "shadow",
        "stage",
        "upstream_headers",
        "waits",
    )

    def __init__(self) -> None:
        self.id = ""
        self.refusal: Refusal | None = None
        self.principal: Principal | None = None  # as whom the request goes on
        self.caller: Principal | None = None  # whose token it was, for the log; says nothing about yes or no
        self.rule: Rule | None = None
        self.proved = False  # the token came by the scheme that promises a proof
        self.proof: Proof | None = None  # which is good, and still to be used up
        self.path = ""  # canonical
        self.reason = ""
        self.cached = False
        self.policy = ""  # digest of the file that was decided by
        self.facts: Facts | None = None
        self.failed = ""  # what of the policy stood in the way
        self.judged = False  # refused by what comes after the policy
        self.shadow = ""  # why it would have been refused, were the route not in shadow mode
        self.asks: Asks | None = None  # newer keys, or word about the token, might change the answer
        self.waits: Future[Any] | None = None  # which are being fetched; or what `stage` has asked for
        self.stage: Stage | None = None
        self.left: tuple[Stage, ...] = ()  # the stages after it
        self.began = 0.0
        self.answer_headers: Headers = ()  # for the client, passed or refused
        self.upstream_headers: Headers = ()  # for the server behind, beside the identity
        self.holds: tuple[Callable[[], None], ...] = ()  # what is given back when the exchange is over

    @property
    def allowed(self) -> bool:
        """Tell whether the request may go on: only with somebody to name, never by the mere lack of a refusal."""
        return self.refusal is None and self.principal is not None

    @property
    def status(self) -> int:
        """The status of the answer; 200 stands for "go on"."""
        if self.refusal is not None:
            return self.refusal.status
        return 200 if self.principal is not None else 500

    def no(self, refusal: Refusal, reason: str = "") -> Decision:
        """Make it a refusal."""
        self.refusal = refusal
        self.reason = reason or refusal.reason
        self.judged = self.judged or self.principal is not None
        self.principal = None
        return self

    def answer(self) -> tuple[int, Headers, bytes]:
        """Write the refusal as a response."""
        if self.refusal is None:
            raise AssertionError("a decision that allows has no answer of its own")
        status, headers, body = self.refusal.answer(self.id)
        return status, headers + self.answer_headers, body

    def over(self) -> None:
        """The answer is given, or nobody waits for it any more: give back what was held, once."""
        holds, self.holds = self.holds, ()
        for release in holds:
            release()
