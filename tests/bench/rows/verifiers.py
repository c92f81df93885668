"""The gateway's verifier inside one process: tokens it has seen, and tokens it has not."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from idp.gateway.decide import Gate
from idp.gateway.load import parse
from idp.gateway.log import JsonLines
from idp.gateway.verifier import Verifier
from idp.jose.keys import SigningKey
from tests.bench.contest import Outcome, Pace, Reach, Sample, alternate
from tests.gateway.issuer import Issuer, a_key, running

TOKENS = 2_000
SLICE = 50  # short, so that some of them meet a quiet moment
P256_BYTES = 32
TEXT = """
version = 1
[server]
shape = "forward_auth"
[issuers.main]
issuer = "{issuer}"
[[routes]]
id = "orders"
match = {{ method = ["GET"], path = "/orders" }}
audience = "https://orders.example"
"""
Check = Callable[[bytes], object]


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Verify beside the least that could be done."""
    keys = {alg: a_key(alg) for alg in ("ES256", "RS256")}
    with running(Issuer()) as issuer:
        issuer.keys = list(keys.values())
        made = {alg: _tokens(issuer, key) for alg, key in keys.items()}
        log = JsonLines(str(folder / "gateway.log"))
        gate = Gate(parse(TEXT.format(issuer=issuer.issuer)), log=log)
        gate.start()
        try:
            _wait(gate)
            yield from _lines(gate, keys, made, pace)
        finally:
            gate.stop()
            log.close()


def _lines(gate: Gate, keys: dict[str, SigningKey], made: dict[str, list[bytes]], pace: Pace) -> Iterator[Outcome]:
    seen = made["ES256"][:SLICE]
    taken = alternate({"ours": Timed(_ours(gate), seen), "theirs": Timed(_dictionary(seen), seen)}, pace)
    yield Outcome(
        label="token seen",
        work="verifier, token already seen",
        rival="none: the figure counts",
        reach=Reach(limit=3.0, better="less", unit="us"),
        unit="us",
        ours=taken["ours"],
    )
    yield Outcome(
        label="token seen / dictionary",
        work="verifier, token already seen",
        rival="a dictionary by SHA-256 (for comparison)",
        reach=Reach(limit=3.0, better="less"),
        unit="us",
        ours=taken["ours"],
        theirs=taken["theirs"],
    )
    for alg, limit in (("ES256", 1.9), ("RS256", 3.7)):
        taken = alternate(
            {"ours": Timed(_ours(gate), made[alg], forget=gate), "theirs": Timed(_raw(keys[alg]), made[alg])}, pace
        )
        yield Outcome(
            label=f"new token, {alg} / raw verify",
            work=f"verifier, new token, {alg}: strict parser, signature, claims, principal",
            rival="raw `cryptography` verify of the same tokens",
            reach=Reach(limit=limit, better="less"),
            unit="us",
            ours=taken["ours"],
            theirs=taken["theirs"],
        )


class Timed:
    """Microseconds for one token: the fastest slice of the round counts, for others use this machine too."""

    def __init__(self, check: Check, tokens: list[bytes], *, forget: Gate | None = None) -> None:
        self._check, self._tokens, self._gate = check, tokens, forget
        self._slices = cycle(range(0, len(tokens), SLICE))

    def __call__(self, seconds: float) -> Sample:
        deadline, best = time.perf_counter() + seconds, float("inf")
        while time.perf_counter() < deadline:
            start = next(self._slices)
            part = self._tokens[start : start + SLICE]
            if self._gate is not None:
                self._gate.cache.__init__()  # nothing was seen
            best = min(best, self._time(part))
        return Sample(value=best)

    def _time(self, part: list[bytes]) -> float:
        check = self._check
        began = time.perf_counter()
        for token in part:
            check(token)
        return (time.perf_counter() - began) / len(part) * 1e6


def _ours(gate: Gate) -> Check:
    verifier: Verifier = gate.rules.rule(gate.rules.config.routes[0]).verifier
    now = time.time()
    return lambda token: verifier.verify(token, now)


def _dictionary(tokens: list[bytes]) -> Check:
    known = {hashlib.sha256(token).digest(): token for token in tokens}
    return lambda token: known[hashlib.sha256(token).digest()]


def _raw(key: SigningKey) -> Check:
    """Split, decode, verify: nothing is parsed, no claim is looked at."""
    private: Any = load_pem_private_key(key.private_pem(), None)
    public = private.public_key()
    if key.alg == "RS256":
        return lambda token: public.verify(*_parts(token), padding.PKCS1v15(), hashes.SHA256())
    scheme = ec.ECDSA(hashes.SHA256())

    def check(token: bytes) -> object:
        signature, signed = _parts(token)
        r, s = signature[:P256_BYTES], signature[P256_BYTES:]
        der = encode_dss_signature(int.from_bytes(r, "big"), int.from_bytes(s, "big"))
        return public.verify(der, signed, scheme)

    return check


def _parts(token: bytes) -> tuple[bytes, bytes]:
    signed, _, signature = token.rpartition(b".")
    return base64.urlsafe_b64decode(signature + b"=" * (-len(signature) % 4)), signed


def _tokens(issuer: Issuer, key: SigningKey) -> list[bytes]:
    return [issuer.token(key=key, jti=f"jti-{number}").encode() for number in range(TOKENS)]


def _wait(gate: Gate) -> None:
    deadline = time.monotonic() + 10
    while not gate.ready():
        if time.monotonic() > deadline:
            raise RuntimeError("the keys did not come")
        time.sleep(0.02)
