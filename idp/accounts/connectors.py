"""The connectors of this provider: read from the store, made once, kept while their rows stay as they are.

A row that cannot be made into a connector signs nobody in and disturbs no other; `idp connector test` says why.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from idp.federation import registry
from idp.federation.connector import Connector, Misconfigured, PasswordConnector, RedirectConnector
from idp.federation.registry import Made
from idp.federation.values import Values
from idp.store import connector as store
from idp.store.connector import PROVISIONING
from idp.store.database import Database, Session
from idp.store.ids import new_id
from idp.store.sealed import Sealer

KEPT: Final = timedelta(seconds=1)  # FD19: a connector that is switched off is dead within a second, on every worker
NAME: Final = "abcdefghijklmnopqrstuvwxyz0123456789-"
LONGEST_NAME: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """A connector and what is decided here about whoever comes by it."""

    id: str
    version: int
    name: str
    label: str
    domains: frozenset[str]
    provisioning: str
    allowed_domains: frozenset[str]
    visible: bool
    connector: Connector


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What an operator writes about a connector, checked whole."""

    name: str
    kind: str
    label: str
    domains: tuple[str, ...]
    provisioning: str
    allowed_domains: tuple[str, ...]
    position: int
    visible: bool
    config: Mapping[str, object]
    secrets: Mapping[str, str] = field(repr=False)

    @classmethod
    def parse(cls, name: str, table: Mapping[str, object], *, beside: Path = Path()) -> Definition:
        """Read a table of TOML; `X_file` stands for any secret X and counts from the folder `beside`."""
        if not 0 < len(name) <= LONGEST_NAME or set(name) - set(NAME):
            raise Misconfigured(f"name: 1 to {LONGEST_NAME} small letters, digits and dashes")
        common = Values({key: value for key, value in table.items() if key in COMMON})
        kind = common.text("kind")
        secret_names = registry.maker(kind).secrets
        provisioning = common.choice("provisioning", "open", PROVISIONING)
        allowed = tuple(each.lower() for each in common.texts("allowed_domains", ()))
        if provisioning == "domains" and not allowed:
            raise Misconfigured("allowed_domains: name at least one domain where provisioning is domains")
        rest = {key: value for key, value in table.items() if key not in COMMON}
        secrets, config = _apart(rest, secret_names, beside)
        made = cls(
            name=name,
            kind=kind,
            label=common.text("label", name),
            domains=tuple(each.lower() for each in common.texts("domains", ())),
            provisioning=provisioning,
            allowed_domains=allowed,
            position=common.whole("order", 0, least=0, most=1000),
            visible=common.flag("visible", default=True),
            config=config,
            secrets=secrets,
        )
        made.build().close()
        return made

    def build(self) -> Connector:
        """Make the connector, which checks the rest."""
        return registry.make(self.kind, Made(name=self.name, config=self.config, secrets=self.secrets))


COMMON: Final = frozenset({"kind", "label", "domains", "provisioning", "allowed_domains", "order", "visible"})


def save(tx: Session, sealer: Sealer, wanted: Definition, now: datetime, *, declared: bool) -> store.Connector:
    """Write a connector; one of this name is replaced and its people stay."""
    there = store.find(tx, wanted.name)
    row_id = there.id if there is not None else new_id()
    sealed = None
    if wanted.secrets:
        sealed = sealer.seal("connector", "secrets_sealed", row_id, json.dumps(dict(wanted.secrets)).encode())
    return store.put(
        tx,
        name=wanted.name,
        now=now,
        connector_id=row_id,
        kind=wanted.kind,
        label=wanted.label,
        config=dict(wanted.config),
        secrets_sealed=sealed,
        domains=list(wanted.domains),
        provisioning=wanted.provisioning,
        allowed_domains=list(wanted.allowed_domains),
        position=wanted.position,
        visible=wanted.visible,
        declared=declared,
        disabled_at=None,
    )


def declare(
    db: Database, sealer: Sealer, tables: Mapping[str, Mapping[str, object]], now: datetime, *, beside: Path = Path()
) -> None:
    """Make the connectors of the settings file true. One that has left the file signs nobody in any more."""
    wanted = {name: Definition.parse(name, table, beside=beside) for name, table in tables.items()}
    with db.read() as tx:
        rows = {row.name: row for row in store.listing(tx)}
        stale = [row for row in rows.values() if row.declared and row.name not in wanted and row.disabled_at is None]
        fresh = [each for each in wanted.values() if not _same(sealer, rows.get(each.name), each)]
    if not stale and not fresh:
        return
    with db.write() as tx:
        for row in stale:
            store.disable(tx, row.id, now)
        for each in fresh:
            save(tx, sealer, each, now, declared=True)


