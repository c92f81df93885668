"""What the how-to shows is what the files say, and the files are whole."""

from __future__ import annotations

import re

import pytest

from idp.gateway.load import parse
from tests.fronts.places import DEPLOY
from tests.services.fronts import FRONTS

PAGE = (DEPLOY.parent / "how-to" / "put-behind-a-front.md").read_text("utf-8")
SHOWN = {
    "The gateway": ["gateway.toml"],
    "nginx": ["nginx/gatehouse.conf"],
    "Caddy": ["caddy/Caddyfile"],
    "Traefik": ["traefik/traefik.yaml", "traefik/gatehouse.yaml"],
    "Envoy": ["envoy/envoy.yaml"],
}


@pytest.mark.parametrize("chapter", SHOWN)
def test_every_line_shown_is_in_the_file(chapter):
    text = re.split(rf"^##+ (?:\d\. )?{chapter}$", PAGE, flags=re.MULTILINE)[1]
    block = re.search(r"```\w*\n(.*?)```", text, re.DOTALL)[1]
    file = {line.strip() for name in SHOWN[chapter] for line in (DEPLOY / name).read_text("utf-8").splitlines()}
    for line in filter(None, block.splitlines()):
        assert line.strip() in file


@pytest.mark.parametrize("name", FRONTS)
def test_the_gateways_file_can_be_loaded_for_every_front(name):
    text = (DEPLOY / "gateway.toml").read_text("utf-8")
    config = parse(text.replace('contract = "nginx"', f'contract = "{name}"'))
    assert (config.server.shape, config.server.contract) == ("forward_auth", name)
    assert len(config.routes) == 8


def test_every_file_is_named_in_the_page():
    for file in DEPLOY.rglob("*.*"):
        if file.is_file():
            assert f"(../deploy/{file.relative_to(DEPLOY)})" in PAGE
    assert "(../deploy/caddy/Caddyfile)" in PAGE
