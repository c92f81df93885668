"""When a key is born, signs, rests and goes. Pure: rows and a moment in, decisions out.

A new key is shown at once and signs only after `lead`, when every gateway has fetched it. The key before it stays
for `keep`, until the longest token it can have signed is dead. All workers read the same rows, so all of them move
to the next key at the same moment, however old their copy of the rows is.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Self

from idp.settings import Settings
from idp.store.signing_key import SigningKey

# What a verifier elsewhere may allow on top of exp, whatever our own leeway is; also how far clocks may differ.
MARGIN = dt.timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The operator's decisions about keys."""

    algs: tuple[str, ...]
    lead: dt.timedelta
    interval: dt.timedelta
    keep: dt.timedelta

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Take them from the settings."""
        longest = max(settings.access_token_longest, settings.access_token_lifetime, settings.id_token_lifetime)
        return cls(
            algs=settings.signing_algs,
            lead=settings.publish_lead,
            interval=settings.key_rotation_interval,
            keep=longest + settings.leeway + MARGIN,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Birth:
    """A key that must be made."""

    alg: str
    sign_from: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirement:
    """A key whose signing has ended."""

    kid: str
    retired_at: dt.datetime
    remove_at: dt.datetime


def signer(keys: Iterable[SigningKey], alg: str, now: dt.datetime) -> SigningKey | None:
    """Give the one key that signs now: the youngest whose time has come."""
    able = [key for key in keys if key.alg == alg and key.sign_from <= now and _may_sign(key, now)]
    return max(able, key=_age, default=None)


def published(keys: Iterable[SigningKey], now: dt.datetime) -> list[SigningKey]:
    """Give the keys that the world may see: waiting, signing, and resting ones."""
    return [key for key in keys if key.publish_at <= now and key.withdrawn_at is None and not removed(key, now)]


def remembered(keys: Iterable[SigningKey], now: dt.datetime, memory: dt.timedelta) -> list[SigningKey]:
    """Give also keys removed less than `memory` ago: old ID tokens still serve as hints. Never a withdrawn one."""
    return [key for key in keys if key.withdrawn_at is None and not removed(key, now - memory)]


def births(
    keys: Sequence[SigningKey], now: dt.datetime, rules: Rules, forced: frozenset[str] = frozenset()
) -> list[Birth]:
    """Say which keys are missing: the first of an algorithm, the next of an ageing one, or one asked for."""
    needed = []
    for alg in rules.algs:
        current = signer(keys, alg, now)
        if current is None:
            # Nothing signs: waiting would refuse everybody. Dated back, because a worker whose request began a little
            # earlier would else not see this key, make another, and show a set without the one that signs.
            needed.append(Birth(alg=alg, sign_from=now - MARGIN))
        elif not _waiting(keys, alg, now) and (alg in forced or _due(current, now, rules)):
            needed.append(Birth(alg=alg, sign_from=now + rules.lead))
    return needed


def retirements(keys: Sequence[SigningKey], now: dt.datetime, rules: Rules) -> list[Retirement]:
    """Say which keys were followed by one that signs by now, or whose algorithm is no longer wanted."""
    ended = []
    for alg in sorted({key.alg for key in keys}):
        live = sorted((key for key in keys if key.alg == alg and key.withdrawn_at is None), key=_age)
        begun = [key for key in live if key.sign_from <= now]
        ended += [(old, new.sign_from) for old, new in pairwise(begun)]
        if alg not in rules.algs:
            ended += [(key, now) for key in (*begun[-1:], *live[len(begun) :])]
    return [
        Retirement(kid=key.id, retired_at=moment, remove_at=moment + rules.keep)
        for key, moment in ended
        if key.retired_at is None
    ]


def state(key: SigningKey, keys: Iterable[SigningKey], now: dt.datetime) -> str:
    """Name where a key stands, in one word for people."""
    if key.withdrawn_at is not None:
        return "withdrawn"
    if removed(key, now):
        return "removed"
    if key.sign_from > now and _may_sign(key, now):
        return "waiting"
    current = signer(keys, key.alg, now)
    return "signing" if current is not None and current.id == key.id else "resting"


def removed(key: SigningKey, now: dt.datetime) -> bool:
    """Say whether a rested key has left the key set."""
    return key.remove_at is not None and key.remove_at <= now


def _may_sign(key: SigningKey, now: dt.datetime) -> bool:
    return key.withdrawn_at is None and (key.retired_at is None or key.retired_at > now)


def _waiting(keys: Iterable[SigningKey], alg: str, now: dt.datetime) -> bool:
    return any(key.alg == alg and key.sign_from > now and _may_sign(key, now) for key in keys)


def _due(current: SigningKey, now: dt.datetime, rules: Rules) -> bool:
    return now >= current.sign_from + rules.interval - rules.lead


def _age(key: SigningKey) -> tuple[dt.datetime, str]:
    return (key.sign_from, key.id)
