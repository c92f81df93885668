"""Lists in the environment: `a, b` as well as the JSON that pydantic-settings would want."""

from __future__ import annotations

import json


def parse(value: object) -> object:
    """Split text at commas, or read it as JSON when it is a JSON list."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return json.loads(value)
        except ValueError:
            raise ValueError("write a list such as a, b") from None
    return [part.strip() for part in value.split(",") if part.strip()]
