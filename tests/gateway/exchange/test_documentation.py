"""The files in the documentation load."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from idp.gateway.load import parse
from tests.gateway.policy.test_schema import fits

PAGE = (Path(__file__).parents[3] / "docs/how-to/exchange-at-the-gateway.md").read_text()
FILES = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize("number", range(3))
def test_a_file_in_the_documentation_loads(number):
    config = parse(FILES[number])
    assert fits(FILES[number])
    assert len(FILES) == 3
    assert any(route.exchange or route.assertion for route in config.routes)
