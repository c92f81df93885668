"""What a directory's refusal means for whoever wants in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from idp.federation.connector import NotSignedIn, Outcome
from idp.federation.directory import ppolicy
from idp.federation.directory.servers import Busy, ServiceRefused
from idp.federation.ldap.answers import SUCCESS, Answer, Gone

# RFC 4511 appendix A.2. What is not here is no answer to the question who somebody is.
REFUSALS: Final = {
    19: Outcome.LOCKED,  # constraintViolation: too many tries
    32: Outcome.NO_MATCH,
    34: Outcome.NO_MATCH,
    48: Outcome.NO_MATCH,
    49: Outcome.NO_MATCH,
    50: Outcome.NO_MATCH,
    53: Outcome.DISABLED,  # unwillingToPerform: 389 and others for closed accounts
    10: Outcome.NO_MATCH,  # a referral: the password goes nowhere else (FD4)
}


def judge(answer: Answer) -> None:
    """Refuse whoever the directory refuses."""
    outcome = ppolicy.decode(answer.ppolicy).outcome
    if answer.code == SUCCESS:
        if outcome is Outcome.MUST_CHANGE:
            raise NotSignedIn(outcome, "ppolicy")
        return
    if outcome is not None:
        raise NotSignedIn(outcome, f"{answer.code} ppolicy")
    raise NotSignedIn(REFUSALS.get(answer.code, Outcome.UNAVAILABLE), str(answer.code))


@contextmanager
def told() -> Iterator[None]:
    """Turn what went wrong on the way into what a sign-in is told."""
    try:
        yield
    except Gone as gone:
        raise NotSignedIn(Outcome.UNAVAILABLE, f"{gone.step}: {gone.why}") from None
    except ServiceRefused as refused:
        raise NotSignedIn(Outcome.UNAVAILABLE, f"service account: {refused.code} {refused.detail}".rstrip()) from None
    except Busy:
        raise NotSignedIn(Outcome.UNAVAILABLE, "busy") from None
