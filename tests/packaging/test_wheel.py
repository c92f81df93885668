"""A plain install gives the whole provider."""

from __future__ import annotations

import zipfile

import pytest

pytestmark = pytest.mark.xdist_group("packaging")

RENDER = """
import pathlib
from idp import assets
from idp.app import create_app
from idp.settings import Settings
from idp.store import migrate
from idp.store.database import Database
from idp.store.sealed import create_master_key

here = pathlib.Path("data").resolve()
here.mkdir()
create_master_key(here / "master.key")
url = f"sqlite:///{here}/idp.db"
database = Database.open(url)
migrate.upgrade(database.engine)
database.close()
settings = Settings.load(None, issuer="https://localhost", database_url=url, master_key_file=here / "master.key")
client = create_app(settings).test_client()
page = client.get("/authorize", base_url="https://localhost")
style = client.get(assets.address("css/gatehouse.css"), base_url="https://localhost")
print(page.status_code, "oauth-error" in page.text, style.status_code, pathlib.Path(assets.__file__).parent)
"""


def test_the_wheel_carries_every_source_and_every_asset(wheel, sources):
    inside = set(zipfile.ZipFile(wheel).namelist())
    code = {path.relative_to(sources).as_posix() for path in (sources / "idp").rglob("*.py")}
    data = {
        path.relative_to(sources).as_posix()
        for path in (sources / "idp").rglob("*")
        if path.suffix in {".bin", ".mako"}
    }
    assets = {
        f"idp/{path.relative_to(sources).as_posix()}"
        for folder in ("templates", "static")
        for path in (sources / folder).rglob("*")
        if path.is_file()
    }
    assert code | data | assets | {"idp/py.typed"} <= inside


def test_the_wheel_carries_nothing_else(wheel):
    inside = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in inside if ".dist-info/" not in name} == {"idp"}


def test_the_installed_wheel_renders_a_page(wheel, environment):
    environment.install(wheel)
    # The log of the refusal stands beside it, before or behind.
    [told] = [
        line
        for line in environment.run(environment.bin / "python", "-c", RENDER).splitlines()
        if not line.startswith("{")
    ]
    assert told.startswith("400 True 200")
    assert told.endswith("site-packages/idp")
