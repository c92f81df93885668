"""Static files: found in a checkout and in a wheel, kept for ever under an address that names their content."""

from collections.abc import Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from idp import assets
from idp.web import assets as web_assets


@pytest.fixture
def http() -> Iterator[FlaskClient]:
    app = Flask("gallery", static_folder=assets.folder("static"), static_url_path="/static")
    web_assets.init_app(app, product="Gatehouse")
    with app.test_client() as client:
        yield client


def test_an_address_that_names_the_content_is_kept_for_ever(http: FlaskClient) -> None:
    with http.get(assets.address("css/gatehouse.css")) as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"


def test_an_address_with_another_hash_is_asked_for_again(http: FlaskClient) -> None:
    with http.get("/static/css/gatehouse.css?v=000000000000") as answer:
        assert answer.headers["Cache-Control"] == "no-cache"


def test_a_missing_file_is_not_found(http: FlaskClient) -> None:
    assert http.get("/static/css/other.css?v=1").status_code == 404


@pytest.mark.parametrize("path", ["css/other.css", "../setup.cfg/x"])
def test_refuses_the_address_of_a_file_that_is_not_carried(path: str) -> None:
    with pytest.raises(assets.AssetMissing):
        assets.address(path)


def test_refuses_a_folder_that_is_not_carried() -> None:
    with pytest.raises(assets.AssetMissing):
        assets.folder("sounds")
