from __future__ import annotations

import datetime as dt
import json
import tomllib
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from idp.gateway.policy.schema import render, schema
from tests.gateway.conftest import ROUTES
from tests.gateway.policy.ground import HEAD, file, route
from tests.gateway.policy.test_against_reference import files
from tests.gateway.policy.test_load import problems

VALIDATOR = jsonschema.Draft202012Validator(schema())


def plain(value: object) -> object:
    """Write dates and times as JSON has them."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def fits(text: str) -> bool:
    return VALIDATOR.is_valid(plain(tomllib.loads(text)))


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(schema())


def test_the_published_schema_is_this_one():
    published = Path(__file__).parents[3] / "docs/gateway.schema.json"
    assert json.loads(published.read_text()) == schema()
    assert published.read_text() == render()


@settings(
    max_examples=60,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(files())
def test_every_file_that_loads_fits(text):
    assert fits(text)


def test_the_file_of_other_tests_fits():
    assert fits(HEAD + ROUTES.format(audience="https://orders.example", upstream="http://127.0.0.1:9"))


@pytest.mark.parametrize(
    "field",
    [
        "requires = {}",
        'require = { scopes = ["a"] }',
        'require = { scope = "a" }',
        'require = { scope = ["a b"] }',
        'require = { scope = ["a", "a"] }',
        "require = { acr = 2 }",
        "require = { max_age = 15 }",
        "require = { claims = {} }",
        "require = { claims = { a = 1.5 } }",
        "when = [{}]",
        'when = [{ role = "a", scope = "b" }]',
        'when = [{ rolle = "a" }]',
        'when = { role = "a" }',
        "when = [{ any = [] }]",
        "when = [{ not = [] }]",
        'when = [{ not = { any = [{ roles = ["x"] }] } }]',
        'when = [{ eq = ["claim.sub"] }]',
        'when = [{ eq = ["claim.sub", "alice"] }]',
        'when = [{ method = ["BREW"] }]',
        "when = [{ time = {} }]",
        'when = [{ time = { tz = "UTC", from = "8" } }]',
        'when = [{ time = { tz = "UTC", days = "mon-fry" } }]',
        'review = { owner = "x" }',
        'review = { owner = "x", by = 2026-01-01, expired = "ignore" }',
        'mode = "off"',
        'body_limit = "1 MB"',
    ],
)  # fmt: skip
def test_what_the_loader_refuses_for_its_form_does_not_fit(field):
    text = file(route(field))
    assert problems(text)
    assert not fits(text)


@pytest.mark.parametrize("text", ["", "version = 2\n", HEAD, HEAD + "[server]\nport = 1\n", HEAD + "[other]\n"])
def test_neither_does_half_a_file(text):
    assert not fits(text)
