"""A real Active Directory: Samba as its domain controller, in a network of its own.

Its ports are fixed, so it lives in its own network namespace; a forwarder outside of it reaches in.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ldap3

from tests.services.authority import Authority, Certificate
from tests.services.program import Program

REALM = "CORP.EXAMPLE.TEST"
DOMAIN = "corp.example.test"
ROOT = "DC=corp,DC=example,DC=test"
STAFF = f"OU=Staff,{ROOT}"
ADMIN = (f"Administrator@{DOMAIN}", "Adm1n-Pass-42")
PASSWORD = "Passw0rd-1"
CLONE_NEWNET = 0x40000000
LDAPS = "027C"  # 636, as the kernel writes it
TICKS, EPOCH = 10_000_000, 11_644_473_600  # of its clocks, which begin in 1601

CONF = """\
[global]
 netbios name = DC1
 realm = {realm}
 workgroup = CORP
 server role = active directory domain controller
 server services = ldap, cldap, kdc
 interfaces = 127.0.0.1/8
 bind interfaces only = yes
 disable netbios = yes
 private dir = {folder}/private
 state directory = {folder}/state
 cache directory = {folder}/cache
 lock directory = {folder}
 pid directory = {folder}/run
 ncalrpc dir = {folder}/run/ncalrpc
 winbindd socket directory = {folder}/run/winbindd
 ntp signd socket directory = {folder}/run/ntp_signd
 binddns dir = {folder}/bind-dns
 log file = {folder}/log.%m
 logging = file
 tls enabled = yes
 tls cafile = {certificate.chain}
 tls certfile = {certificate.chain}
 tls keyfile = {certificate.key}
 ldb:nosync = yes
 old password allowed period = 0
[sysvol]
 path = {folder}/state/sysvol
[netlogon]
 path = {folder}/state/sysvol/{domain}/scripts
"""
KRB5 = """\
[libdefaults]
 default_realm = {realm}
 dns_lookup_kdc = false
 dns_lookup_realm = false
 dns_canonicalize_hostname = false
 rdns = false
 udp_preference_limit = 1
 clockskew = 86400
[realms]
 {realm} = {{
  kdc = 127.0.0.1:{port}
 }}
[domain_realm]
 .{domain} = {realm}
 localhost = {realm}
