"""The set in a file: one line for each thing that is over, on the disk before it is acknowledged.

The first line names the stream. A file that is torn at its end has lost what was never acknowledged; a file that
is damaged elsewhere, another issuer's or another process's counts as none: then the stream has a new name, and the
provider tells everything again that may still matter.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from idp.gateway.revocation.revoked import Revoked
from idp.jose.strict import JoseError, loads
from idp.protocol.security_event import KINDS, Ended

_FORMAT: Final = 1
_SLACK: Final = 1_000  # lines that may be spare before the file is written anew
_TIMES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a file said: the name of the stream, and when the provider was last heard to the end."""

    stream: str
    heard_at: float | None


class Journal:
    """One file of one process. Without a path nothing is kept, and each start is told everything again."""

    def __init__(self, path: Path | None, *, issuer: str, client_id: str) -> None:
        self._path = path
        self._about = {"format": _FORMAT, "issuer": issuer, "client_id": client_id}
        self._stream = ""
        self._handle: int | None = None
        self._lock: int | None = None
        self._lines = 0

    def open(self, revoked: Revoked, now: float) -> Kept:
        """Take what is there into the set, or begin anew; raises OSError when it cannot be kept."""
        self._stream = secrets.token_urlsafe(12)
        if self._path is None or not self._alone(self._path):
            return Kept(stream=self._stream, heard_at=None)
        kept = self._read(self._path, revoked)
        if kept is not None:
            self._stream = kept.stream
        revoked.forget(now)
        self._rewrite(self._path, revoked, None if kept is None else kept.heard_at)
        return kept or Kept(stream=self._stream, heard_at=None)

    def append(self, ended: Iterable[Ended], revoked: Revoked, *, heard_at: float | None) -> None:
        """Keep what is new. When it returns it is on the disk."""
        if self._handle is None or self._path is None:
            return
        lines = [_line(each) for each in ended]
        if heard_at is not None:
            lines.append(json.dumps({"heard_at": heard_at}))
        if self._lines + len(lines) > _SLACK + _TIMES * len(revoked):
            self._rewrite(self._path, revoked, heard_at)
            return
        _write(self._handle, "".join(line + "\n" for line in lines))
        self._lines += len(lines)

    def close(self) -> None:
        """Let go of the file."""
        for handle in (self._handle, self._lock):
            if handle is not None:
                os.close(handle)
        self._handle = self._lock = None

    def _alone(self, path: Path) -> bool:
        """Two processes with one file would hear half each: the second keeps nothing and has a stream of its own."""
        self._lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            self._lock = None
            return False
        return True

    def _read(self, path: Path, revoked: Revoked) -> Kept | None:
        try:
            first, *lines = path.read_bytes().split(b"\n")
            head = loads(first)
            entries = [loads(line) for line in lines[:-1]]  # after the last newline: nothing, or a torn line
            found = [_entry(entry) for entry in entries if "heard_at" not in entry]
        except (OSError, JoseError, ValueError):
            return None
        stream = head.get("stream")
        if {name: head.get(name) for name in self._about} != self._about or not isinstance(stream, str):
            return None
        for each in found:
            revoked.add(each)
        heard = [entry["heard_at"] for entry in entries if isinstance(entry.get("heard_at"), int | float)]
        return Kept(stream=stream, heard_at=float(str(heard[-1])) if heard else None)

    def _rewrite(self, path: Path, revoked: Revoked, heard_at: float | None) -> None:
        """Write the set beside the old file and swap, so that a crash leaves one or the other."""
        lines = [json.dumps({**self._about, "stream": self._stream}), *(_line(each) for each in revoked.entries())]
        if heard_at is not None:
            lines.append(json.dumps({"heard_at": heard_at}))
        part = path.with_name(path.name + ".part")
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        handle = os.open(part, flags, 0o600)
        try:
            _write(handle, "".join(line + "\n" for line in lines))
            part.replace(path)
            _settle(path.parent)
        except OSError:
            os.close(handle)
            raise
        if self._handle is not None:
            os.close(self._handle)
        self._handle, self._lines = handle, len(lines)


def _write(handle: int, text: str) -> None:
    data = text.encode("utf-8")
    while data:
        data = data[os.write(handle, data) :]
    os.fsync(handle)


def _settle(folder: Path) -> None:
    """Let the folder, too, survive the power: what is added from now on is added to the new file."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _line(ended: Ended) -> str:
    return json.dumps(
        {"kind": ended.kind, "ids": list(ended.ids), "not_before": ended.not_before, "until": ended.until}
    )


def _entry(entry: dict[str, object]) -> Ended:
    match entry:
        case {"kind": str(kind), "ids": list(ids), "not_before": int() | None as not_before, "until": int(until)}:
            for known in KINDS:
                if known == kind:
                    return Ended(kind=known, ids=tuple(map(str, ids)), not_before=not_before, until=until)
    raise ValueError("a line of the journal is damaged")
