from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.protocol import security_event
from idp.protocol.errors import InvalidRequest
from idp.protocol.security_event import BadEvent, Ended, Poll

ISSUER = "https://id.example"
ABOUT = {"jti": "event-1", "issuer": ISSUER, "audience": "gateway", "issued_at": 50, "happened_at": 40}
ONES = [
    Ended(kind="token", ids=("jti",), until=99),
    Ended(kind="session", ids=("sid",), until=99),
    Ended(kind="grants", ids=("one", "two"), until=99),
    Ended(kind="account", ids=("alice",), not_before=40, until=99),
    Ended(kind="client", ids=("web-app",), not_before=43, until=99),
    Ended(kind="everything", not_before=40, until=99),
    Ended(kind="account", ids=("alice", "bob"), not_before=40, until=99),
    Ended(kind="key", ids=("kid",), until=99),
]


def claims(ended, reason="test"):
    return security_event.claims(ended, **ABOUT, reason=reason)


def read(said):
    return security_event.read(said, issuer=ISSUER, audience="gateway")


@pytest.mark.spec("RFC 8417 section 2.2")
@pytest.mark.parametrize("ended", ONES, ids=lambda each: each.kind)
def test_what_is_written_is_read(ended):
    said = claims(ended)
    assert read(said) == ended
    assert read({**said, "aud": ["gateway"]}) == ended
    assert "exp" not in said
    assert "sub" not in said


@given(
    kind=st.sampled_from(["token", "session", "key", "account", "client"]), name=st.text(min_size=1), at=st.integers(0)
)
def test_any_id_survives(kind, name, at):
    not_before = at if kind in {"account", "client"} else None
    ended = Ended(kind=kind, ids=(name,), not_before=not_before, until=at)
    assert read(claims(ended)) == ended


@pytest.mark.spec("OpenID CAEP 1.0 section 3.3")
def test_a_changed_password_says_which_credential_changed_how():
    said = claims(ONES[3], "password changed")["events"]
    assert (
        said[security_event.CREDENTIAL_CHANGE].items()
        >= {
            "credential_type": "password",
            "change_type": "update",
            "event_timestamp": 40,
        }.items()
    )
    assert read(claims(ONES[3], "password changed")) == ONES[3]


@pytest.mark.spec("OpenID CAEP 1.0 section 3.2")
def test_changed_roles_are_changed_claims():
    said = claims(ONES[3], "roles changed")
    assert said["events"][security_event.TOKEN_CLAIMS_CHANGE]["claims"] == {}
    assert read(said) == ONES[3]


def test_an_event_of_another_type_says_nothing_here():
    assert read({**claims(ONES[0]), "events": {"https://example.org/something": {}}}) is None


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"iss": "https://other.example"}, "invalid_issuer"),
        ({"aud": "other"}, "invalid_audience"),
        ({"aud": ["gateway", "other"]}, "invalid_audience"),
        ({"events": None}, "invalid_request"),
        ({"events": {}}, "invalid_request"),
        ({"events": {security_event.SESSION_REVOKED: []}}, "invalid_request"),
        ({"sub_id": None}, "invalid_request"),
        ({"sub_id": {"format": "email", "email": "a@b.example"}}, "invalid_request"),
        ({"sub_id": {"format": "jwt_id", "iss": "https://other.example", "jti": "a"}}, "invalid_request"),
        ({"sub_id": {"format": "jwt_id", "iss": ISSUER, "jti": 1}}, "invalid_request"),
        ({"sub_id": {"format": "complex", "tenant": {"format": "uri", "uri": "https://x"}}}, "invalid_request"),
    ],
)
def test_refuses_what_it_does_not_understand(changed, code):
    with pytest.raises(BadEvent) as refused:
        read({**claims(ONES[0]), **changed})
    assert refused.value.code == code


@pytest.mark.parametrize(
    ("ended", "changed"),
    [
        (ONES[0], {"until": None}),
        (ONES[0], {"until": "99"}),
        (ONES[0], {"until": True}),
        (ONES[0], {"until": -1}),
        (ONES[0], {"not_before": 1}),
        (ONES[3], {"not_before": None}),
        (ONES[3], {"not_before": 1.5}),
        (ONES[2], {"grant_ids": []}),
        (ONES[2], {"grant_ids": [1]}),
        (ONES[2], {"grant_ids": "one"}),
        (ONES[5], {"not_before": None}),
        (ONES[6], {"subs": []}),
        (ONES[6], {"subs": ["alice", 1]}),
        (ONES[6], {"not_before": None}),
        (ONES[7], {"kids": "kid"}),
        (ONES[7], {"not_before": 1}),
    ],
)
def test_refuses_an_event_that_lacks_what_its_subject_needs(ended, changed):
    said = claims(ended)
    said["events"] = {name: {**event, **changed} for name, event in said["events"].items()}
    with pytest.raises(BadEvent):
        read(said)


@pytest.mark.spec("RFC 8936 section 2.4")
def test_reads_a_question():
    asked = Poll.parse('{"maxEvents": 7, "ack": ["a"], "setErrs": {"b": {"err": "jwtHdr"}}, "other": [1]}')
    assert asked == Poll(most=7, acknowledged=("a",), failed={"b": "jwtHdr"})
    assert Poll.parse("{}") == Poll(most=security_event.MOST_EVENTS, acknowledged=(), failed={})


@given(st.text())
def test_any_other_text_is_a_question_or_refused(text):
    try:
        Poll.parse(text)
    except InvalidRequest:
        return


def test_every_kind_is_written_and_read():
    assert {each.kind for each in ONES} == set(security_event.KINDS)
    assert replace(ONES[0], until=1) != ONES[0]