"""


class Samba:
    """`ldaps` is the controller; people are made by `add`."""

    def __init__(self, folder: Path, certificate: Certificate) -> None:
        folder.mkdir()
        self.folder = folder
        self._provision()
        for name in ("run", "cache", "bind-dns"):
            (folder / name).mkdir(exist_ok=True)
        conf = CONF.format(realm=REALM, domain=DOMAIN, folder=folder, certificate=certificate)
        (folder / "smb.conf").write_text(conf)
        inside = f"ip link set lo up && exec samba -i -M single -s {folder}/smb.conf --debug-stdout -d 1"
        # In a process group of its own: on SIGTERM it signals all of its group.
        self.program = Program(["setsid", "unshare", "-n", "sh", "-c", inside], log=folder / "samba.log")
        self._wait()
        self._forward = Forward(self.program.pid, 636)
        self.port = self._forward.port
        self.ldaps = f"ldaps://localhost:{self.port}"
        self._catalogue = Forward(self.program.pid, 3269)
        self.catalogue = f"ldaps://localhost:{self._catalogue.port}"
        self._tickets = Forward(self.program.pid, 88)

    def change(self, ldif: str) -> None:
        """Change entries in its database, past what LDAP allows."""
        subprocess.run(
            ["ldbmodify", "-H", self.folder / "private/sam.ldb", "--controls=local_oid:1.3.6.1.4.1.7165.4.3.12:0"],
            input=ldif.encode(),
            check=True,
            capture_output=True,
        )

    def stop(self) -> None:
        self._forward.close()
        self._catalogue.close()
        self._tickets.close()
        self.program.stop()

    def krb5_conf(self) -> Path:
        """Where the members of the domain find its tickets."""
        file = self.folder / "krb5.conf"
        file.write_text(KRB5.format(realm=REALM, domain=DOMAIN, port=self._tickets.port))
        return file

    def keytab(self, service: str) -> Path:
        """The key of a service, as the administrator hands it out."""
        file = self.folder / "service.keytab"
        words = ("domain", "exportkeytab", file, f"--principal={service}", "-s", self.folder / "smb.conf")
        subprocess.run(["/usr/bin/samba-tool", *words], check=True, capture_output=True, env=_debian())
        return file

    def _provision(self) -> None:
        subprocess.run(
            [
                "/usr/bin/samba-tool",
                "domain",
                "provision",
                f"--targetdir={self.folder}",
                f"--realm={REALM}",
                "--domain=CORP",
                "--server-role=dc",
                "--dns-backend=NONE",
                "--host-name=dc1",
                "--host-ip=127.0.0.1",
                f"--adminpass={ADMIN[1]}",
                "--option=interfaces=lo",
                "--option=bind interfaces only=yes",
                "-q",
            ],
            check=True,
            capture_output=True,
            env=_debian(),
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + 60
        table = Path(f"/proc/{self.program.pid}/net/tcp")
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                if f":{LDAPS} " in table.read_text():
                    return
            if not self.program.running:
                break
            time.sleep(0.05)
        raise RuntimeError(f"samba does not listen:\n{self.program.output()[-4000:]}")


class Domain:
    """What an administrator of it does."""

    def __init__(self, samba: Samba, authority: Authority) -> None:
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(authority.file))
        server = ldap3.Server("localhost", samba.port, use_ssl=True, tls=tls, get_info=ldap3.NONE)
        self.line = ldap3.Connection(server, *ADMIN, receive_timeout=30, auto_referrals=False)
        assert self.line.bind()
        policy = {"lockoutThreshold": 3, "lockoutDuration": -600_000_000, "lockOutObservationWindow": -600_000_000}
        self.line.modify(ROOT, {name: [(ldap3.MODIFY_REPLACE, [value])] for name, value in policy.items()})
        self.line.add(STAFF, ["top", "organizationalUnit"])
        self.samba, self.authority = samba, authority

    def person(self, name: str, place: str = STAFF, **facts: Any) -> str:
        dn = f"CN={name},{place}"
        row = {
            "sAMAccountName": name,
            "userPrincipalName": f"{name}@{DOMAIN}",
            "displayName": f"{name} Test",
            "mail": f"{name}@example.test",
            "unicodePwd": f'"{PASSWORD}"'.encode("utf-16-le"),
            "userAccountControl": 512,
            **facts,
        }
        assert self.line.add(dn, ["top", "person", "organizationalPerson", "user"], row), self.line.result
        return dn

    def group(self, name: str, *members: str) -> str:
        dn = f"CN={name},{STAFF}"
        assert self.line.add(dn, ["top", "group"], {"sAMAccountName": name, "member": list(members)}), self.line.result
        return dn

    @contextlib.contextmanager
    def finer(self, name: str, *, lockout: int = 0) -> Iterator[None]:
        """Lay a fine-grained policy over the domain's, for one person."""
        policy = f"CN=finer {name},CN=Password Settings Container,CN=System,{ROOT}"
        says = {
            "msDS-PasswordSettingsPrecedence": "1",
            "msDS-PasswordReversibleEncryptionEnabled": "FALSE",
            "msDS-PasswordHistoryLength": "3",
            "msDS-PasswordComplexityEnabled": "FALSE",
            "msDS-MinimumPasswordLength": "15",
            "msDS-MinimumPasswordAge": "0",
            "msDS-MaximumPasswordAge": "-36288000000000",
            "msDS-LockoutThreshold": str(lockout),
            "msDS-LockoutObservationWindow": "-36000000000",
            "msDS-LockoutDuration": "-36000000000",
            "msDS-PSOAppliesTo": [f"CN={name},{STAFF}"],
        }
        assert self.line.add(policy, ["top", "msDS-PasswordSettings"], says), self.line.result
        try:
            yield
        finally:
            assert self.line.delete(policy)

    def lock(self, name: str) -> None:
        """Guess until somebody is locked."""
        for _ in range(3):
            guess = ldap3.Connection(self.line.server, f"{name}@{DOMAIN}", "a guess", receive_timeout=30)
            guess.bind()
            guess.unbind()

    def settle(self) -> None:
        """Let somebody be there in every state."""
        alice = self.person("alice")
        self.person("bob")
        self.person("disabled", userAccountControl=514)
        self.person("over", accountExpires=str(int((time.time() - 86_400 + EPOCH) * TICKS)))
        self.person("mustchange", pwdLastSet=0)
        self.person("lockme")
        old = self.person("pwold")
        self.person("nights", logonHours=b"\x00" * 21)
        self.person("elsewhere", userWorkstations="OTHERPC")
        inner = self.group("inner", alice)
        middle = self.group("middle", inner)
        outer = self.group("outer", middle)
        self.line.modify(inner, {"member": [(ldap3.MODIFY_ADD, [outer])]})
        past = int((time.time() - 86_400 * 400 + EPOCH) * TICKS)
        self.samba.change(f"dn: {old}\nchangetype: modify\nreplace: pwdLastSet\npwdLastSet: {past}\n")


class Forward:
    """Listens outside and connects inside another network namespace."""

    def __init__(self, pid: int, port: int) -> None:
        self._pid, self._target = pid, port
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(near,), daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        # This thread alone moves into the other namespace, and ends there.
        with near:
            with Path(f"/proc/{self._pid}/ns/net").open() as place:
                if self._libc.setns(place.fileno(), CLONE_NEWNET):
                    return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 5)
            except OSError:
                return
            with far:
                far.settimeout(None)
                far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                back = threading.Thread(target=_pump, args=(far, near), daemon=True)
                back.start()
                _pump(near, far)
                back.join(10)


def _debian() -> dict[str, str]:
    """Debian's own Python has the modules of samba-tool."""
    return {**os.environ, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for each in (source, sink):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
