"""Flask, minus what a protocol endpoint pays for and does not use, and minus what a request could decide.

- the Host header decides nothing: addresses come from the issuer, and a foreign Host is refused (DNS rebinding);
- programs have no session: no cookie is read, signed or set for them;
- views are plain functions: Flask need not ask each time whether one is a coroutine;
- documents that rarely change leave as bytes: their plain GET needs none of Flask, which would be half of its cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from flask import Flask
from flask.sessions import NullSession, SecureCookieSession, SecureCookieSessionInterface
from werkzeug.exceptions import BadRequest
from werkzeug.routing import MapAdapter, Rule

from idp.protocol.errors import ProtocolError
from idp.web import headers
from idp.web.machines import MACHINES, PROBES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from wsgiref.types import StartResponse, WSGIEnvironment

    from flask import Request

    from idp.web.document import Source

# Names by which a front or a probe on this machine may ask; no outside name can be made to mean them.
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})
_NO_SESSION: Final = NullSession()


class FlowSession(SecureCookieSession):
    """The flow cookie, read and checked when it is first asked for: an answer without a page needs none of it."""

    def __init__(self, read: Callable[[], Mapping[str, Any] | None]) -> None:
        super().__init__()
        self._read: Callable[[], Mapping[str, Any] | None] | None = read

    @property
    def accessed(self) -> bool:  # a plain attribute in Flask, which sets it at every access
        """Say whether anybody asked."""
        return self._read is None

    @accessed.setter
    def accessed(self, _now: bool) -> None:
        if self._read is not None:
            read, self._read = self._read, None
            dict.update(self, read() or {})  # not as a change: that would write the cookie anew


class PageSessions(SecureCookieSessionInterface):
    """The flow cookie, for pages alone."""

    def open_session(self, app: Flask, request: Request) -> SecureCookieSession | None:
        """Read the cookie of a person; a program gets a session that refuses to hold anything."""
        if request.environ["PATH_INFO"].startswith(MACHINES):
            return _NO_SESSION
        return FlowSession(lambda: super(PageSessions, self).open_session(app, request))


class Exact(Rule):
    """A rule for the methods it names; `head=False` keeps Werkzeug from answering HEAD wherever it answers GET."""

    def __init__(self, *args: Any, head: bool = True, **options: Any) -> None:
        super().__init__(*args, **options)
        if not head and self.methods is not None:
            self.methods.discard("HEAD")


class Provider(Flask):
    """One provider, bound to its issuer."""

    session_interface = PageSessions()
    url_rule_class = Exact

    def __init__(self, *, issuer: str, alias: str | None = None, **options: Any) -> None:
        super().__init__("idp", **options)
        parts = urlsplit(issuer)
        self._scheme, self._netloc = parts.scheme, parts.netloc
        self._hosts = LOOPBACK | {_host(parts.netloc)}
        self._alias = (
            None if alias is None else _host(urlsplit(alias).netloc)
        )  # for programs alone (RFC 8705 section 5)
        self._always = headers.always(https=parts.scheme == "https")
        self._documents: dict[str, Source] = {}

    def publish(self, path: str, source: Source) -> None:
        """Answer a plain GET with the bytes of `source`. Everything else about the path stays with its view."""
        self._documents[path] = source

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve (PEP 3333)."""
        source = self._documents.get(environ.get("PATH_INFO", ""))
        if source is None or environ["REQUEST_METHOD"] != "GET" or "HTTP_IF_NONE_MATCH" in environ:
            return super().__call__(environ, start_response)
        if _host(environ.get("HTTP_HOST", "")) not in self._hosts:
            return super().__call__(environ, start_response)
        try:
            body, told = source()
        except ProtocolError:  # the view meets it too, and Flask answers it where every refusal is answered
            return super().__call__(environ, start_response)
        start_response("200 OK", [*told, *self._always, ("Content-Length", str(len(body)))])
        return (body,)

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Match by path alone; scheme and host are the issuer's (Flask takes them from the request)."""
        if request is None:
            return super().create_url_adapter(None)
        environ = request.environ
        path = environ.get("PATH_INFO", "")
        host = _host(environ.get("HTTP_HOST", ""))
        aliased = host == self._alias and path.startswith(MACHINES)
        if host not in self._hosts and not aliased and path not in PROBES:
            # Raised here, Flask answers it where every refusal is answered.
            raise BadRequest
        script = environ.get("SCRIPT_NAME") or "/"
        # WSGI hands bytes over as latin-1 (PEP 3333); a path that is not UTF-8 matches nothing of ours.
        decoded = path if path.isascii() else path.encode("latin-1").decode("utf-8", "replace")
        return MapAdapter(
            self.url_map, self._netloc, script, "", self._scheme, decoded.lstrip("/"), environ["REQUEST_METHOD"]
        )

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the view as it is: none here is a coroutine."""
        return func


def _host(authority: str) -> str:
    name, colon, port = authority.rpartition(":")
    return (name if colon and port.isdigit() else authority).lower()
