"""Talking to a provider elsewhere: one door for every request, whole within a time, small, and to that very host.

What a provider names (its token endpoint, its keys) is where a request goes from inside our network. So every address
is resolved once, looked at, and the connection made to the address that was looked at; redirects are refused; and what
is not on the open internet is reached only where the operator says so (attacks.md AD8).
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from authlib.integrations.requests_client import OAuth2Session
from requests import PreparedRequest, Response
from requests.adapters import BaseAdapter

from idp.federation import lookup
from idp.federation.connector import Misconfigured
from idp.jose.strict import JoseError, loads

LARGEST: Final = 262_144
LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_REDIRECTS: Final = range(300, 400)
_OK: Final = 200


class UpstreamError(Exception):
    """Nothing that can be used came. `code` is constant and for logs."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """What may be reached, how long it may take, and which authorities vouch for it."""

    seconds: float
    private_network: bool = False
    loopback: bool = False
    context: ssl.SSLContext

    @classmethod
    def of(cls, home: str, *, seconds: float, private_network: bool, ca_file: str | None) -> Reach:
        """Let a connector reach the open internet, and this machine only where the operator's own address is on it."""
        try:
            context = ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError):
            raise Misconfigured("ca_file: this file cannot be read") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        at_home = urlsplit(home).hostname in LOOPBACK
        return cls(seconds=seconds, private_network=private_network, loopback=at_home, context=context)

    def sound(self, address: object) -> bool:
        """Tell whether an address may be asked: https, or http to this machine where that is allowed."""
        if not isinstance(address, str) or not address.isascii() or not address.isprintable() or " " in address:
            return False
        try:
            url = urlsplit(address)
            port = url.port
        except ValueError:
            return False
        if not url.hostname or url.fragment or "@" in url.netloc or port == 0 or "\\" in address:
            return False
        at_home = url.hostname in LOOPBACK
        return (url.scheme == "https" and (self.loopback or not at_home)) or (
            url.scheme == "http" and at_home and self.loopback
        )

    def open_to(self, address: str) -> bool:
        """Tell whether a resolved address may be connected to."""
        ip = ipaddress.ip_address(address.partition("%")[0])
        mapped = getattr(ip, "ipv4_mapped", None)
        ip = mapped or ip
        if ip.is_loopback:
            return self.loopback
        if ip.is_link_local or ip.is_multicast or ip.is_unspecified:
            return False  # 169.254.169.254 is where clouds keep their keys: nobody signs in from there
        return ip.is_global or self.private_network


class Line:
    """The requests of one sign-in, in one span of time."""

    def __init__(self, reach: Reach) -> None:
        self.reach = reach
        self._ends = time.monotonic() + reach.seconds

    def left(self) -> float:
        """Return the seconds that are left, or refuse."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise UpstreamError("time is up")
        return left

    def session(self, **client: Any) -> OAuth2Session:
        """Return Authlib's client on this line: no cookies of before, no proxies of the environment, no other door."""
        session = OAuth2Session(**client)
        session.trust_env = False
        session.adapters.clear()
        door = Door(self)
        session.mount("https://", door)
        session.mount("http://", door)
        return session

    def get(self, url: str, *, token: str | None = None, accept: str = "application/json") -> bytes:
        """Fetch a document."""
        bearer = {"Authorization": f"Bearer {token}"} if token is not None else {}
        headers = {"Accept": accept, "User-Agent": "Gatehouse", **bearer}
        session = self.session()
        answer: Response = session.request("GET", url, withhold_token=True, headers=headers)
        if answer.status_code != _OK:
            raise UpstreamError("another status")
        return answer.content

    def get_object(self, url: str, *, token: str | None = None) -> dict[str, object]:
        """Fetch a JSON object that has one reading."""
        return strict(self.get(url, token=token))


def strict(body: bytes) -> dict[str, object]:
    """Parse one JSON object."""
    try:
        return loads(body)
    except JoseError:
        raise UpstreamError("not a JSON object") from None


class Door(BaseAdapter):
    """The transport below requests: what it lets through was bounded and its address looked at."""

    def __init__(self, line: Line) -> None:
        super().__init__()
        self._line = line

    def send(self, request: PreparedRequest, **_requested: object) -> Response:  # type: ignore[override]
        """Send a request and read the whole answer."""
        url = request.url or ""
        if not self._line.reach.sound(url):
            raise UpstreamError("address may not be asked")
        connection = self._connection(url)
        watch = threading.Timer(self._line.left(), _cut, [connection])
        watch.daemon = True
        watch.start()
        try:
            return _exchange(connection, request)
        except (OSError, http.client.HTTPException, ValueError):
            raise UpstreamError("cannot be reached") from None
        finally:
            watch.cancel()
            connection.close()

    def close(self) -> None:
        """Keep nothing, so close nothing."""

    def _connection(self, url: str) -> _Pinned:
        parts = urlsplit(url)
        host = parts.hostname or ""
        secure = parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        address = self._resolve(host, port)
        return _Pinned(host, port, address, self._line, secure=secure)

    def _resolve(self, host: str, port: int) -> str:
        if _is_address(host):
            if not self._line.reach.open_to(host):
                raise UpstreamError("address may not be asked")
            return host
        try:
            addresses = lookup.HERE.addresses(host, port, seconds=self._line.left())
        except TimeoutError:
            raise UpstreamError("its name was not found in time") from None
        except OSError:
            raise UpstreamError("no such host") from None
        # One that is refused among several is a name that leads into our network at the second look.
        if not addresses or not all(self._line.reach.open_to(each) for each in addresses):
            raise UpstreamError("address may not be asked")
        return addresses[0]


class _Pinned(http.client.HTTPConnection):
    """A connection to an address that was looked at, and to the name whose certificate it must show."""

    def __init__(self, host: str, port: int, address: str, line: Line, *, secure: bool) -> None:
        super().__init__(host, port, timeout=line.left())
        self.line_in: socket.socket | None = None  # http.client forgets its own before the body has come
        self.default_port = 443 if secure else 80
        self._address = address
        self._line = line
        self._secure = secure

    def connect(self) -> None:
        """Connect, by TLS where the address says so."""
        self.sock = socket.create_connection((self._address, self.port), self._line.left())
        if self._secure:
            self.sock = self._line.reach.context.wrap_socket(self.sock, server_hostname=self.host)
        self.line_in = self.sock


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _cut(connection: _Pinned) -> None:
    """End an exchange whose time is up, a drop a second or not."""
    sock = connection.line_in or connection.sock
    if sock is not None:
        try:
            sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


def _exchange(connection: http.client.HTTPConnection, request: PreparedRequest) -> Response:
    headers = dict(request.headers) | {"Connection": "close", "Accept-Encoding": "identity"}
    connection.request(request.method or "GET", request.path_url, body=request.body, headers=headers)
    with connection.getresponse() as answer:
        if answer.status in _REDIRECTS:
            raise UpstreamError("redirect")
        body = answer.read(LARGEST + 1)
        if len(body) > LARGEST:
            raise UpstreamError("too much")
        if answer.length:  # http.client returns what came when the connection ends early
            raise UpstreamError("stopped in the middle")
    given = Response()
    given.status_code = answer.status
    given.headers.update(answer.headers.items())
    given.url = request.url or ""
    given.request = request
    given.encoding = "utf-8"
    given._content = body  # noqa: SLF001 - how an adapter gives the body, for want of a constructor
    return given
