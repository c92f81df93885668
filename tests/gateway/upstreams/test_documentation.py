"""What the pages about upstreams and WebSockets show loads."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from idp.gateway.load import parse
from tests.gateway.policy.test_schema import fits

DOCS = Path(__file__).parents[3] / "docs/how-to"
HEAD = 'version = 1\n[issuers.main]\nissuer = "https://idp.example"\n'
ROUTE = '[[routes]]\nid = "one"\nmatch = { host = "a", method = ["GET"], path = "/" }\naudience = "a"\n'


@pytest.mark.parametrize("page", ["guard-a-websocket", "secure-the-upstream"])
def test_every_example_loads_and_fits_the_schema(page):
    examples = re.findall(r"```toml\n(.*?)```", (DOCS / f"{page}.md").read_text(), re.DOTALL)
    assert examples
    for example in examples:
        text = example.partition('on_expiry = "finish"')[0]  # one of two ways
        whole = text if text.startswith("[") else f'{ROUTE}upstream = "http://a"\n{text}'
        whole += "" if "[[routes]]" in whole else f'\n{ROUTE}upstream = "orders"\n'
        assert parse(HEAD + whole).routes
        assert fits(HEAD + whole)
