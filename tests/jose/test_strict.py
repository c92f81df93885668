"""The strict parser: one reading of a token, or none."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from itertools import product

import pytest

from idp.jose.strict import MAX_TOKEN, JoseError, b64decode, b64encode, loads, split
from tests.jose.forge import CLAIMS, Workshop, b64, segment

SHELL = b'{"alg":"ES256","kid":"ES256","typ":"at+jwt"%s}'


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(JoseError) as caught:
        call()
    return caught.value.reason


def cpu_seconds(call: Callable[[], object]) -> float:
    """The best of three, in processor time: other people's load is not ours."""
    spent = []
    for _ in range(3):
        started = time.thread_time()
        call()
        spent.append(time.thread_time() - started)
    return min(spent)


def test_splits_a_good_token(workshop: Workshop) -> None:
    compact = split(workshop.token())
    assert compact.header == {"alg": "ES256", "typ": "at+jwt", "kid": "ES256"}
    assert json.loads(compact.payload) == CLAIMS


def test_a_caller_cannot_change_the_header_of_the_next_token(workshop: Workshop) -> None:
    token = workshop.token()
    split(token).header["alg"] = "none"
    assert split(token).header["alg"] == "ES256"


def test_reads_a_header_that_is_too_long_to_keep(workshop: Workshop) -> None:
    assert split(workshop.with_header(note="x" * 2_000)).header["note"] == "x" * 2_000


@pytest.mark.attack("JO7")
@pytest.mark.spec("RFC 7515 section 4.1.11")
@pytest.mark.parametrize(
    "crit", [["exp"], [], ["b64", "b64"], ["alg"], ["http://example/unknown"], "exp", None, [1], {"exp": 1}]
)
def test_refuses_every_crit(workshop: Workshop, crit: object) -> None:
    assert refused(lambda: split(workshop.with_header(crit=crit, exp=1))) == "header has crit"


@pytest.mark.attack("JO8")
@pytest.mark.spec("RFC 7797 section 6")
@pytest.mark.parametrize("b64_member", [False, True, "false", None])
def test_refuses_an_unencoded_payload(workshop: Workshop, b64_member: object) -> None:
    assert refused(lambda: split(workshop.with_header(b64=b64_member))) == "header has b64"


@pytest.mark.attack("JO9")
@pytest.mark.spec("RFC 7515 section 4")
@pytest.mark.parametrize(
    "more", [b',"alg":"none"', b',"\\u0061lg":"none"', b',"x":{"a":1,"a":1}', b',"x":[{"a":1,"a":2}]']
)
def test_refuses_a_duplicate_header_member(workshop: Workshop, more: bytes) -> None:
    assert refused(lambda: split(workshop.token(SHELL % more))) == "JSON has a duplicate member"


@pytest.mark.attack("JO9")
@pytest.mark.parametrize("raw", [b'{"sub":"alice","sub":"root"}', b'{"a":{"b":1,"b":1}}', b'{"":1,"":2}'])
def test_refuses_a_duplicate_claim(raw: bytes) -> None:
    assert refused(lambda: loads(raw)) == "JSON has a duplicate member"


SPOILERS: dict[str, Callable[[str], str]] = {
    "pad": lambda part: part + "=",
    "two pads": lambda part: part + "==",
    "leading space": lambda part: " " + part,
    "trailing space": lambda part: part + " ",
    "newline": lambda part: part + "\n",
    "carriage return": lambda part: part + "\r\n",
    "newline inside": lambda part: part[:4] + "\n" + part[4:],
    "tab": lambda part: part[:4] + "\t" + part[4:],
    "plus": lambda part: part[:4] + "+" + part[5:],
    "slash": lambda part: part[:4] + "/" + part[5:],
    "percent": lambda part: part[:4] + "%" + part[5:],
    "NUL": lambda part: part + "\0",
    "non-ASCII": lambda part: part[:4] + "\uff41" + part[5:],
    "one left over": lambda part: part + "A" * ((1 - len(part)) % 4 or 4),
}


@pytest.mark.attack("JO10")
@pytest.mark.spec("RFC 7515 section 2")
@pytest.mark.parametrize(("name", "place"), list(product(SPOILERS, range(3))))
def test_refuses_another_spelling_of_base64url(workshop: Workshop, name: str, place: int) -> None:
    parts = workshop.token().split(".")
    parts[place] = SPOILERS[name](parts[place])
    assert refused(lambda: split(".".join(parts)))


@pytest.mark.attack("JO10")
@pytest.mark.parametrize("text", [b"QR", b"QQF", b"_x", b"AAAAAB"])
def test_refuses_stray_bits(text: bytes) -> None:
    assert refused(lambda: b64decode(text)) == "base64url has stray bits"


@pytest.mark.parametrize("value", [b"", b"\x00", b"\xff\xfe", b"\xfb\xff\xbf", bytes(range(256))])
def test_base64url_round_trip(value: bytes) -> None:
    assert b64decode(b64encode(value)) == value


@pytest.mark.attack("JO11")
@pytest.mark.spec("RFC 7515 section 7.1")
def test_refuses_the_json_serialization(workshop: Workshop) -> None:
    head, payload, signature = workshop.token().split(".")
    flat = json.dumps({"protected": head, "payload": payload, "signature": signature})
    general = json.dumps({"payload": payload, "signatures": [{"protected": head, "signature": signature}]})
    assert refused(lambda: split(flat))
    assert refused(lambda: split(general))


