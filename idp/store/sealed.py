"""Sealed columns: AES-GCM under a master key that lives outside the database.

A sealed value starts with the id of its key, so that keys can be replaced one row at a time. The additional data
names table, column and row: a value moved to another row does not open.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
KEY_ID_BYTES = 8
NONCE_BYTES = 12


class SealBroken(Exception):
    """A sealed value was altered, moved to another row, or its key is not here."""


class UnsafeKeyFile(ValueError):
    """The master key file cannot be used as it lies there."""


class Sealer:
    """Seals and opens column values. `keys` maps key id to key; new values are sealed under `active`.

    With `file` it reads the keys again when it meets a value of a key it does not know: a new master key reaches
    every worker without a restart.
    """

    def __init__(self, keys: Mapping[str, bytes], active: str, *, file: Path | None = None) -> None:
        if active not in keys:
            raise UnsafeKeyFile("master key: the active key is not among the keys")
        if any(len(key) != KEY_BYTES for key in keys.values()):
            raise UnsafeKeyFile("master key: every key has 32 bytes")
        self.active = active
        self._file = file
        self._ciphers = _ciphers(keys)
        self._oldest = next(iter(keys.values()))

    def seal(self, table: str, column: str, row: str, value: bytes) -> bytes:
        """Return key id, nonce and ciphertext in one value."""
        front = bytes.fromhex(self.active)
        nonce = secrets.token_bytes(NONCE_BYTES)
        return front + nonce + self._ciphers[front].encrypt(nonce, value, _bound_to(table, column, row))

    def open(self, table: str, column: str, row: str, sealed: bytes) -> bytes:
        """Return the value, or refuse one that was not sealed for this row."""
        front, rest = sealed[:KEY_ID_BYTES], sealed[KEY_ID_BYTES:]
        cipher = self._ciphers.get(front) or self._read_again(front)
        if cipher is None:
            raise SealBroken("sealed under a key that is not in the master key file")
        try:
            return cipher.decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], _bound_to(table, column, row))
        except (InvalidTag, ValueError):
            raise SealBroken("sealed value does not belong to this row") from None

    def _read_again(self, front: bytes) -> AESGCM | None:
        if self._file is None:
            return None
        try:
            keys = _read(self._file)
        except UnsafeKeyFile:
            return None
        if front.hex() in keys:
            # What could be opened can still be: keys that have left the file stay until the process ends.
            self._ciphers, self.active = self._ciphers | _ciphers(keys), list(keys)[-1]
        return self._ciphers.get(front)

    def knows(self, sealed: bytes) -> bool:
        """Say whether the key of a sealed value is here."""
        return sealed[:KEY_ID_BYTES] in self._ciphers

    def stale(self, sealed: bytes) -> bool:
        """Say whether a value is sealed under a key that is no longer the active one."""
        return sealed[:KEY_ID_BYTES] != bytes.fromhex(self.active)

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose (RFC 5869).

        Derived from the oldest key of the file, not the active one: adding a key must not sign everybody out.
        """
        return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=purpose.encode()).derive(self._oldest)


def _ciphers(keys: Mapping[str, bytes]) -> dict[bytes, AESGCM]:
    return {bytes.fromhex(name): AESGCM(key) for name, key in keys.items()}


def _bound_to(table: str, column: str, row: str) -> bytes:
    return f"{table}\x00{column}\x00{row}".encode()


def create_master_key(path: Path) -> str:
    """Write a new master key, readable by its owner alone; return its id. An existing file is never touched."""
    key = secrets.token_bytes(KEY_BYTES)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{key.hex()}\n")
        file.flush()
        os.fsync(file.fileno())
    return key_id(key)


def add_master_key(path: Path) -> str:
    """Append a new active key to the file; old ones stay to open what they sealed. Return the new id."""
    load_master_key(path)
    key = secrets.token_bytes(KEY_BYTES)
    temporary = path.with_name(f"{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{path.read_text('ascii').rstrip()}\n{key.hex()}\n")
        file.flush()
        os.fsync(file.fileno())
    # Replaced in one step: a crash leaves the old file or the new one, never half a key.
    temporary.replace(path)
    return key_id(key)


def load_master_key(path: Path) -> Sealer:
    """Read the key file: one hex key per line, the last one active. Refuse a file that others may read."""
    keys = _read(path)
    return Sealer(keys, active=list(keys)[-1], file=path)


def _read(path: Path) -> dict[str, bytes]:
    try:
        facts = path.stat()
    except FileNotFoundError:
        raise UnsafeKeyFile(f"master_key_file: {path} is not there; make it with `idp key init`") from None
    if not stat.S_ISREG(facts.st_mode):
        raise UnsafeKeyFile(f"master_key_file: {path} is not a plain file")
    if facts.st_mode & 0o077:
        raise UnsafeKeyFile(f"master_key_file: others may read {path}; run `chmod 600 {path}`")
    try:
        found = [bytes.fromhex(line) for line in path.read_text("ascii").split()]
    except ValueError:
        raise UnsafeKeyFile(f"master_key_file: {path} does not hold keys written by `idp key init`") from None
    if not found:
        raise UnsafeKeyFile(f"master_key_file: {path} is empty")
    if any(len(key) != KEY_BYTES for key in found):
        raise UnsafeKeyFile("master key: every key has 32 bytes")
    return {key_id(key): key for key in found}


def key_id(key: bytes) -> str:
    """Name a key by the front of its digest: it identifies, and tells nothing about the key."""
    return hashlib.sha256(b"master key id\x00" + key).digest()[:KEY_ID_BYTES].hex()
