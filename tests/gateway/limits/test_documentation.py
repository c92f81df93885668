"""The how-to page: what it shows is what loads."""

from __future__ import annotations

import re
from pathlib import Path

from idp.gateway.limits.model import Store
from idp.gateway.load import parse

PAGE = (Path(__file__).parents[3] / "docs/how-to/limit-requests.md").read_text()
HEAD = 'version = 1\n[issuers.main]\nissuer = "https://idp.example"\n'


def test_the_files_in_the_documentation_load():
    route, store = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    config = parse(HEAD + route + store)
    assert [limit.name for limit in config.routes[0].limits or ()] == ["ip", "client", "subject", "hourly"]
    assert (config.routes[0].concurrency, config.routes[0].seconds) == (50, 10.0)
    assert config.limits == Store(kind="redis", url="rediss://cache.internal:6379/0", replicas=3)
