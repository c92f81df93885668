"""Settings: what the operator decides. Read once, checked whole, never changed afterwards.

A flag wins over the environment (IDP_*), the environment over a secrets file, that over idp.toml.
"""

from __future__ import annotations

from idp.settings.errors import SettingsError
from idp.settings.model import Settings

__all__ = ["Settings", "SettingsError"]
