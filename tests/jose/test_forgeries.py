"""Signatures that loose verifiers take for true ones: ECDSA edges, PKCS#1 padding, encrypted tokens."""

from __future__ import annotations

import json
import time
import zlib
from collections.abc import Iterator
from itertools import product

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.hashes import Hash

from idp.jose.keys import KeySet
from idp.jose.strict import JoseError
from idp.jose.verify import verify
from tests.jose.forge import ALL, AT, CLAIMS, Workshop, b64, segment

N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
EDGES = {"0": 0, "1": 1, "n-1": N - 1, "n": N, "n+1": N + 1, "p": P, "max": 2**256 - 1}


def unsigned(alg: str) -> str:
    return f"{segment({'alg': alg, 'typ': 'at+jwt', 'kid': alg})}.{segment(CLAIMS)}"


def refuses(own: KeySet, alg: str, signature: bytes) -> bool:
    try:
        verify(f"{unsigned(alg)}.{b64(signature)}", own, typ=AT, algs=ALL)
    except JoseError:
        return True
    return False


@pytest.mark.attack("JO15")
@pytest.mark.parametrize(("r", "s"), list(product(EDGES, EDGES)))
def test_refuses_ecdsa_edge_values(own: KeySet, r: str, s: str) -> None:
    assert refuses(own, "ES256", EDGES[r].to_bytes(32) + EDGES[s].to_bytes(32))


@pytest.mark.attack("JO15")
def test_refuses_a_good_half_beside_an_edge(workshop: Workshop, own: KeySet) -> None:
    good = workshop.signature("ES256", unsigned("ES256").encode())
    assert not refuses(own, "ES256", good)
    for edge in EDGES.values():
        assert refuses(own, "ES256", good[:32] + edge.to_bytes(32))
        assert refuses(own, "ES256", edge.to_bytes(32) + good[32:])


@pytest.mark.attack("JO15")
def test_refuses_ecdsa_in_der(workshop: Workshop, own: KeySet) -> None:
    der = workshop.ec.sign(unsigned("ES256").encode(), ec.ECDSA(hashes.SHA256()))
    assert refuses(own, "ES256", der)


@pytest.mark.attack("JO15")
def test_refuses_other_shapes_of_a_good_ecdsa_signature(workshop: Workshop, own: KeySet) -> None:
    good = workshop.signature("ES256", unsigned("ES256").encode())
    r, s = good[:32], good[32:]
    shapes = [
        good[:63], good[1:], good + b"\0", b"\0" + good, r, s + r, b"\0" + r + b"\0" + s, good * 2,
        r.rjust(48, b"\0") + s.rjust(48, b"\0"), r.rjust(66, b"\0") + s.rjust(66, b"\0"), good.hex().encode(),
        (int.from_bytes(r) + N).to_bytes(33) + s.rjust(33, b"\0"), bytes(reversed(good)), b"\0" * 64, b"\xff" * 64,
    ]  # fmt: skip
    assert all(refuses(own, "ES256", shape) for shape in shapes)


@pytest.mark.attack("JO15")
def test_refuses_another_hash_or_curve_under_es256(workshop: Workshop, own: KeySet) -> None:
    message = unsigned("ES256").encode()
    other = ec.generate_private_key(ec.SECP384R1())
    assert refuses(own, "ES256", workshop.ec.sign(message, ec.ECDSA(hashes.SHA384())))
    assert refuses(own, "ES256", other.sign(message, ec.ECDSA(hashes.SHA256())))


SHA256_INFO = bytes.fromhex("3031300d060960864801650304020105000420")
OTHER_INFOS = {
    "no NULL": "302f300b0609608648016503040201 0420",
    "sha1 name": "3021300906052b0e03021a05000414",
    "md5 name": "3020300c06082a864886f70d020505000410",
    "sha384 name": "3041300d060960864801650304020205000430",
    "sha512 name": "3051300d060960864801650304020305000440",
    "sha224 name": "302d300d06096086480165030402040500041c",
    "NULL with a body": "3032300e06096086480165030402010501000420",
    "long outer length": "308131300d060960864801650304020105000420",
    "long inner length": "303230810d060960864801650304020105000420",
    "long oid length": "3032300e06810960864801650304020105000420",
    "long digest length": "3032300d06096086480165030402010500048120",
    "indefinite length": "3080300d060960864801650304020105000420",
    "outer too short": "3030300d060960864801650304020105000420",
    "outer too long": "3032300d060960864801650304020105000420",
    "wrong outer tag": "3131300d060960864801650304020105000420",
    "wrong inner tag": "3031310d060960864801650304020105000420",
    "wrong oid tag": "3031300d070960864801650304020105000420",
    "wrong digest tag": "3031300d060960864801650304020105000320",
    "parameters as integer": "3031300d060960864801650304020102000420",
    "double NULL": "3033300f0609608648016503040201050005000420",
    "oid changed": "3031300d060960864801650304020005000420",
    "bare digest": "",
}


def framed(info: bytes, *, size: int = 256) -> bytes:
    return b"\0\x01" + b"\xff" * (size - 3 - len(info)) + b"\0" + info


