"""The provider as servers find it: `idp.wsgi:app`, by idp.toml and the environment."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from idp.app import create_app
from idp.settings import Settings
from idp.web.housekeeping import Housekeeper
from idp.web.services import EXTENSION

if TYPE_CHECKING:
    from idp.web.services import Services

app = create_app(Settings.load(None))
Housekeeper(cast("Services", app.extensions[EXTENSION])).start()
