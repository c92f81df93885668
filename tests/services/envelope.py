"""Encrypts to somebody's public key (RFC 7516) with raw cryptography, rightly or wrongly."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.padding import PKCS7

KEY_OCTETS = {"A256GCM": 32, "A128CBC-HS256": 32, "A128GCM": 16}


def seal(jwk: Mapping[str, str], plain: bytes, *, enc: str = "A256GCM", **said: Any) -> str:
    """Encrypt as `alg` of the key says. What is said (`zip_`) stands in the header all the same; None: absent."""
    alg = jwk["alg"]
    header: dict[str, Any] = {"alg": alg, "enc": enc, "kid": jwk["kid"], "cty": "JWT"}
    if alg == "ECDH-ES":
        key, header["epk"] = _agreed(jwk, enc)
        encrypted_key = b""
    else:
        key = secrets.token_bytes(KEY_OCTETS[enc])
        oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        encrypted_key = rsa.RSAPublicNumbers(_int(jwk["e"]), _int(jwk["n"])).public_key().encrypt(key, oaep)
    header |= {name.removesuffix("_"): value for name, value in said.items()}
    head = b64(json.dumps({name: value for name, value in header.items() if value is not None}).encode())
    iv, text, tag = _encrypted(enc, key, plain, head.encode())
    return ".".join((head, b64(encrypted_key), b64(iv), b64(text), b64(tag)))


def b64(value: bytes) -> str:
    return urlsafe_b64encode(value).rstrip(b"=").decode()


def _agreed(jwk: Mapping[str, str], enc: str) -> tuple[bytes, dict[str, str]]:
    """RFC 7518 section 4.6: one key pair for this message, and what both sides make of it."""
    theirs = ec.EllipticCurvePublicNumbers(_int(jwk["x"]), _int(jwk["y"]), ec.SECP256R1()).public_key()
    mine = ec.generate_private_key(ec.SECP256R1())
    numbers = mine.public_key().public_numbers()
    octets = KEY_OCTETS[enc]
    parts = len(enc).to_bytes(4) + enc.encode() + (0).to_bytes(4) * 2 + (octets * 8).to_bytes(4)
    key = ConcatKDFHash(hashes.SHA256(), octets, parts).derive(mine.exchange(ec.ECDH(), theirs))
    x, y = (b64(number.to_bytes(32)) for number in (numbers.x, numbers.y))
    return key, {"kty": "EC", "crv": "P-256", "x": x, "y": y}


def _encrypted(enc: str, key: bytes, plain: bytes, head: bytes) -> tuple[bytes, bytes, bytes]:
    if enc.endswith("GCM"):
        iv = secrets.token_bytes(12)
        whole = AESGCM(key).encrypt(iv, plain, head)
        return iv, whole[:-16], whole[-16:]
    iv, pad = secrets.token_bytes(16), PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key[16:]), modes.CBC(iv)).encryptor()
    text = encryptor.update(pad.update(plain) + pad.finalize()) + encryptor.finalize()
    proven = head + iv + text + (len(head) * 8).to_bytes(8)
    return iv, text, hmac.digest(key[:16], proven, hashlib.sha256)[:16]


def _int(text: str) -> int:
    return int.from_bytes(urlsafe_b64decode(text + "=="))
