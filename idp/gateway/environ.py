"""A WSGI environment read as a request, and cleaned of what its sender may not say.

WSGI hands over a decoded path, and folds header names: what the application would see is compared with what was
decided on, and every spelling of a header of ours is removed before ours is set (attack rows GW2 and GW5).
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final
from urllib.parse import quote_from_bytes

from idp.gateway.answers import Headers
from idp.gateway.headers import Strip
from idp.gateway.principal import Principal
from idp.gateway.request import Request

Environ = MutableMapping[str, Any]
PRINCIPAL: Final = "gatehouse.principal"
_SAFE: Final = "/!$&'()*+,=:@"


def request_of(environ: Environ) -> Request:
    """Read a request."""
    headers = [
        (key[5:].replace("_", "-").lower().encode("latin-1"), str(value).encode("latin-1"))
        for key, value in environ.items()
        if key.startswith("HTTP_")
    ]
    return Request(
        method=str(environ["REQUEST_METHOD"]),
        target=_target(environ),
        host=str(environ.get("HTTP_HOST", "")).encode("latin-1"),
        headers=headers,
        peer=str(environ.get("REMOTE_ADDR", "")),
    )


def path_of(environ: Environ) -> str:
    """Give the path as the application will see it."""
    return _path(environ).decode("utf-8", "surrogateescape")


def identify(environ: Environ, strip: Strip, principal: Principal, more: Headers = ()) -> None:
    """Remove what only we may say, and say it."""
    for key in [key for key in environ if key.startswith("HTTP_") and strip.drops(_name(key))]:
        if key not in _KEPT:
            del environ[key]
    for name, value in (*principal.headers, *more):
        environ["HTTP_" + name.decode("ascii").upper().replace("-", "_")] = value.decode("ascii")
    environ[PRINCIPAL] = principal


# Read by the server beneath, which has framed the request already.
_KEPT: Final = frozenset({"HTTP_HOST", "HTTP_CONNECTION", "HTTP_UPGRADE", "HTTP_EXPECT", "HTTP_TRANSFER_ENCODING"})


def _name(key: str) -> bytes:
    return key[5:].lower().encode("latin-1")


def _target(environ: Environ) -> bytes:
    """Give the target as it came where the server says so, else as the application sees it."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if isinstance(raw, str) and raw.startswith("/"):
        return raw.encode("latin-1")
    query = str(environ.get("QUERY_STRING", "")).encode("latin-1")
    path = quote_from_bytes(_path(environ), safe=_SAFE).encode("ascii")
    return path + b"?" + query if query else path


def _path(environ: Environ) -> bytes:
    return (str(environ.get("SCRIPT_NAME", "")) + str(environ.get("PATH_INFO", ""))).encode("latin-1")
