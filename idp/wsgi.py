"""The provider as servers find it: `idp.wsgi:app`, by idp.toml and the environment."""

from __future__ import annotations

from idp.app import create_app
from idp.settings import Settings

app = create_app(Settings.load(None))
