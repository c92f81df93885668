"""nginx that asks our gateway before every request, beside HAProxy that checks the token by itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.bench.contest import Outcome, Pace, Reach, Sample, alternate
from tests.bench.gateways import ASKED, gateway
from tests.bench.rivals import fronts
from tests.gateway.issuer import Issuer, running


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Throughput with sixteen connections; what asking adds with one, so that nobody waits for anybody."""
    with ExitStack() as stack:
        issuer = stack.enter_context(running(Issuer()))
        api = stack.enter_context(fronts.api(folder))
        ours = stack.enter_context(gateway(folder, issuer, shape="forward_auth"))
        asking, bare = stack.enter_context(
            fronts.nginx(folder, gateway=ours.port, pids=(ours.program.pid,), behind=api)
        )
        rival = stack.enter_context(fronts.haproxy(folder, issuer=issuer.issuer, key=issuer.keys[0], behind=api))
        if not (asking.refuses_strangers() and rival.refuses_strangers()):
            raise RuntimeError("a front lets everybody pass")
        plan = question(issuer.token())
        taken = alternate(
            {
                "ours": lambda seconds: asking.load(plan, seconds),
                "haproxy": lambda seconds: rival.load(plan, seconds),
                "asking": lambda seconds: asking.load(plan, seconds, connections=1),
                "bare": lambda seconds: bare.load(plan, seconds, connections=1),
            },
            pace,
        )
    yield Outcome(
        label="nginx + auth_request / HAProxy",
        work="nginx + `auth_request` to our gateway, token seen, 10 routes with policy, decisions logged",
        rival="HAProxy's native JWT check (ES256, one thread), the same routes and scope",
        reach=Reach(limit=0.5),
        unit="answers/s",
        ours=taken["ours"],
        theirs=taken["haproxy"],
    )
    yield Outcome(
        label="p50 added by asking",
        work="what asking adds to the p50 of nginx, one connection",
        rival="the same nginx asking nobody",
        reach=Reach(limit=0.5, better="less", unit="ms"),
        unit="ms",
        ours=[_added(*pair) for pair in zip(taken["asking"], taken["bare"], strict=True)],
    )


def question(token: str) -> dict[str, object]:
    """Ask for a team, as every contestant is asked."""
    headers = {"Authorization": f"Bearer {token}", "Host": "api.example"}
    return {"method": "GET", "path": ASKED, "headers": headers, "body": "", "status": 200}


def _added(asking: Sample, bare: Sample) -> Sample:
    if asking.p50 is None or bare.p50 is None:
        raise AssertionError("wrk tells how long answers took")
    return Sample(value=asking.p50 - bare.p50, failed=asking.failed)
