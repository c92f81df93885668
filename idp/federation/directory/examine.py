"""The test of a directory, step by step, in words. No password of a person is involved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from idp.federation.connector import Finding, NotSignedIn, Outcome
from idp.federation.directory.servers import ServiceRefused
from idp.federation.ldap.address import Address
from idp.federation.ldap.answers import SUCCESS, Gone
from idp.federation.ldap.line import Line

if TYPE_CHECKING:
    from idp.federation.directory.connector import Directory

WORDS = {"reach": "reach", "tls": "TLS", "speak": "answer"}
RESULTS = {
    0: "it is empty, or bind_dn may not read it",
    32: "there is no such place; a forest is searched at port 3269, by ldaps",
    50: "bind_dn may not read it",
}
# What Active Directory adds to a refusal (sub-codes of LDAP result 49).
DETAILS = {
    "52e": "data 52e: unknown name or wrong password",
    "530": "data 530: not at this hour",
    "531": "data 531: not from this machine",
    "532": "data 532: its password has expired",
    "533": "data 533: it is disabled",
    "701": "data 701: it has expired",
    "773": "data 773: its password must be changed",
    "775": "data 775: it is locked",
}


def walk(directory: Directory, sample: str | None) -> Iterator[Finding]:
    """Walk reach, TLS, bind, search, and the sample with its groups."""
    standing = 0
    for address in directory.config.reach.servers:
        for finding in _server(directory, address):
            yield finding
            standing += finding.step == "search" and finding.passed
    if sample is not None and standing:
        yield from _sample(directory, sample)


def single(tries: int, whose: str = "a person's") -> Iterator[Finding]:
    """Warn of a single try: there is none to keep for devices that know the person (LG7)."""
    if tries == 1:
        words = f"warning: only one try of {whose} password comes from here, none is kept for devices that know them"
        yield Finding(step="tries", passed=True, words=f"{words}: strangers can hold people back by a single failure")


def _server(directory: Directory, address: Address) -> Iterator[Finding]:
    try:
        line = directory.servers.open(address)
    except Gone as gone:
        yield Finding(step=WORDS[gone.step], passed=False, words=f"{address}: {gone.why}")
        return
    yield Finding(step="TLS", passed=True, words=f"{address}: reached, certificate and name verified")
    try:
        yield from _service(directory, line)
    except Gone as gone:
        yield Finding(step="answer", passed=False, words=f"{address}: {gone.why}")
    finally:
        line.close()


def _service(directory: Directory, line: Line) -> Iterator[Finding]:
    config = directory.config
    if config.bind_dn is None:
        yield Finding(step="search", passed=True, words="nobody searches: people bind by user_dn")
        return
    try:
        directory.servers.introduce(line, config.reach.seconds)
    except ServiceRefused as refused:
        detail = DETAILS.get(refused.detail, refused.detail and f"data {refused.detail}")
        words = f"bind_dn or bind_password is refused (LDAP result {refused.code}{detail and ', '}{detail})"
        yield Finding(step="bind", passed=False, words=words)
        return
    yield Finding(step="bind", passed=True, words=f"bound as {config.bind_dn}")
    people = config.people
    answer, found = line.search(
        people.base, people.filter, seconds=config.reach.seconds, attributes=directory.attributes(), limit=1
    )
    if not found:
        where = RESULTS.get(answer.code, f"LDAP result {answer.code}")
        words = f"nobody under {people.base or 'the whole forest'} matches {people.filter} ({where})"
        yield Finding(step="search", passed=False, words=words)
        return
    key = directory.external_id(found[0])
    words = f"people are found under {people.base or 'the whole forest'}"
    if key is None:
        words = f"people are found, but {people.id} cannot be read: nobody could be told apart from a namesake"
    yield Finding(step="search", passed=key is not None and answer.code in {SUCCESS, 4}, words=words)


def _sample(directory: Directory, sample: str) -> Iterator[Finding]:
    try:
        who = directory.find(sample)
    except NotSignedIn as refused:
        yield Finding(step="person", passed=False, words=refused.code)
        return
    if who is None:
        yield Finding(step="person", passed=False, words="nobody, or more than one, has this name")
        return
    closed = "" if who.standing is None else f", who may not sign in ({who.standing})"
    yield Finding(
        step="person",
        passed=who.standing in {None, Outcome.LOCKED},
        words=f"{who.username}, {who.email or 'no e-mail'}, key {who.external_id}{closed}",
    )
    names = ", ".join(each.name if each.via is None else f"{each.name} (through {each.via})" for each in who.groups)
    late = "" if who.groups_complete else "; not all in time: raise group_timeout"
    yield Finding(step="groups", passed=who.groups_complete, words=(names or "none") + late)
