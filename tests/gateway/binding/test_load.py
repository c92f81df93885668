"""What gateway.toml may say about bound tokens."""

from __future__ import annotations

import pytest

from idp.gateway.binding.model import Bind, Dpop
from idp.gateway.headers import Strip
from idp.gateway.load import ConfigError, parse
from tests.gateway.binding.ground import ROUTES, text


def wrong(given: str) -> list[str]:
    with pytest.raises(ConfigError) as found:
        parse(given)
    return [str(problem) for problem in found.value.problems]


def test_reads_what_each_route_demands() -> None:
    config = parse(text('[dpop]\nscheme = "https"\nnonce = true\nnonce_key_file = "/etc/gatehouse/nonce.key"\n'))
    assert {route.id: route.bind for route in config.routes} == {
        "plain": Bind(),
        "free": Bind(dpop="optional"),
        "proved": Bind(dpop="required"),
        "shown": Bind(mtls=True),
        "both": Bind(dpop="required", mtls=True),
    }
    assert (config.dpop.scheme, config.dpop.nonce, config.headers.client_certificate) == ("https", True, "client-cert")


def test_by_default_no_nonce_is_asked_for() -> None:
    assert parse(text()).dpop == Dpop()


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (ROUTES["free"], "bind = {}", 'must hold "dpop", "mtls", or both'),
        (ROUTES["free"], 'bind = { dpop = "always" }', 'must be "required" or "optional"'),
        (ROUTES["free"], 'bind = { mtls = "optional" }', 'must be "required"'),
        (ROUTES["free"], "bind = { tls = true }", 'field "tls" is unknown'),
        ('client_certificate = "Client-Cert"', "", 'needs "client_certificate"'),
        ('client_certificate = "Client-Cert"', 'client_certificate = "a b"', "header names"),
        ('trusted_proxies = ["10.0.0.0/8"]', "", "must name the front"),
    ],
)
def test_what_cannot_be_meant_is_told(before: str, after: str, said: str) -> None:
    assert any(said in problem for problem in wrong(text().replace(before, after)))


def test_a_socket_needs_no_network_to_be_trusted() -> None:
    lonely = text('[server]\nlisten = "unix:/run/gatehouse.sock"\n').replace('trusted_proxies = ["10.0.0.0/8"]', "")
    assert parse(lonely).headers.client_certificate == "client-cert"


def test_a_key_for_nonces_that_nobody_asks_for_is_told() -> None:
    assert "nonce_key_file" in wrong(text('[dpop]\nnonce_key_file = "/x"\n'))[0]


@pytest.mark.attack("TK30", "TK35")
@pytest.mark.parametrize("name", ["dpop", "client-cert", "Client_Cert".lower(), "client.cert"])
def test_proof_and_certificate_stay_here(name: str) -> None:
    assert Strip(parse(text()).headers.withheld, authorization=False).drops(name.encode())
