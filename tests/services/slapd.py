"""A private OpenLDAP: people in every state, groups in groups, everything under one folder."""

from __future__ import annotations

import base64
import hashlib
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import ldap3

from tests.services.authority import Authority, Certificate
from tests.services.program import Program, free_port

BASE = "dc=example,dc=test"
PEOPLE = f"ou=people,{BASE}"
GROUPS = f"ou=groups,{BASE}"
PASSWORD = "Passw0rd-1"
READER = (f"cn=reader,{BASE}", "reader-secret")
ADMIN = (f"cn=admin,{BASE}", "admin-secret")
RELAX = "1.3.6.1.4.1.4203.666.5.12"

CONF = """\
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload memberof
moduleload ppolicy
moduleload refint
pidfile {folder}/slapd.pid
argsfile {folder}/slapd.args
loglevel stats
threads 4
sizelimit 500
security simple_bind=128
{anonymous}
TLSCertificateFile {certificate.chain}
TLSCertificateKeyFile {certificate.key}
TLSProtocolMin 3.3
password-hash {{SSHA}}

database mdb
suffix "{base}"
rootdn "cn=admin,{base}"
rootpw admin-secret
directory {folder}/db
maxsize 2147483648
dbnosync
index objectClass,uid,mail,cn,entryUUID,member,memberOf eq
access to attrs=userPassword by self =xw by anonymous auth by * none
access to * by dn.exact="cn=reader,{base}" read by self read by * none
limits dn.exact="cn=reader,{base}" size.soft=500 size.hard=unlimited size.prtotal=unlimited
overlay memberof
memberof-refint TRUE
overlay refint
refint_attributes member
overlay ppolicy
ppolicy_default "cn=default,ou=policies,{base}"
ppolicy_use_lockout
"""


class Slapd:
    """`ldap` begins with StartTLS, `ldaps` with TLS; without TLS it takes no password."""

    def __init__(
        self,
        folder: Path,
        certificate: Certificate,
        *,
        people: int = 20,
        groups: int = 2,
        anonymous: bool = False,
        aged: bool = False,
    ) -> None:
        folder.mkdir()
        (folder / "db").mkdir(mode=0o700)
        self.folder = folder
        self.port, self.tls_port = free_port(), free_port()
        self.ldap, self.ldaps = f"ldap://localhost:{self.port}", f"ldaps://localhost:{self.tls_port}"
        conf = CONF.format(
            folder=folder,
            base=BASE,
            certificate=certificate,
            # With it an empty password is a success, as in many real directories.
            anonymous="allow bind_anon_dn" if anonymous else "disallow bind_anon",
        )
        (folder / "slapd.conf").write_text(conf)
        seed = "".join(_seed(people, groups))
        if aged:  # as if nothing had changed for years
            seed = seed.replace("\n\n", "\ncreateTimestamp: 20200101000000Z\nmodifyTimestamp: 20200101000000Z\n\n")
        (folder / "seed.ldif").write_text(seed)
        subprocess.run(
            [_program("slapadd"), "-q", "-f", folder / "slapd.conf", "-l", folder / "seed.ldif"],
            check=True,
            capture_output=True,
        )
        self.start()

    def start(self) -> None:
        """Begin, with the same people at the same address."""
        places = f"ldap://127.0.0.1:{self.port}/ ldaps://127.0.0.1:{self.tls_port}/"
        argv = [_program("slapd"), "-d", "256", "-f", self.folder / "slapd.conf", "-h", places]
        self.program = Program(argv, log=self.folder / "slapd.log", ends_with=signal.SIGINT)
        self.program.wait_for_port(self.tls_port)

    def hang(self) -> None:
        """Accept connections and say nothing; a busy machine takes a moment to stop all threads."""
        self.program.signal(signal.SIGSTOP)
        deadline = time.monotonic() + 5
        tasks = Path(f"/proc/{self.program.pid}/task")
        while time.monotonic() < deadline:
            if all("State:\tT" in (each / "status").read_text() for each in tasks.iterdir()):
                return

    def go_on(self) -> None:
        self.program.signal(signal.SIGCONT)

    def binds(self, dn: str) -> int:
        """Count how often somebody's password was tried, as the server saw it."""
        return self.program.output().count(f'BIND dn="{dn}" method=128')

    def stop(self) -> None:
        self.program.stop()


class Administrator:
    """Who changes a directory while it runs."""

    def __init__(self, server: Slapd, authority: Authority) -> None:
        tls = ldap3.Tls(validate=ssl.CERT_REQUIRED, ca_certs_file=str(authority.file))
        there = ldap3.Server("localhost", server.tls_port, use_ssl=True, tls=tls, get_info=ldap3.NONE)
        self.line = ldap3.Connection(there, *ADMIN, receive_timeout=30, auto_referrals=False)
        assert self.line.bind()

    def put(self, dn: str, attribute: str, value: str) -> None:
        assert self.line.modify(dn, {attribute: [(ldap3.MODIFY_REPLACE, [value])]}), self.line.result

    def disable(self, name: str) -> None:
        """Lock somebody for good (draft-behera-ldap-password-policy section 5.3.3)."""
        self.put(person(name), "pwdAccountLockedTime", "000001010000Z")

    def enable(self, name: str) -> None:
        change = {"pwdAccountLockedTime": [(ldap3.MODIFY_DELETE, [])]}
        assert self.line.modify(person(name), change), self.line.result

    def join(self, name: str, dn: str) -> None:
        assert self.line.modify(group(name), {"member": [(ldap3.MODIFY_ADD, [dn])]}), self.line.result

    def age(self, dn: str) -> None:
        """Let an entry look as if it had not been touched for years, which only the Relax control allows."""
        change = {"modifyTimestamp": [(ldap3.MODIFY_REPLACE, ["20200101000000Z"])]}
        assert self.line.modify(dn, change, controls=[(RELAX, True, None)]), self.line.result

    def leave(self, name: str, dn: str) -> None:
        assert self.line.modify(group(name), {"member": [(ldap3.MODIFY_DELETE, [dn])]}), self.line.result


