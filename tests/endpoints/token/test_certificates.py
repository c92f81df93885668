"""Clients that are known by their certificate, and tokens that are bound to it (RFC 8705)."""

from __future__ import annotations

import pytest
from werkzeug.test import TestResponse

from idp.settings import Settings
from tests.endpoints.token.conftest import ORDERS
from tests.fixtures.browser import claims
from tests.fixtures.certificates import Certified, make
from tests.fixtures.clients import App, register

MTLS = "https://mtls.localhost"
FRONT, STRANGER = "10.0.0.1", "192.0.2.7"
DN = {"subject_dn": "CN=orders,O=Example,C=FR"}


@pytest.fixture(scope="module")
def authority() -> Certified:
    return make("Authority", authority=True)


@pytest.fixture(scope="module")
def certified(authority: Certified) -> Certified:
    """The certificate of a client, by the authority."""
    return make(by=authority)


@pytest.fixture
def settings(settings: Settings, authority: Certified, tmp_path) -> Settings:
    file = tmp_path / "clients.pem"
    file.write_bytes(authority.pem)
    return Settings.load(
        None,
        issuer=settings.issuer,
        database_url=settings.database_url,
        master_key_file=settings.master_key_file,
        metrics_port=0,
        trusted_proxies="10.0.0.0/8",
        client_certificate_header="ClientCert",
        client_ca_file=file,
        mtls_base_url=MTLS,
    )


@pytest.fixture
def machine(services, orders_api):
    """Register a program that may act for itself at orders."""

    def machine(name: str, auth_method: str, **facts: object) -> App:
        grants = ["client_credentials"]
        made = register(services, name, auth_method=auth_method, scopes=orders_api.scopes, grant_types=grants, **facts)
        return made if "secret" in auth_method else App(client_id=made.client_id)

    return machine


@pytest.fixture
def ask(http):
    """Ask for a token as the front hands it on."""

    def ask(
        app: App,
        certificate: str | None,
        *,
        peer: str | None = FRONT,
        headers: dict[str, str] | None = None,
        **form: str,
    ) -> TestResponse:
        sent = {} if certificate is None else {"ClientCert": certificate}
        proof = app.basic if app.secret is not None else {}
        data = {"grant_type": "client_credentials", "client_id": app.client_id, "resource": ORDERS, **form}
        environ = {} if peer is None else {"REMOTE_ADDR": peer}
        return http.post("/token", data=data, headers={**proof, **sent, **(headers or {})}, environ_base=environ)

    return ask


@pytest.mark.spec("RFC 8705 section 2.1")
@pytest.mark.parametrize("form", ["as_nginx", "as_rfc_9440"])
def test_an_authority_vouches_for_a_client(ask, machine, certified, form):
    app = machine("orders", "tls_client_auth", tls_subject=DN)
    assert ask(app, getattr(certified, form)).status_code == 200


@pytest.mark.spec("RFC 8705 section 2.2")
def test_a_registered_certificate_will_do(ask, machine):
    own = make()
    app = machine("orders", "self_signed_tls_client_auth", jwks=own.jwks)
    assert ask(app, own.as_nginx).status_code == 200
    assert ask(app, make().as_nginx).json["error"] == "invalid_client"


@pytest.mark.attack("TK35")
def test_without_the_right_certificate_a_client_is_nobody(ask, machine, authority, certified):
    app = machine("orders", "tls_client_auth", tls_subject=DN)
    for certificate in (None, "", "nonsense", make().as_nginx, make("stock", by=authority).as_nginx):
        answer = ask(app, certificate)
        assert (answer.status_code, answer.json["error"]) == (401, "invalid_client")
        assert answer.json["error_description"] == "client authentication failed"
    assert ask(app, f"{certified.as_nginx},{certified.as_nginx}").json["error"] == "invalid_client"


@pytest.mark.attack("TK35")
@pytest.mark.parametrize("peer", [STRANGER, "127.0.0.1"])
def test_a_certificate_that_a_stranger_claims_is_none(ask, machine, certified, peer):
    app = machine("orders", "tls_client_auth", tls_subject=DN)
    assert ask(app, certified.as_nginx, peer=peer).json["error"] == "invalid_client"


@pytest.mark.attack("TK35")
@pytest.mark.parametrize("header", ["Client-Cert", "Client_Cert", "X-ClientCert", "SSL-Client-Cert"])
def test_a_certificate_in_another_header_is_none(ask, machine, certified, header):
    app = machine("orders", "tls_client_auth", tls_subject=DN)
    assert ask(app, None, headers={header: certified.as_nginx}).json["error"] == "invalid_client"


@pytest.mark.attack("TK4")
def test_a_certificate_does_not_replace_the_registered_method(ask, machine, certified, public_app):
    kept = machine("kept", "client_secret_basic")
    assert ask(App(client_id=kept.client_id), certified.as_nginx).json["error"] == "invalid_client"
    known = machine("orders", "tls_client_auth", tls_subject=DN)
    secret = ask(known, certified.as_nginx, client_secret="x" * 43)
    assert secret.json["error"] == "invalid_client"


