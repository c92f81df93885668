"""Who may swap which token for what."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from idp.protocol import exchange
from idp.protocol.errors import InvalidRequest, InvalidScope, InvalidTarget, ProtocolError, UnauthorizedClient
from idp.protocol.exchange import MAX_CHAIN, ExchangeRequest, Permission, Requester
from idp.protocol.params import TokenRequest
from idp.protocol.subject import Link, Subject, actors

NOW = 1_900_000_000
ISSUER = "https://id.example"
BOUND, OWN_KEY = {"jkt": "of the subject"}, {"jkt": "of the gateway"}
GATEWAY = Requester(client_id="gateway", issuer=ISSUER, serves=frozenset({"https://a.example"}), asymmetric=True)
MAY = Permission(scopes=frozenset({"read", "write"}), delegate=True, lifetime=300)
ALICE = Subject(
    sub="alice",
    client_id="app",
    jti="first",
    audiences=frozenset({"https://a.example"}),
    scopes=("read", "write"),
    expires_at=NOW + 600,
    acr="aal1",
)


def decide(subject=ALICE, requester=GATEWAY, permission=MAY, actor=None, asked=(), available=("read", "write")):
    return exchange.decide(
        subject, requester, permission, actor=actor, asked=asked, available=frozenset(available), now=NOW
    )


def test_a_subject_is_read_from_its_claims_and_what_is_added_is_read_back():
    decided = decide(replace(ALICE, act={"sub": "earlier"}), replace(GATEWAY, confirmation=OWN_KEY))
    claims = {"sub": "alice", "client_id": "gateway", "jti": "second", "exp": decided.expires_at, "roles": ["clerk"]}
    read = Subject.read({**claims, **decided.claims(), "txn": "t", "acr": "aal2", "scope": "read"}, ["https://b"])
    assert read == Subject(
        sub="alice",
        client_id="gateway",
        jti="second",
        audiences=frozenset({"https://b"}),
        scopes=("read",),
        expires_at=NOW + 300,
        roles=frozenset({"clerk"}),
        acr="aal2",
        act={"sub": "gateway", "iss": ISSUER, "act": {"sub": "earlier"}},
        cnf=OWN_KEY,
        txn="t",
        parents=(Link(jti="first", client_id="app"),),
    )


@pytest.mark.parametrize(
    "broken", [{"act": "gateway"}, {"may_act": []}, {"cnf": 1}, {"parents": "x"}, {"parents": [1]}]
)
def test_malformed_claims_are_refused(broken):
    with pytest.raises(InvalidRequest):
        Subject.read({"sub": "a", "client_id": "b", "jti": "c", "exp": 1, **broken}, [])


@pytest.mark.attack("TX14")
@pytest.mark.spec("RFC 9700 section 4.10")
@pytest.mark.parametrize(
    ("requester", "bound_to"),
    [
        (replace(GATEWAY, client_id="app", confirmation=BOUND), BOUND),
        (replace(GATEWAY, client_id="app", confirmation=OWN_KEY), None),
        (replace(GATEWAY, client_id="app"), None),
        (replace(GATEWAY, confirmation=OWN_KEY), OWN_KEY),
        (GATEWAY, None),
        (replace(GATEWAY, confirmation=OWN_KEY, asymmetric=False), None),
        (replace(GATEWAY, confirmation=BOUND, asymmetric=False), None),
    ],
)
def test_a_bound_token_stays_bound_to_a_key_that_was_proved(requester, bound_to):
    if bound_to is None:
        with pytest.raises(InvalidRequest):
            decide(replace(ALICE, cnf=BOUND), requester)
    else:
        assert decide(replace(ALICE, cnf=BOUND), requester).cnf == bound_to


def test_a_requester_that_proves_a_key_gets_a_bound_token():
    assert decide(requester=replace(GATEWAY, confirmation=OWN_KEY)).cnf == OWN_KEY


@pytest.mark.attack("TX11")
def test_acting_twice_in_a_row_is_acting_once():
    act = {"sub": "gateway", "iss": ISSUER, "act": {"sub": "earlier", "iss": ISSUER}}
    assert decide(replace(ALICE, act=act)).act == act


@pytest.mark.attack("TX11")
@pytest.mark.parametrize(
    "changed",
    [
        {"act": {"sub": "x", "act": {"sub": "gateway"}}},
        {"sub": "gateway"},
        {"act": {"sub": "1", "act": {"sub": "2", "act": {"sub": "3", "act": {"sub": "4"}}}}},
        {"parents": (Link(jti="x", client_id="y"),) * MAX_CHAIN},
    ],
)
def test_chains_have_an_end_and_no_circles(changed):
    with pytest.raises(InvalidRequest):
        decide(replace(ALICE, **changed))


def test_a_token_that_ends_now_buys_nothing():
    with pytest.raises(InvalidRequest):
        decide(replace(ALICE, expires_at=NOW))


@pytest.mark.attack("TX13")
@pytest.mark.spec("RFC 8693 section 1.1")
@pytest.mark.parametrize(
    ("impersonate", "delegate", "actor", "acting"),
    [
        (True, False, None, None),
        (True, True, None, None),
        (True, True, "robot", "robot"),
        (False, True, None, "gateway"),
        (False, True, "robot", "robot"),
        (False, False, None, UnauthorizedClient),
        (True, False, "robot", UnauthorizedClient),
    ],
)
def test_impersonation_and_delegation_are_two_permissions(impersonate, delegate, actor, acting):
    permission = replace(MAY, impersonate=impersonate, delegate=delegate)
    if acting is UnauthorizedClient:
        with pytest.raises(UnauthorizedClient):
            decide(permission=permission, actor=actor)
    else:
        assert actors(decide(permission=permission, actor=actor).act) == (() if acting is None else (acting,))


CLIENTS = ("app", "gateway", "orders", "stock", "ledger")
APIS = ("https://a.example", "https://b.example", "https://c.example")
SCOPES = ("read", "write", "admin", "audit")
some_scopes = st.frozensets(st.sampled_from(SCOPES))


@dataclass(frozen=True, kw_only=True)
class Hop:
    """One exchange that somebody tries."""

    client: str
    serves: frozenset[str]
    target: str
    permission: Permission
    actor: str | None
    asked: tuple[str, ...]
    available: frozenset[str]
    later: int


hops = st.builds(
    Hop,
    client=st.sampled_from(CLIENTS),
    serves=st.frozensets(st.sampled_from(APIS)),
    target=st.sampled_from(APIS),
    permission=st.builds(
        Permission,
        scopes=some_scopes,
        impersonate=st.booleans(),
        delegate=st.booleans(),
        lifetime=st.integers(1, 4_000),
        require_acr=st.sampled_from([None, "aal1", "aal2"]),
        may_act=st.sampled_from([None, *CLIENTS]),
        narrow=st.booleans(),
    ),
    actor=st.sampled_from([None, *CLIENTS]),
    asked=st.lists(st.sampled_from(SCOPES), unique=True, max_size=2).map(tuple),
    available=some_scopes,
    later=st.integers(0, 400),
)


@pytest.mark.attack("TX15")
@pytest.mark.spec("RFC 8693 section 5")
@settings(max_examples=400)
@given(st.lists(hops, max_size=12))
def test_over_any_chain_scope_reach_and_lifetime_never_grow(chain):
    """Whatever chain of exchanges clients try, round in circles too, each step gives the same or less."""
    token, now, steps = replace(ALICE, scopes=SCOPES[:3]), NOW, 0
    for hop in chain:
        now += hop.later
        requester = Requester(client_id=hop.client, issuer=ISSUER, serves=hop.serves)
        try:
            got = exchange.decide(
                token, requester, hop.permission, actor=hop.actor, asked=hop.asked, available=hop.available, now=now
            )
        except ProtocolError:
            continue
        steps += 1
        # Reach: only who owns the token or serves it may pass it on, and only to the one target of a permission.
        assert hop.client == token.client_id or token.audiences & hop.serves
        assert set(got.scopes) <= set(token.scopes) & hop.permission.scopes & hop.available
        assert now < got.expires_at <= token.expires_at
        assert got.expires_at - now <= hop.permission.lifetime
        assert actors(got.act)[-len(actors(token.act)) or MAX_CHAIN :] == actors(token.act)
        assert len(actors(got.act)) <= MAX_CHAIN
        assert [each.jti for each in got.parents][1:] == [each.jti for each in token.parents]
        token = Subject.read(
            {
                **got.claims(),
                "sub": token.sub,
                "client_id": hop.client,
                "jti": f"jti-{steps}",
                "exp": got.expires_at,
                "scope": " ".join(got.scopes),
                "acr": token.acr,
            },
            [hop.target],
        )
        assert token.audiences == {hop.target}
    assert steps <= MAX_CHAIN


@pytest.mark.attack("TX7")
def test_the_target_is_one_of_those_permitted():
    assert exchange.target({"a"}, ["a", "b"]) == "a"
    assert exchange.target((), ["a"]) == "a"
    for asked, permitted in (({"a", "b"}, ["a", "b"]), ({"c"}, ["a"]), ((), []), ((), ["a", "b"])):
        with pytest.raises(InvalidTarget):
            exchange.target(asked, permitted)


@pytest.mark.attack("TX8")
@pytest.mark.parametrize(
    ("permission", "available", "asked"),
    [({"read"}, {"read"}, ("write",)), (set(), {"read"}, ()), ({"admin"}, {"admin"}, ()), ({"read"}, set(), ("read",))],
)
def test_no_scope_that_one_of_them_lacks(permission, available, asked):
    with pytest.raises(InvalidScope):
        decide(permission=replace(MAY, scopes=frozenset(permission)), available=available, asked=asked)


@pytest.mark.attack("TX8")
@pytest.mark.spec("RFC 8693 section 2.2.1")
@pytest.mark.parametrize(
    ("asked", "given"), [(("write", "admin", "read"), ("read",)), (("read",), ("read",)), ((), ("read",))]
)
def test_a_policy_that_narrows_leaves_out_what_is_beyond_it(asked, given):
    narrowing = replace(MAY, scopes=frozenset({"read", "admin"}), narrow=True)
    assert decide(permission=narrowing, asked=asked).scopes == given


@pytest.mark.attack("TX8")
@pytest.mark.parametrize("asked", [("write",), ("unknown",), ("admin", "write")])
def test_a_policy_that_narrows_gives_nothing_else_where_nothing_is_left(asked):
    with pytest.raises(InvalidScope, match="no scope is left"):
        decide(permission=replace(MAY, scopes=frozenset({"read", "admin"}), narrow=True), asked=asked)


@pytest.mark.attack("TX12")
@pytest.mark.spec("RFC 8693 section 4.4")
@pytest.mark.parametrize(
    "may_act", [{"sub": "other"}, {"sub": "gateway", "groups": ["x"]}, {"iss": ISSUER}, {"sub": ["gateway"]}]
)
def test_may_act_names_one_who_is_exactly_that(may_act):
    assert decide(replace(ALICE, may_act={"sub": "gateway", "iss": ISSUER}))
    with pytest.raises(InvalidRequest):
        decide(replace(ALICE, may_act=may_act))


@pytest.mark.attack("TX12")
def test_a_permission_may_insist_on_may_act():
    with pytest.raises(InvalidRequest):
        decide(permission=replace(MAY, require_may_act=True))


def form(**values):
    return TokenRequest.parse([("grant_type", exchange.GRANT_TYPE), *values.items()])


@pytest.mark.attack("TX3")
@pytest.mark.spec("RFC 8693 section 2.1")
def test_reads_the_parameters_of_an_exchange():
    pair = {"subject_token": "s", "subject_token_type": exchange.ACCESS_TOKEN}
    actor = {"actor_token": "a", "actor_token_type": exchange.ACCESS_TOKEN}
    asked = ExchangeRequest.parse(form(**pair, **actor, scope="read write"))
    assert asked == ExchangeRequest(subject_token="s", actor_token="a", scopes=("read", "write"))
    assert "'s'" not in repr(asked)
    for wrong in (
        {**pair, "subject_token_type": "jwt"},
        {**pair, "actor_token": "a"},
        {**pair, **actor, "actor_token_type": "jwt"},
        {**pair, "requested_token_type": "urn:ietf:params:oauth:token-type:refresh_token"},
        {"subject_token_type": exchange.ACCESS_TOKEN},
    ):
        with pytest.raises(InvalidRequest):
            ExchangeRequest.parse(form(**wrong))


@pytest.mark.attack("TX7")
def test_only_an_exchange_may_name_audiences_more_than_once():
    twice = [("audience", "https://a.example"), ("audience", "https://b.example")]
    asked = TokenRequest.parse([("grant_type", exchange.GRANT_TYPE), *twice])
    assert asked.targets() == {"https://a.example", "https://b.example"}
    with pytest.raises(InvalidRequest):
        TokenRequest.parse([("grant_type", "client_credentials"), *twice])
    with pytest.raises(InvalidTarget):
        TokenRequest.parse([("grant_type", exchange.GRANT_TYPE), *twice, ("audience", "x" * 5_000)])