def person(name: str) -> str:
    return f"uid={name},{PEOPLE}"


def key(number: int) -> str:
    """Return what never changes of the person of a number."""
    return f"00000000-0000-4000-8000-{number:012}"


def group(name: str) -> str:
    return f"cn={name},{GROUPS}"


def _program(name: str) -> str:
    return f"/usr/sbin/{name}"


def _hashed(password: str) -> str:
    salt = b"saltsalt"
    return "{SSHA}" + base64.b64encode(hashlib.sha1(password.encode() + salt).digest() + salt).decode()


def _seed(people: int, groups: int) -> Iterator[str]:
    yield f"dn: {BASE}\nobjectClass: dcObject\nobjectClass: organization\no: Example\ndc: example\n\n"
    for unit in ("people", "groups", "policies", "refs"):
        yield f"dn: ou={unit},{BASE}\nobjectClass: organizationalUnit\nou: {unit}\n\n"
    reader = _hashed(READER[1])
    yield f"dn: {READER[0]}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\n"
    yield f"cn: reader\nuserPassword: {reader}\n\n"
    yield f"dn: cn=default,ou=policies,{BASE}\nobjectClass: person\nobjectClass: pwdPolicy\ncn: default\nsn: x\n"
    yield "pwdAttribute: userPassword\npwdLockout: TRUE\npwdMaxFailure: 3\npwdLockoutDuration: 300\n"
    yield "pwdFailureCountInterval: 300\npwdMustChange: TRUE\npwdAllowUserChange: TRUE\n\n"
    yield f"dn: cn=short,ou=policies,{BASE}\nobjectClass: person\nobjectClass: pwdPolicy\ncn: short\nsn: x\n"
    yield "pwdAttribute: userPassword\npwdMaxAge: 60\npwdGraceAuthNLimit: 0\n\n"
    yield f"dn: ou=elsewhere,ou=refs,{BASE}\nobjectClass: referral\nobjectClass: extensibleObject\n"
    yield "ou: elsewhere\nref: ldap://127.0.0.1:9/ou=elsewhere,dc=other,dc=test\n\n"
    yield from _people(people, groups)
    yield from _groups(people, groups)


def _people(people: int, groups: int) -> Iterator[str]:
    hashed = _hashed(PASSWORD)
    states = {
        "alice": f"givenName: Alice\nmemberOf: {group('inner')}\n",
        "expired": f"pwdChangedTime: 20200101000000Z\npwdPolicySubentry: cn=short,ou=policies,{BASE}\n",
        "mustchange": "pwdReset: TRUE\n",
        "locked": "pwdAccountLockedTime: 000001010000Z\n",
        "lockme": "",
        "twin": "",
        "müller": f"memberOf: {group('ring-a')}\n",
    }
    for name, more in states.items():
        mail = "same@example.test" if name in {"twin", "lockme"} else f"{name}@example.test"
        yield _entry(name, hashed, mail if mail.isascii() else "mueller@example.test", more)
    odd = "o\\2c dd \\2b\\22\\23(*)"
    yield f"dn: uid={odd},{PEOPLE}\nobjectClass: inetOrgPerson\nuid:: "
    yield base64.b64encode(b'o, dd +"#(*)').decode() + f"\ncn: Odd\nsn: Odd\nuserPassword: {hashed}\n\n"
    for number in range(people):
        name = f"user{number:06d}"
        more = f"memberOf: {group(f'group{number % groups:04d}')}\nentryUUID: {key(number)}\n"
        yield _entry(name, hashed, f"{name}@example.test", more)


def _entry(name: str, hashed: str, mail: str, more: str) -> str:
    dn = base64.b64encode(person(name).encode()).decode()
    uid = base64.b64encode(name.encode()).decode()
    head = f"dn:: {dn}\nobjectClass: inetOrgPerson\nuid:: {uid}\ncn:: {uid}\nsn: Test\nmail: {mail}\n"
    return f"{head}userPassword: {hashed}\n{more}\n"


def _groups(people: int, groups: int) -> Iterator[str]:
    # memberOf was written by hand: slapadd runs no overlays.
    members: dict[str, list[str]] = {f"group{number:04d}": [] for number in range(groups)}
    for number in range(people):
        members[f"group{number % groups:04d}"].append(person(f"user{number:06d}"))
    members |= {
        "inner": [person("alice")],
        "middle": [group("inner")],
        "outer": [group("middle")],
        "ring-a": [person("müller"), group("ring-b")],
        "ring-b": [group("ring-a")],
    }
    above = {"inner": "middle", "middle": "outer", "ring-a": "ring-b", "ring-b": "ring-a"}
    for name, each in members.items():
        yield f"dn: {group(name)}\nobjectClass: groupOfNames\ncn: {name}\n"
        if name in above:
            yield f"memberOf: {group(above[name])}\n"
        for dn in each:
            yield f"member:: {base64.b64encode(dn.encode()).decode()}\n"
        yield "\n"