class Connectors:
    """Live connectors in the order of the sign-in page."""

    def __init__(self, db: Database, sealer: Sealer) -> None:
        self._db = db
        self._sealer = sealer
        self._lock = threading.Lock()
        self._read_at: datetime | None = None
        self._ready: tuple[Ready, ...] = ()
        self._broken: dict[tuple[str, int], str] = {}

    def all(self, now: datetime) -> tuple[Ready, ...]:
        """Return every live connector, at most a second old."""
        read_at = self._read_at
        if read_at is not None and read_at <= now < read_at + KEPT:
            return self._ready
        with self._lock:
            with self._db.read() as tx:
                rows = [row for row in store.listing(tx) if row.disabled_at is None]
            self._ready = self._made_of(rows)
            self._read_at = now
            return self._ready

    def find(self, name: str, now: datetime) -> Ready | None:
        """Return a live connector by name."""
        return next((each for each in self.all(now) if each.name == name), None)

    def redirecting(self, now: datetime) -> tuple[Ready, ...]:
        """Return those that the browser can be sent to from the sign-in page."""
        return tuple(each for each in self.all(now) if each.visible and isinstance(each.connector, RedirectConnector))

    def directories(self, now: datetime) -> tuple[Ready, ...]:
        """Return those that a password can be taken to."""
        return tuple(each for each in self.all(now) if isinstance(each.connector, PasswordConnector))

    def forget(self) -> None:
        """Read everything anew; for whoever has just changed a connector."""
        self._read_at = None

    def close(self) -> None:
        """Close what they hold open."""
        with self._lock:
            for each in self._ready:
                each.connector.close()
            self._ready, self._read_at = (), None

    def _made_of(self, rows: list[store.Connector]) -> tuple[Ready, ...]:
        before = {(each.id, each.version): each for each in self._ready}
        ready = []
        for row in rows:
            place = (row.id, row.version)
            kept = before.pop(place, None)
            if kept is None and place not in self._broken:
                kept = self._make(row)
            if kept is not None:
                ready.append(kept)
        # Sign-ins at work on an old one finish: closing gives up what is idle, and what comes back later.
        for old in before.values():
            old.connector.close()
        return tuple(ready)

    def _make(self, row: store.Connector) -> Ready | None:
        try:
            return make(row, self._sealer)
        except Misconfigured as trouble:
            self._broken[(row.id, row.version)] = str(trouble)
            return None


def make(row: store.Connector, sealer: Sealer) -> Ready:
    """Make the connector of a row."""
    made = Made(name=row.name, config=row.config, secrets=_secrets(row, sealer))
    return Ready(
        id=row.id,
        version=row.version,
        name=row.name,
        label=row.label,
        domains=frozenset(row.domains),
        provisioning=row.provisioning,
        allowed_domains=frozenset(row.allowed_domains),
        visible=row.visible,
        connector=registry.make(row.kind, made),
    )


def _secrets(row: store.Connector, sealer: Sealer) -> dict[str, str]:
    if row.secrets_sealed is None:
        return {}
    opened = json.loads(sealer.open("connector", "secrets_sealed", row.id, row.secrets_sealed))
    return {str(name): str(value) for name, value in opened.items()}


def _same(sealer: Sealer, row: store.Connector | None, wanted: Definition) -> bool:
    if row is None or not row.declared or row.disabled_at is not None:
        return False
    said = (row.kind, row.label, row.config, row.domains, row.provisioning, row.allowed_domains)
    asked = (
        wanted.kind,
        wanted.label,
        dict(wanted.config),
        list(wanted.domains),
        wanted.provisioning,
        list(wanted.allowed_domains),
    )
    same_place = (row.position, row.visible) == (wanted.position, wanted.visible)
    return said == asked and same_place and _secrets(row, sealer) == dict(wanted.secrets)


def _apart(
    table: Mapping[str, object], names: frozenset[str], beside: Path
) -> tuple[dict[str, str], dict[str, object]]:
    secrets: dict[str, str] = {}
    config: dict[str, object] = {}
    for key, value in table.items():
        plain = key.removesuffix("_file")
        if key in names:
            secrets[key] = Values({key: value}).text(key)
        elif plain != key and plain in names:
            secrets[plain] = _read(key, beside / Values({key: value}).text(key))
        else:
            config[key] = value
    return secrets, config


def _read(name: str, file: Path) -> str:
    try:
        found = file.read_text("utf-8").strip("\r\n")
    except (OSError, UnicodeDecodeError):
        raise Misconfigured(f"{name}: this file cannot be read") from None
    if not found:
        raise Misconfigured(f"{name}: this file is empty")
    return found