@pytest.mark.spec("RFC 8705 section 3.1")
def test_a_token_is_bound_to_the_certificate_where_the_client_is_registered_so(http, ask, machine, certified):
    app = machine("orders", "tls_client_auth", tls_subject=DN, certificate_bound=True)
    told = ask(app, certified.as_nginx).json
    assert told["token_type"] == "Bearer"
    assert claims(told["access_token"])["cnf"] == {"x5t#S256": certified.x5t}
    state = http.post(
        "/introspect",
        data={"token": told["access_token"], "client_id": app.client_id},
        headers={"ClientCert": certified.as_rfc_9440},
        environ_base={"REMOTE_ADDR": FRONT},
    ).json
    assert (state["active"], state["cnf"], state["token_type"]) == (True, {"x5t#S256": certified.x5t}, "Bearer")


def test_a_certificate_that_only_authenticates_binds_nothing(ask, machine, certified):
    told = ask(machine("orders", "tls_client_auth", tls_subject=DN), certified.as_nginx).json
    assert "cnf" not in claims(told["access_token"])


@pytest.mark.attack("TK35")
@pytest.mark.spec("RFC 8705 section 3.4")
def test_a_client_with_a_secret_may_bind_its_tokens_and_then_always_has_to(ask, machine):
    app, own = machine("kept", "client_secret_basic", certificate_bound=True), make()
    assert claims(ask(app, own.as_nginx).json["access_token"])["cnf"] == {"x5t#S256": own.x5t}
    for certificate, peer in ((None, FRONT), (own.as_nginx, STRANGER)):
        refused = ask(app, certificate, peer=peer)
        assert (refused.status_code, refused.json["error"]) == (400, "invalid_request")


@pytest.mark.attack("TK35")
@pytest.mark.spec("RFC 8705 section 3")
def test_userinfo_answers_the_holder_of_the_certificate_alone(http, services, browser, alice):
    own = make()
    app = register(
        services,
        "web",
        scopes=("openid",),
        grant_types=["authorization_code"],
        redirect_uris=["https://web.example/cb"],
        certificate_bound=True,
    )
    by_front = {"environ_base": {"REMOTE_ADDR": FRONT}}
    form = {"grant_type": "authorization_code", "code": browser.code(app, alice), "redirect_uri": app.redirect_uri}
    form["code_verifier"] = "a-verifier-of-at-least-forty-three-characters-0123"
    token = http.post("/token", data=form, headers={**app.basic, "ClientCert": own.as_nginx}, **by_front).json
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    good = http.get("/userinfo", headers={**bearer, "ClientCert": own.as_nginx}, **by_front)
    assert good.json == {"sub": alice.id}
    for headers, peer in (
        ({}, FRONT),
        ({"ClientCert": make().as_nginx}, FRONT),
        ({"ClientCert": own.as_nginx}, STRANGER),
    ):
        refused = http.get("/userinfo", headers={**bearer, **headers}, environ_base={"REMOTE_ADDR": peer})
        assert (refused.status_code, refused.json["error"]) == (401, "invalid_token")


@pytest.mark.spec("RFC 8705 section 4")
@pytest.mark.attack("TK33")
def test_the_refresh_token_of_a_public_client_is_for_the_holder_of_its_certificate(http, services, browser, alice):
    own = make()
    app = register(
        services,
        "device",
        auth_method="none",
        scopes=("openid", "offline_access"),
        grant_types=["authorization_code", "refresh_token"],
        redirect_uris=["https://device.example/cb"],
        certificate_bound=True,
    )

    def ask(certificate: Certified, **form: str) -> TestResponse:
        data, headers = {"client_id": app.client_id, **form}, {"ClientCert": certificate.as_nginx}
        return http.post("/token", data=data, headers=headers, environ_base={"REMOTE_ADDR": FRONT})

    code = browser.code(app, alice, scope="openid offline_access", prompt="consent")
    told = ask(
        own,
        grant_type="authorization_code",
        code=code,
        redirect_uri=app.redirect_uri,
        code_verifier="a-verifier-of-at-least-forty-three-characters-0123",
    ).json
    form = {"grant_type": "refresh_token", "refresh_token": told["refresh_token"]}
    assert ask(make(), **form).json["error"] == "invalid_grant"
    assert ask(own, **form).status_code == 200


@pytest.mark.spec("RFC 8705 section 5")
def test_discovery_tells_where_certificates_are_asked_for(http):
    told = http.get("/.well-known/openid-configuration").json
    assert told["mtls_endpoint_aliases"] == {
        "token_endpoint": f"{MTLS}/token",
        "introspection_endpoint": f"{MTLS}/introspect",
        "revocation_endpoint": f"{MTLS}/revoke",
        "userinfo_endpoint": f"{MTLS}/userinfo",
    }
    assert told["tls_client_certificate_bound_access_tokens"] is True
    assert {"tls_client_auth", "self_signed_tls_client_auth"} <= set(told["token_endpoint_auth_methods_supported"])


def test_the_other_name_is_for_programs_alone(http, certified, machine):
    app = machine("orders", "tls_client_auth", tls_subject=DN)
    form = {"grant_type": "client_credentials", "client_id": app.client_id, "resource": ORDERS}
    by_front = {"base_url": MTLS, "environ_base": {"REMOTE_ADDR": FRONT}}
    assert http.post("/token", data=form, headers={"ClientCert": certified.as_nginx}, **by_front).status_code == 200
    assert http.get("/authorize", **by_front).status_code == 400
