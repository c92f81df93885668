"""Trace and request ids: what is well-formed goes on as it came, anything else is replaced."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idp.gateway import trace
from tests.gateway.raw import request

ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{ID}-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    "parent",
    [PARENT, f"00-{ID}-b7ad6b7169203331-00", f"cc-{ID}-b7ad6b7169203331-01", f"cc-{ID}-b7ad6b7169203331-01-what.comes"],
)
def test_a_trace_that_is_well_formed_goes_on_as_it_came(parent, proxy, upstream, token):
    proxy.ask(request(token=token, traceparent=parent, tracestate="rojo=00f067aa0ba902b7,t61@congo=t61rcWkgMzE"))
    assert upstream.last.header(b"traceparent") == parent.encode()
    assert upstream.last.header(b"tracestate") == b"rojo=00f067aa0ba902b7,t61@congo=t61rcWkgMzE"
    (line,) = proxy.lines()
    assert line["trace_id"] == ID


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "x",
        PARENT.upper(),
        f"ff-{ID}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{ID}-{'0' * 16}-01",
        f"00-{ID}-b7ad6b7169203331-01-more",
        f"cc-{ID}-b7ad6b7169203331-01.more",
        f"00-{ID}-b7ad6b7169203331-1",
        f"{PARENT}\r\ntraceparent: {PARENT}",
    ],
)
def test_a_trace_that_is_malformed_or_there_twice_is_begun_anew(parent, proxy, upstream, token):
    proxy.ask(request(token=token, traceparent=parent, tracestate="rojo=1"))
    begun = upstream.last.header(b"traceparent").decode()
    assert re.fullmatch(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-01", begun)
    assert ID not in begun
    assert upstream.last.header(b"tracestate") is None
    (line,) = proxy.lines()
    assert line["trace_id"] == begun[3:35]


@pytest.mark.parametrize("state", ["a=1,a=2", "A=1", "a", "a=", "a=é", ",".join(f"k{n}=1" for n in range(33))])
def test_a_trace_keeps_no_state_that_is_malformed(state, proxy, upstream, token):
    proxy.ask(request(token=token, traceparent=PARENT, tracestate=state))
    assert upstream.last.header(b"traceparent") == PARENT.encode()
    assert upstream.last.header(b"tracestate") is None


def test_state_in_several_headers_is_one_list(proxy, upstream, token):
    proxy.ask(request(token=token, traceparent=PARENT, tracestate="a=1 , \r\nTraceState: b=2"))
    assert upstream.last.header(b"tracestate") == b"a=1,b=2"


def test_a_request_has_one_id_for_everybody(proxy, upstream, token):
    proxy.ask(request(token=token, X_Request_Id="of-the.caller:1"))
    assert upstream.last.header(b"x-request-id") == b"of-the.caller:1"
    (line,) = proxy.lines()
    assert line["request_id"] == "of-the.caller:1"
    assert upstream.last.header(b"x-gatehouse-decision") == line["id"].encode()


@pytest.mark.attack("LO2")
@pytest.mark.parametrize("given", ["a b", "a" * 129, 'a"', "a\r\nX-Request-Id: b"])
def test_a_request_that_calls_itself_strangely_is_called_by_its_decision(given, proxy, upstream, token):
    proxy.ask(request(token=token, X_Request_Id=given))
    (line,) = proxy.lines()
    assert upstream.last.header(b"x-request-id") == line["id"].encode()
    assert "request_id" not in line


def test_a_refused_request_belongs_to_its_trace_too(proxy):
    proxy.ask(request(traceparent=PARENT))
    (line,) = proxy.lines()
    assert (line["status"], line["trace_id"]) == (401, ID)


def test_whoever_only_asks_is_told_of_no_trace_that_nobody_began():
    assert trace.read([(b"tracestate", b"a=1")]) is None


HEADERS = st.lists(st.tuples(st.sampled_from(sorted(trace.NAMES)), st.binary(max_size=60)), max_size=4)


@given(HEADERS)
def test_whatever_comes_in_what_goes_on_is_well_formed(headers):
    lines = trace.of(headers).wire("decision-1").split(b"\r\n")
    assert lines[0].startswith(b"traceparent: ")
    assert trace.read([(b"traceparent", lines[0].partition(b": ")[2])]).id
    assert lines[-1] == b""
    assert all(re.fullmatch(rb"[a-z-]+: [\x20-\x7e]+", line) for line in lines[:-1])
