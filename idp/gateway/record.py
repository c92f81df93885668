"""A decision as one line of the decision log: enough to explain it later, and nothing of the token itself."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quoted

from idp.gateway.policy.facts import Facts
from idp.gateway.principal import Principal
from idp.gateway.request import Decision, Request
from idp.gateway.rules import Rule

_JUDGED = ',"judged":true'  # token and policy would have let it through; what comes after them did not


def line(at: float, request: Request, decision: Decision, seconds: float) -> str:
    """Write a decision for the log: whom it concerned as a digest, the path both ways, never a token or a query.

    Written by hand, because it is done for every request and costs half as much; `quoted` is what json itself uses.
    """
    caller, rule, facts = decision.caller, decision.rule, decision.facts
    failed = _failed(decision, caller, rule, facts) if decision.failed and caller and rule and facts else ""
    who, client, kid = (caller.subject_digest, caller.client_id, caller.kid) if caller else ("", "", "")
    policy = f',"policy":{quoted(decision.policy)}' if decision.policy else ""
    return (
        f'{{"at":{at:.3f},"event":"decision","id":"{decision.id}","status":{decision.status},'
        f'"why":{quoted(decision.reason or "allowed")},"route":{quoted(rule.route.id) if rule else "null"},'
        f'"method":{quoted(request.method)},"host":{quoted(request.host.decode("latin-1"))},'
        f'"raw_path":{quoted(request.target.partition(b"?")[0].decode("latin-1"))},"path":{quoted(decision.path)},'
        f'"peer":{quoted(request.peer)},"sub_hash":"{who}","client":{quoted(client)},"kid":{quoted(kid)},'
        f'"cache":{"true" if decision.cached else "false"},"us":{seconds * 1_000_000:.0f}'
        f"{policy}{_trace(request)}{failed}{_JUDGED if decision.judged else ''}}}"
    )


def _trace(request: Request) -> str:
    """Say which trace it belongs to, and how its caller calls it; the decision's own id is that for everybody else."""
    trace = request.trace
    if trace is None:
        return ""
    named = f',"request_id":{quoted(trace.request)}' if trace.request else ""
    return f',"trace_id":"{trace.id}"{named}' if trace.id else named


def _failed(decision: Decision, caller: Principal, rule: Rule, facts: Facts) -> str:
    """Say what of the policy failed: enough to explain the decision later, with the file whose digest is told."""
    address = facts.address()
    shadow = f',"shadow":{quoted(decision.shadow)}' if decision.shadow else ""
    return (
        f',"rule":{quoted(decision.failed)},"trace":"{rule.judge.trace(caller, facts)}",'
        f'"client_ip":{"null" if address is None else quoted(address)},"mode":"{rule.route.mode}"{shadow}'
    )
