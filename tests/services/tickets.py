"""A member of the domain: it has people's tickets, and shows them to a service as a browser does."""

from __future__ import annotations

import importlib
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.services.samba import PASSWORD, REALM, Samba

SPNEGO = "1.3.6.1.5.5.2"
KERBEROS = "1.2.840.113554.1.2.2"
SERVICE = "HTTP/localhost"
DELTA = b"\x00\x01\x00\x08"  # in the head of a ticket file: by how much the clock over there differs


class Library:
    """The library of the extra, loaded when it is first asked: tests are listed where nobody has built it, too."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module("gssapi"), name)


gssapi = Library()


class Tickets:
    """One machine of the domain; the services of the tests know nothing of what it is told."""

    def __init__(self, samba: Samba, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self.conf = samba.krb5_conf()
        self.keytab = samba.keytab(SERVICE)

    @contextmanager
    def at_the_machine(self) -> Iterator[None]:
        """Tell the library of the domain; it listens to the environment alone."""
        before = os.environ.get("KRB5_CONFIG", os.devnull)
        os.environ["KRB5_CONFIG"] = str(self.conf)
        try:
            yield
        finally:
            os.environ["KRB5_CONFIG"] = before

    def cache(self, name: str) -> Path:
        """Where somebody's tickets are."""
        return self._folder / f"{name}.cc"

    def sign_in(self, name: str, password: str = PASSWORD) -> None:
        """Type a password at the machine (kinit)."""
        person = gssapi.Name(f"{name}@{REALM}", gssapi.NameType.kerberos_principal)
        store = {b"ccache": f"FILE:{self.cache(name)}".encode()}
        with self.at_the_machine():
            raw, mech = gssapi.raw, gssapi.OID.from_int_seq(KERBEROS)
            held = raw.acquire_cred_with_password(person, password.encode(), mechs=[mech], usage="initiate").creds
            raw.store_cred_into(store, held, usage="initiate", mech=mech, overwrite=True)

    def show(self, name: str, mechanism: str = SPNEGO) -> bytes:
        """The token that a browser sends for somebody; each is another one."""
        with self.at_the_machine():
            token: bytes = self.dialogue(name, mechanism).step()
            return token

    def dialogue(self, name: str, mechanism: str = SPNEGO) -> Any:
        """The browser's side of it; walked at the machine."""
        mech = gssapi.OID.from_int_seq(mechanism)
        held = gssapi.Credentials(usage="initiate", store={"ccache": f"FILE:{self.cache(name)}"}, mechs=[mech])
        service = gssapi.Name(f"{SERVICE}@{REALM}", gssapi.NameType.kerberos_principal)
        mutual = gssapi.RequirementFlag.mutual_authentication
        return gssapi.SecurityContext(name=service, creds=held, mech=mech, usage="initiate", flags=mutual)

    def turn_clock(self, name: str, seconds: int) -> None:
        """Let the machine's clock differ; it takes the tickets it has along."""
        file = self.cache(name)
        rest = file.read_bytes()[2:]
        length = struct.unpack(">H", rest[:2])[0]
        head = DELTA + struct.pack(">ii", seconds, 0)
        file.write_bytes(b"\x05\x04" + struct.pack(">H", len(head)) + head + rest[2 + length :])
