"""Tickets that a domain would issue to people of a realm that it trusts: sealed with the key of the service itself.

A second domain and a trust would cost the suite half a minute; what reaches the service is the same (RFC 4120 section
5.3). Such a ticket has no PAC, as those of a realm that is no Windows domain have none.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
import time
from pathlib import Path

RC4 = 23  # rc4-hmac, the key that every account of a domain has (RFC 4757)
TICKET = 2  # what a key is used for, when it seals a ticket (RFC 4120 section 7.5.1)
PERSON, SERVICE = 1, 2  # kinds of names
CHECKED = 0x00500000  # flags: initial, and the way through the realms has been checked


def cache(file: Path, keytab: Path, person: str, service: str) -> None:
    """Write a ticket cache in which `person` (name@REALM) has a ticket for `service` (HTTP/host@REALM)."""
    session, now = secrets.token_bytes(16), int(time.time())
    until = now + 3600
    sealed = _ticket(_key(keytab), session, person, service, (now - 60, until))
    credential = b"".join(
        [
            _named(person, PERSON),
            _named(service, SERVICE),
            struct.pack(">H", RC4) + _counted(session),
            struct.pack(">4I", now - 60, now - 60, until, 0),
            b"\x00" + struct.pack(">I", CHECKED),
            struct.pack(">II", 0, 0),
            _counted(sealed),
            _counted(b""),
        ]
    )
    file.write_bytes(b"\x05\x04\x00\x00" + _named(person, PERSON) + credential)


def _ticket(key: bytes, session: bytes, person: str, service: str, times: tuple[int, int]) -> bytes:
    name, realm = person.split("@")
    inner = [
        _der(0x03, b"\x00" + struct.pack(">I", CHECKED)),
        _sequence([_number(RC4), _der(0x04, session)]),
        _text(realm),
        _principal(name, PERSON),
        _sequence([_number(1), _der(0x04, b"")]),
        _moment(times[0]),
        _moment(times[0]),
        _moment(times[1]),
    ]
    sealed = _seal(key, _der(0x63, _sequence(inner)))
    name, realm = service.split("@")
    return _der(
        0x61,
        _sequence([_number(5), _text(realm), _principal(name, SERVICE), _sequence([_number(RC4), b"", sealed])]),
    )


def _key(keytab: Path) -> bytes:
    """Read a key from a keytab."""
    raw, place = keytab.read_bytes(), 2
    while place < len(raw):
        (size,) = struct.unpack_from(">i", raw, place)
        entry = raw[place + 4 : place + 4 + abs(size)]
        place += 4 + abs(size)
        (parts,) = struct.unpack_from(">H", entry)
        at = 2
        for _ in range(parts + 1):  # the realm, and the parts of the name
            at += 2 + struct.unpack_from(">H", entry, at)[0]
        kind, length = struct.unpack_from(">HH", entry, at + 9)  # after the kind of name, a time and a version
        if size > 0 and kind == RC4:
            return entry[at + 13 : at + 13 + length]
    raise LookupError("the keytab has no such key")


def _seal(key: bytes, text: bytes) -> bytes:
    """Encrypt as RFC 4757 section 4 says."""
    whole = secrets.token_bytes(8) + text
    used = _mac(key, struct.pack("<I", TICKET))
    proof = _mac(used, whole)
    return _der(0x04, proof + _rc4(_mac(used, proof), whole))


def _mac(key: bytes, text: bytes) -> bytes:
    return hmac.new(key, text, hashlib.md5).digest()


def _rc4(key: bytes, text: bytes) -> bytes:
    box, swapped, out = list(range(256)), 0, bytearray()
    for place in range(256):
        swapped = (swapped + box[place] + key[place % len(key)]) % 256
        box[place], box[swapped] = box[swapped], box[place]
    first = second = 0
    for letter in text:
        first = (first + 1) % 256
        second = (second + box[first]) % 256
        box[first], box[second] = box[second], box[first]
        out.append(letter ^ box[(box[first] + box[second]) % 256])
    return bytes(out)


def _der(tag: int, inside: bytes) -> bytes:
    size = len(inside)
    length = bytes([size]) if size < 0x80 else b"\x82" + struct.pack(">H", size)
    return bytes([tag]) + length + inside


def _sequence(parts: list[bytes]) -> bytes:
    """Number the parts; an empty one is left out."""
    return _der(0x30, b"".join(_der(0xA0 + number, part) for number, part in enumerate(parts) if part))


def _number(value: int) -> bytes:
    return _der(0x02, bytes([value]))


def _text(value: str) -> bytes:
    return _der(0x1B, value.encode())


def _moment(seconds: int) -> bytes:
    return _der(0x18, time.strftime("%Y%m%d%H%M%SZ", time.gmtime(seconds)).encode())


def _principal(name: str, kind: int) -> bytes:
    return _sequence([_number(kind), _der(0x30, b"".join(_text(part) for part in name.split("/")))])


def _counted(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def _named(principal: str, kind: int) -> bytes:
    name, realm = principal.split("@")
    parts = [part.encode() for part in name.split("/")]
    return struct.pack(">II", kind, len(parts)) + b"".join(map(_counted, [realm.encode(), *parts]))