def forged_blocks(digest: bytes) -> Iterator[bytes]:
    """Every way we know to write an encoded message that is almost EMSA-PKCS1-v1_5."""
    info = SHA256_INFO + digest
    good = framed(info)
    for place in range(len(good) - 32):  # every byte of the frame in turn
        yield good[:place] + bytes([good[place] ^ 0x01]) + good[place + 1 :]
    for text in OTHER_INFOS.values():
        yield framed(bytes.fromhex(text) + digest)
    for rest in (1, 8, 64, 128, 194):  # short padding and garbage behind (CVE-2006-4339 and kin)
        short = b"\0\x01" + b"\xff" * (202 - rest) + b"\0" + info
        yield short + b"\0" * rest
        yield short + b"\xaa" * rest
    yield b"\0\x01\0" + info + b"\0" * 202
    yield b"\0\x02" + b"\x5a" * 202 + b"\0" + info
    yield b"\0\0" + b"\0" * 202 + b"\0" + info
    yield b"\0\x01" + b"\xff" * 203 + info
    yield framed(info[:-1])
    yield framed(info + b"\0")
    yield framed(SHA256_INFO + digest[::-1])
    yield framed(SHA256_INFO + b"\0" * 32)
    yield b"\0" * 256
    yield b"\0" * 255 + b"\x01"


@pytest.mark.attack("JO19")
@pytest.mark.spec("RFC 8017 section 8.2.2")
def test_refuses_pkcs1_padding_forgeries(workshop: Workshop, own: KeySet) -> None:
    numbers = workshop.rsa.private_numbers()
    n, d = numbers.public_numbers.n, numbers.d
    hasher = Hash(hashes.SHA256())
    hasher.update(unsigned("RS256").encode())
    digest = hasher.finalize()

    def signed(block: bytes) -> bytes:
        return pow(int.from_bytes(block), d, n).to_bytes(256)

    assert not refuses(own, "RS256", signed(framed(SHA256_INFO + digest)))  # the method itself makes true ones
    blocks = list(forged_blocks(digest))
    assert len(blocks) >= 213
    assert [block.hex() for block in blocks if not refuses(own, "RS256", signed(block))] == []


@pytest.mark.attack("JO19")
def test_refuses_other_shapes_of_a_good_rsa_signature(workshop: Workshop, own: KeySet) -> None:
    n = workshop.rsa.public_key().public_numbers().n
    for alg in ("RS256", "PS256"):
        good = workshop.signature(alg, unsigned(alg).encode())
        value = int.from_bytes(good)
        shapes = [
            good[1:], good[:-1], b"\0" + good, good + b"\0", (value + n).to_bytes(257), (n - value).to_bytes(256),
            *((edge % 2**2048).to_bytes(256) for edge in (0, 1, n - 1, n, n + 1)), good * 2,
        ]  # fmt: skip
        assert not refuses(own, alg, good)
        assert all(refuses(own, alg, shape) for shape in shapes)


@pytest.mark.attack("JO19")
@pytest.mark.spec("RFC 8017 section 8.1.2")
def test_refuses_a_signature_whose_leading_zero_was_cut_off(workshop: Workshop, own: KeySet) -> None:
    good = next(
        made for made in iter(lambda: workshop.signature("PS256", unsigned("PS256").encode()), None) if not made[0]
    )
    assert not refuses(own, "PS256", good)
    assert refuses(own, "PS256", good[1:])


@pytest.mark.attack("JO19")
@pytest.mark.attack("JO20")
def test_refuses_pss_under_the_name_of_pkcs1_and_other_salts(workshop: Workshop, own: KeySet) -> None:
    def pss(alg: str, salt: int, digest: hashes.HashAlgorithm) -> bytes:
        scheme = padding.PSS(mgf=padding.MGF1(digest), salt_length=salt)
        return workshop.rsa.sign(unsigned(alg).encode(), scheme, digest)

    assert refuses(own, "RS256", pss("RS256", 32, hashes.SHA256()))
    assert refuses(own, "PS256", workshop.signature("RS256", unsigned("PS256").encode()))
    assert refuses(own, "PS256", pss("PS256", 0, hashes.SHA256()))
    assert refuses(own, "PS256", pss("PS256", 48, hashes.SHA384()))


def compact(header: dict[str, object], *parts: bytes) -> str:
    return ".".join([segment(header), *(b64(part) for part in parts)])


def zip_bomb() -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return b"".join(packer.compress(b" " * 1_000_000) for _ in range(200)) + packer.flush()


ENCRYPTED = {
    "p2c 2^31": lambda: compact(
        {"alg": "PBES2-HS256+A128KW", "enc": "A128GCM", "p2c": 2**31, "p2s": "AAAA", "kid": "RS256"},
        *[b"x" * 16] * 4,
    ),
    "200 MB zip bomb": lambda: compact(
        {"alg": "dir", "enc": "A128GCM", "zip": "DEF", "kid": "RS256"}, b"", b"x" * 12, zip_bomb(), b"x" * 16
    ),
    "RSA1_5": lambda: compact({"alg": "RSA1_5", "enc": "A128CBC-HS256", "kid": "RS256"}, *[b"x" * 256] * 4),
    "nested": lambda: compact(
        {"alg": "RSA-OAEP", "enc": "A128GCM", "cty": "JWT", "kid": "RS256"}, *[json.dumps(CLAIMS).encode()] * 4
    ),
    "dir, empty key": lambda: f"{segment({'alg': 'dir', 'enc': 'A128GCM'})}..{b64(b'x' * 12)}.AAAA.AAAA",
}


@pytest.mark.attack("JO25")
@pytest.mark.parametrize("name", ENCRYPTED)
def test_refuses_encrypted_tokens_at_once(own: KeySet, name: str) -> None:
    token = ENCRYPTED[name]()
    started = time.thread_time()
    with pytest.raises(JoseError):
        verify(token, own, typ=AT, algs=ALL)
    assert time.thread_time() - started < 0.15
