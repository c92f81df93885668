"""Getting a request to one of several servers.

It is tried elsewhere when nobody can have seen it, or when it does no harm twice and not a byte of an answer came. A
server that takes too long is not one of these cases: the client would wait twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from idp.gateway.pool import Pool
from idp.gateway.upstream import UpstreamConnection
from idp.gateway.upstreams.errors import Stale, Unheard, Unreached, UpstreamError
from idp.gateway.upstreams.servers import Member, Servers


@dataclass(slots=True, kw_only=True)
class Sending:
    """The head of a request, with as much of the body as there was."""

    head: bytes
    head_only: bool  # its answer has no body
    repeatable: bool  # doing it twice does no harm (RFC 9110 section 9.2.2)
    upgrade: bool = False  # the answer may be 101


async def reach(servers: Servers, sending: Sending) -> tuple[Member, UpstreamConnection]:
    """Send it, and give back who has it. Whoever is done with the connection tells `servers.release`."""
    tried: list[Member] = []
    fault: UpstreamError | None = None
    while (member := servers.choose(tried)) is not None:
        member.busy += 1
        try:
            return member, await _sent(member.pool, sending)
        except UpstreamError as failed:
            fault = failed
            member.busy -= 1
            servers.failed(member, sure=isinstance(failed, Unreached))
            if not isinstance(failed, Unreached) and not (sending.repeatable and isinstance(failed, Unheard)):
                raise
            tried.append(member)
        except BaseException:
            member.busy -= 1
            raise
    raise fault or servers.nobody()


async def _sent(pool: Pool, sending: Sending) -> UpstreamConnection:
    """Send it, on a fresh connection if the idle one turns out to be dead."""
    connection = pool.idle() or await pool.connect()
    while True:
        try:
            connection.begin(sending.head, head_only=sending.head_only, upgrade=sending.upgrade)
            if sending.repeatable:
                await connection.answered()
        except Stale:
            connection = await pool.connect()
        except BaseException:
            pool.give_back(connection)
            raise
        else:
            return connection
