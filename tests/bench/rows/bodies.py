"""Large bodies through the proxy, many at once: what the gateway keeps of them in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.bench.contest import Outcome, Pace, Reach, Sample
from tests.bench.gateways import ASKED, Gateway, gateway
from tests.bench.processes import forget_peak, peak_mb, resident_mb
from tests.gateway.issuer import Issuer, running

SIZE, AT_ONCE = 5_000_000, 64
PIECE = 65_536
LONGEST = 60.0
SLOWLY = 0.002  # seconds between two pieces for whoever reads: what is not read has to wait somewhere


def run(folder: Path, pace: Pace) -> Iterator[Outcome]:
    """Nobody reads before all have begun to send, and then slowly: the gateway must wait, not keep."""
    up, down = zip(*(_round(folder / f"round-{number}") for number in range(pace.rounds)), strict=True)
    for way, taken in (("requests", up), ("answers", down)):
        yield Outcome(
            label=f"{AT_ONCE} {way} of 5 MB",
            work=f"memory of the gateway grows: {AT_ONCE} {way} of 5 MB at once, read slowly",
            rival="none: the figure counts",
            reach=Reach(limit=30, better="less", unit="MB"),
            unit="MB",
            ours=taken,
        )


def _round(folder: Path) -> tuple[Sample, Sample]:
    folder.mkdir()
    with running(Issuer()) as issuer:
        return asyncio.run(_both_ways(folder, issuer))


async def _both_ways(folder: Path, issuer: Issuer) -> tuple[Sample, Sample]:
    async with _api() as port:
        with gateway(folder, issuer, shape="proxy", upstream=f"http://127.0.0.1:{port}") as ours:
            token = issuer.token()
            await _all_at_once(ours, token, 1_000)  # connections and keys are there before it counts
            return await _weighed(ours, token, up=True), await _weighed(ours, token, up=False)


async def _weighed(ours: Gateway, token: str, *, up: bool) -> Sample:
    before = resident_mb(ours.program.pid)
    forget_peak(ours.program.pid)
    failed = await _all_at_once(ours, token, SIZE, up=up)
    return Sample(value=peak_mb(ours.program.pid) - before, failed=failed)


async def _all_at_once(ours: Gateway, token: str, size: int, *, up: bool = True) -> int:
    async with asyncio.timeout(LONGEST):
        told = await asyncio.gather(*(_call(ours.port, token, size, up=up) for _ in range(AT_ONCE)))
    return told.count(False)


async def _call(port: int, token: str, size: int, *, up: bool) -> bool:
    """Send, or fetch, one body; say whether it came whole."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=PIECE)
    sent, wanted = (size, 2) if up else (0, size)
    writer.write(
        f"POST {ASKED} HTTP/1.1\r\nHost: api.example\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Length: {sent}\r\nX-Wanted: {wanted}\r\n\r\n".encode()
    )
    for start in range(0, sent, PIECE):
        writer.write(b"x" * min(PIECE, sent - start))
        await writer.drain()
    head = await reader.readuntil(b"\r\n\r\n")
    came = await _read(reader, wanted)
    writer.close()
    return head.startswith(b"HTTP/1.1 200 ") and came


async def _read(reader: asyncio.StreamReader, size: int) -> bool:
    while size:
        if size > PIECE:
            await asyncio.sleep(SLOWLY)
        piece = await reader.read(min(size, PIECE))
        if not piece:
            return False
        size -= len(piece)
    return True


@asynccontextmanager
async def _api() -> AsyncIterator[int]:
    """Wait until everybody is here, then read slowly and answer as much as is wanted."""
    here = asyncio.Barrier(AT_ONCE)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await _head(reader):
            await here.wait()
            if not await _read(reader, int(head[b"content-length"])):
                return
            wanted = int(head[b"x-wanted"])
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % wanted)
            for start in range(0, wanted, PIECE):
                writer.write(b"x" * min(PIECE, wanted - start))
                await writer.drain()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=PIECE, backlog=AT_ONCE)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def _head(reader: asyncio.StreamReader) -> dict[bytes, bytes]:
    try:
        _, *lines, _, _ = (await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")
    except (asyncio.IncompleteReadError, asyncio.CancelledError):  # the gateway has left, or the round is over
        return {}
    pairs = (line.partition(b": ") for line in lines)
    return {name.lower(): value for name, _, value in pairs}
