"""Logs: one JSON object a line, events with ids, never a secret (ASVS 16.2.5).

Two nets: names that hold secrets are masked, and so is any text shaped like a token, wherever it came from.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Final, cast

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping
    from typing import TextIO

    from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

MASK: Final = "[secret]"
_NAMES: Final = re.compile(
    r"(^|_)(access_token|id_token|refresh_token|token|code|secret|password|authorization|cookie|assertion|"
    r"verifier|otp|seed|pem|private|signin|csrf)($|_(hint|value|hash|header|verifier))",
    re.IGNORECASE,
)
# A JWT, or 43 and more characters of base64url in one run: the shape of every secret we make.
_SHAPES: Final = re.compile(r"eyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]*)?|[A-Za-z0-9_-]{43,}")
# What libraries say below this level holds tokens (authlib prints them whole), statements or values.
_FLOORS: Final = {
    "authlib": logging.INFO,
    "joserfc": logging.INFO,
    "sqlalchemy": logging.WARNING,
    "urllib3": logging.INFO,
    "requests": logging.INFO,
    "werkzeug": logging.WARNING,
    "flask_wtf": logging.WARNING,
}

log: Final = cast("FilteringBoundLogger", structlog.get_logger("idp"))


def configure(level: str = "INFO", stream: TextIO | None = None) -> None:
    """Send every log line of the process, ours and the libraries', through the same masking to one stream."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        mask,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared[:-1], structlog.stdlib.PositionalArgumentsFormatter(), mask],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(ensure_ascii=True, sort_keys=True),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    quieten()


def quieten() -> None:
    """Keep libraries above the level where they print secrets, whatever our own level is."""
    for name, floor in _FLOORS.items():
        logger = logging.getLogger(name)
        logger.setLevel(max(logger.getEffectiveLevel(), floor))


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> MutableMapping[str, object]:
    """Mask secrets by name and by shape, at any depth."""
    return {name: _masked(name, value) for name, value in event.items()}


def _masked(name: str, value: object) -> object:
    if _NAMES.search(name) and value is not None:
        return MASK
    if isinstance(value, str):
        return _SHAPES.sub(MASK, value)
    if isinstance(value, dict):
        return {str(key): _masked(str(key), inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_masked("", inner) for inner in value]
    return value
