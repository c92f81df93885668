"""The provider for servers started in a checkout: `wsgi:app`."""

from idp.wsgi import app

__all__ = ["app"]
