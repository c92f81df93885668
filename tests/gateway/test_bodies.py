"""Many large bodies at once: they pass through the gateway and never stay in it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.bench.processes import resident_mb
from tests.gateway.conftest import config_text
from tests.gateway.issuer import Issuer
from tests.gateway.raw import request
from tests.gateway.upstream import Upstream
from tests.services.program import Program, free_port
from tests.services.provider import IDP

AT_ONCE = 64
SIZE = 5_000_000
PIECE = b"x" * 50_000
MOST_MB = 30.0
SECONDS = 180  # before it is given up


async def takes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Read a request and its body, at its own pace, and answer with as much where that is asked for."""
    head = await reader.readuntil(b"\r\n\r\n")
    sends = head.startswith(b"GET")
    left = 0 if sends else SIZE
    while left:
        left -= len(await reader.read(min(left, 65_536)))
        await asyncio.sleep(0.002)
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % (SIZE if sends else 0))
    for _ in range(SIZE // len(PIECE) if sends else 0):
        writer.write(PIECE)
        await writer.drain()
    await writer.drain()
    writer.close()


async def asks(port: int, data: bytes, *, body: bool) -> int:
    """Send a request, with a body or for one, and count what comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    for _ in range(SIZE // len(PIECE) if body else 0):
        writer.write(PIECE)
        await writer.drain()
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 ")
    came = 0
    while not body and came < SIZE:
        came += len(await reader.read(65_536))
        await asyncio.sleep(0.002)
    writer.close()
    return came


async def weighed(pid: int, port: int, data: bytes, *, body: bool) -> float:
    """Run all of them at once, and give by how much the gateway grew at most."""
    before = most = resident_mb(pid)
    asking = asyncio.gather(*(asks(port, data, body=body) for _ in range(AT_ONCE)))
    while not asking.done():
        await asyncio.sleep(0.02)
        most = max(most, resident_mb(pid))
    assert set(await asking) == {0 if body else SIZE}
    return most - before


async def grown(folder: Path, issuer: Issuer) -> tuple[float, float]:
    """Run a gateway in a process of its own, and give by how much bodies up, and bodies down, made it grow."""
    server = await asyncio.start_server(takes, "127.0.0.1", 0)
    behind, port = Upstream(port=server.sockets[0].getsockname()[1]), free_port()
    file, token = folder / "gateway.toml", issuer.token()
    text = config_text(issuer, behind).replace('"127.0.0.1:0"', f'"127.0.0.1:{port}"')
    file.write_text(f'{text}\n[log]\nfile = "{folder}/decisions.log"\n')
    with Program([IDP, "gateway", "run", "--config", file], log=folder / "gateway.log") as program:
        await asyncio.to_thread(program.wait_for_port, port)
        await asks(port, request(token=token), body=False)  # what the first request loads does not count
        up = await weighed(program.pid, port, request("POST", token=token, Content_Length=str(SIZE)), body=True)
        down = await weighed(program.pid, port, request(token=token), body=False)
    server.close()
    return up, down


@pytest.mark.attack("GW27")
def test_sixty_four_bodies_of_five_megabytes_each_way_cost_less_than_thirty(tmp_path, issuer):
    assert max(asyncio.run(asyncio.wait_for(grown(tmp_path, issuer), SECONDS))) < MOST_MB