@pytest.mark.attack("JO11")
@pytest.mark.parametrize(
    "shape",
    [
        "",
        ".",
        "..",
        "{0}",
        "{0}.{1}",
        "{0}.{1}.",
        "{0}..{2}",
        ".{1}.{2}",
        "{0}.{1}.{2}.",
        ".{0}.{1}.{2}",
        "{0}.{1}.{2}.{2}",
        "{0}.{1}.{2}.{2}.{2}",
    ],
)
def test_refuses_any_number_of_parts_but_three(workshop: Workshop, shape: str) -> None:
    token = shape.format(*workshop.token().split("."))
    assert refused(lambda: split(token)) == "token has not three parts"


@pytest.mark.attack("JO12")
@pytest.mark.spec("RFC 8725 section 3.7")
@pytest.mark.parametrize(
    "raw",
    [
        '{"sub":"alice"}'.encode("utf-16"),
        '{"sub":"alice"}'.encode("utf-16-le"),
        '{"sub":"alice"}'.encode("utf-16-be"),
        '{"sub":"alice"}'.encode("utf-32"),
        '{"sub":"alice"}'.encode("utf-8-sig"),
        b'{"sub":"\xff"}',
        b'{"sub":"\xc0\xaf"}',
        b'{"sub":"\xed\xa0\x80"}',
        b'{"sub":"\xf4\x90\x80\x80"}',
        b'{"sub":"\\ud800"}',
        b'{"sub":"\\udc00\\ud800"}',
        b'{"\\udfff":1}',
        b'{"sub":["a",{"b":"\\uDBFF"}]}',
        b'{"sub":"a\nb"}',
        b'{"sub":"a\x00b"}',
    ],
)
def test_refuses_what_is_not_plain_utf8(raw: bytes) -> None:
    assert refused(lambda: loads(raw))


@pytest.mark.attack("JO12")
def test_reads_a_proper_surrogate_pair() -> None:
    assert loads(b'{"a":"\\ud83d\\ude00 \\\\ud800"}') == {"a": "\U0001f600 \\ud800"}


@pytest.mark.attack("JO13")
@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
        b'{"a":' + b"[" * 100_000,
        b'{"a":' + b"[{" * 40,
        b'{"exp":' + b"9" * 1_000_000 + b"}",
        b'{"exp":-' + b"9" * 1_000_000 + b"}",
        b'{"exp":0.' + b"1" * 1_000_000 + b"}",
        b'{"exp":1' + b"0" * 33 + b"}",
        b'{"exp":1e400}',
        b'{"exp":-1e400}',
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"exp":-Infinity}',
        b'{"exp":01}',
        b'{"exp":0x10}',
        b'{"exp":1_000}',
        b'{"a":"' + b'\\"' * 500_000,
        b'{"a":"' + b"[" * 40 + b"\\",
        b"x" * 1_048_577,
    ],
    ids=lambda raw: f"{raw[:16]!r}x{len(raw)}",
)
def test_refuses_hostile_json_quickly(raw: bytes) -> None:
    assert cpu_seconds(lambda: refused(lambda: loads(raw))) < 0.05


@pytest.mark.attack("JO13")
def test_brackets_in_strings_are_not_depth() -> None:
    text = "[{" * 50 + '"\\' + "[" * 50
    assert loads(json.dumps({"a": text, "b": [[], {}]}).encode()) == {"a": text, "b": [[], {}]}


def test_many_shallow_objects_are_fine() -> None:
    assert loads(json.dumps({"keys": [{}] * 100}).encode()) == {"keys": [{}] * 100}


@pytest.mark.parametrize(
    "raw", [b"", b" ", b"[]", b'"a"', b"1", b"null", b"true", b"{}{}", b"{},", b"{'a':1}", b'{"a":1,}', b"{"]
)
def test_refuses_what_is_not_one_object(raw: bytes) -> None:
    assert refused(lambda: loads(raw))


def test_reads_ordinary_numbers() -> None:
    assert loads(b'{"a":1800000000,"b":-1,"c":1.5,"d":1e3,"e":true,"f":null}') == {
        "a": 1_800_000_000, "b": -1, "c": 1.5, "d": 1000.0, "e": True, "f": None,
    }  # fmt: skip


@pytest.mark.attack("JO14")
def test_refuses_a_long_token_before_it_decodes(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    token = workshop.token()
    monkeypatch.setattr("idp.jose.strict.b64decode", lambda _: pytest.fail("decoded"))
    assert refused(lambda: split(token + "A" * (MAX_TOKEN + 1 - len(token)))) == "token is too long"


@pytest.mark.attack("JO5")
@pytest.mark.parametrize("name", ["kid", "typ", "cty"])
@pytest.mark.parametrize("value", [["ES256"], {"a": 1}, 7, True, None])
def test_refuses_header_members_that_are_not_text(workshop: Workshop, name: str, value: object) -> None:
    assert refused(lambda: split(workshop.with_header(**{name: value})))


@pytest.mark.attack("JO1")
@pytest.mark.parametrize("header", [{}, {"typ": "at+jwt"}, {"alg": None}, {"alg": ["ES256"]}, {"alg": 0}, {"alg": {}}])
def test_refuses_an_alg_that_is_not_text(workshop: Workshop, header: object) -> None:
    assert refused(lambda: split(workshop.token(header))) == "header alg is not text"


@pytest.mark.attack("JO25")
@pytest.mark.parametrize("name", ["enc", "zip"])
def test_refuses_a_three_part_token_that_says_it_is_encrypted(workshop: Workshop, name: str) -> None:
    assert refused(lambda: split(workshop.with_header(**{name: "x"}))) == "header is of an encrypted token"


def test_refuses_a_payload_that_is_not_an_object() -> None:
    assert refused(lambda: loads(split(f"{segment({'alg': 'ES256'})}.{b64(b'[]')}.AAAA").payload))
