"""Where settings come from: the file, the environment, a folder of secrets."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource
from pydantic_settings.exceptions import SettingsError as SourceError

from idp.settings.errors import SettingsError, in_words

if TYPE_CHECKING:
    from idp.settings.model import Settings

PREFIX = "IDP_"
DEFAULT_FILE = Path("idp.toml")
PATHS = frozenset({"master_key_file", "tls_certificate", "tls_key", "breached_list"})
SQLITE_RELATIVE = "sqlite:///"
# Variables of ours that are no settings of the provider.
NOT_SETTINGS = frozenset({"config", "secrets_dir", "gateway_port", "demo_api_port", "demo_app_port"})
CLOSE = 0.8

_file: ContextVar[Path | None] = ContextVar("idp_settings_file", default=None)


class TomlSource(PydanticBaseSettingsSource):
    """idp.toml, its relative paths counted from where it lies."""

    def get_field_value(self, _field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return nothing: the whole file is taken at once, so that unknown names are seen."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return what the file says."""
        path = _file.get()
        return {} if path is None else read(path)


def load(cls: type[Settings], config: Path | None, given: Mapping[str, object]) -> Settings:
    """Build the settings from every source."""
    _refuse_misspelt(cls, os.environ)
    secrets = os.environ.get(f"{PREFIX}SECRETS_DIR")
    if secrets is not None and not Path(secrets).is_dir():
        raise SettingsError(["IDP_SECRETS_DIR: there is no such folder"])
    token = _file.set(_find(config))
    try:
        arguments: dict[str, Any] = {"_secrets_dir": secrets, **given}
        return cls(**arguments)
    except ValidationError as error:
        raise in_words(error) from None
    except SourceError:
        raise SettingsError(["a value in the environment could not be read"]) from None
    finally:
        _file.reset(token)


def read(path: Path) -> dict[str, Any]:
    """Read a settings file."""
    try:
        found = tomllib.loads(path.read_text("utf-8"))
    except OSError:
        raise SettingsError([f"{path}: this file cannot be read"]) from None
    except UnicodeDecodeError:
        raise SettingsError([f"{path}: this file is not UTF-8 text"]) from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError([f"{path}: {_place(error)}"]) from None
    return {name: _beside(path, name, value) for name, value in found.items()}


def _find(config: Path | None) -> Path | None:
    named = config or (Path(os.environ[f"{PREFIX}CONFIG"]) if os.environ.get(f"{PREFIX}CONFIG") else None)
    if named is not None:
        if not named.is_file():
            raise SettingsError([f"{named}: there is no such settings file"])
        return named
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _beside(path: Path, name: str, value: Any) -> Any:
    if name == "connectors" and isinstance(value, dict):
        return {each: _files_beside(path, table) for each, table in value.items()}
    if not isinstance(value, str) or not value:
        return value
    if name in PATHS:
        return str(path.parent / value)
    relative = value.removeprefix(SQLITE_RELATIVE)
    if name == "database_url" and relative != value and not relative.startswith("/"):
        return f"{SQLITE_RELATIVE}{path.parent / relative}"
    return value


def _files_beside(path: Path, table: Any) -> Any:
    """Let the files that a connector names lie beside the settings too."""
    if not isinstance(table, dict):
        return table
    return {
        key: str(path.parent / value) if key.endswith("_file") and isinstance(value, str) and value else value
        for key, value in table.items()
    }


def _place(error: tomllib.TOMLDecodeError) -> str:
    # The parser's own sentence ends with line and column, and may quote one character, never a value.
    return f"this is not TOML ({error})"


def _refuse_misspelt(cls: type[Settings], environment: Mapping[str, str]) -> None:
    fields = list(cls.model_fields)
    problems = []
    for variable in environment:
        name = variable.removeprefix(PREFIX).lower()
        if not variable.startswith(PREFIX) or name in cls.model_fields or name in NOT_SETTINGS:
            continue
        close = difflib.get_close_matches(name, fields, n=1, cutoff=CLOSE)
        if close:
            problems.append(f"{variable}: there is no such setting; did you mean {PREFIX}{close[0].upper()}?")
    if problems:
        raise SettingsError(problems)
