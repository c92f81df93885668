"""What is wrong with the settings, said to a person: the field first, then what to write there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

WORDS: Mapping[str, str] = {
    "missing": "this setting is needed",
    "extra_forbidden": "there is no such setting",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "string_type": "write text in quotes",
    "path_type": "write the path of a file",
    "greater_than": "write more than {gt}",
    "greater_than_equal": "write at least {ge}",
    "less_than": "write less than {lt}",
    "less_than_equal": "write at most {le}",
    "literal_error": "write one of {expected}",
    "string_too_short": "write at least {min_length} characters",
    "string_too_long": "write at most {max_length} characters",
    "tuple_type": "write a list",
    "time_delta_type": "write a duration such as 30s, 10m, 12h or 7d",
    "ip_any_network": "write networks such as 10.0.0.0/8",
}


class SettingsError(ValueError):
    """The settings cannot be used; `problems` has one line for each field."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))


def in_words(error: ValidationError) -> SettingsError:
    """Translate what pydantic found. Values are never repeated: one of them may be a password."""
    found = error.errors(include_url=False, include_input=False)
    # A rule about several fields names them itself, one to a line.
    return SettingsError(dict.fromkeys(line for each in found for line in _told(dict(each)).splitlines()))


def _told(problem: dict[str, Any]) -> str:
    context = {name: value for name, value in problem.get("ctx", {}).items() if name != "error"}
    kind = str(problem["type"])
    if kind == "value_error":
        text = str(problem["ctx"]["error"])
    else:
        text = WORDS.get(kind, str(problem["msg"])).format_map(context)
    field = str(problem["loc"][0]) if problem["loc"] else ""
    return f"{field}: {text}" if field else text
