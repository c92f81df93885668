from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

from idp.cli.gateway_policy import COMMANDS
from idp.gateway.load import parse
from idp.gateway.policy.lint import findings
from tests.gateway.policy.test_schema import fits

PAGE = (Path(__file__).parents[3] / "docs/policy.md").read_text()


def test_the_file_in_the_documentation_loads_and_is_clean():
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    config = parse(text)
    assert fits(text)
    assert config.ended
    assert findings(config, dt.date(2026, 11, 23)) == ()


def test_every_command_is_named_in_the_documentation():
    assert {command.name for command in COMMANDS} <= set(re.findall(r"`idp gateway ([a-z-]+)", PAGE))
