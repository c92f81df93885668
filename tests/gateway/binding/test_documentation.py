"""What the how-to shows can be loaded."""

from __future__ import annotations

import re
from pathlib import Path

from idp.gateway.binding.model import Bind
from idp.gateway.load import parse
from tests.gateway.policy.test_schema import fits

PAGE = (Path(__file__).parents[3] / "docs/how-to/bind-tokens.md").read_text("utf-8")


def test_the_gateways_file_loads_and_fits_its_schema() -> None:
    text, _ = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    config = parse(text)
    assert fits(text)
    assert {route.id: route.bind for route in config.routes} == {
        "orders": Bind(dpop="required"),
        "profile": Bind(dpop="optional"),
        "settlement": Bind(mtls=True),
    }
