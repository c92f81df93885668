"""The files of docs/deploy, with the addresses of a test in place of their examples and nothing else changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

DEPLOY = Path(__file__).resolve().parents[2] / "docs" / "deploy"

OFFICE = "127.0.0.3"


@dataclass(frozen=True, kw_only=True)
class Places:
    """Where everything is in this run."""

    folder: Path
    front: int
    api: int
    gateway: int | None = None  # None: a unix socket in the folder
    provider: int = 9

    @property
    def socket(self) -> Path:
        return self.folder / "gateway.sock"


def written(name: str, into: Path, here: Mapping[str, str]) -> Path:
    """Write a file of docs/deploy with other addresses; each example must be in it."""
    text = (DEPLOY / name).read_text("utf-8")
    for example, real in here.items():
        assert example in text, f"{name} no longer says {example}, which the tests adapt"
        text = text.replace(example, real)
    into.write_text(text, "utf-8")
    return into


def gateway_toml(contract: str, issuer: str, places: Places) -> str:
    """The gateway's own file for this front."""
    listen = f"unix:{places.socket}" if places.gateway is None else f"127.0.0.1:{places.gateway}"
    text = (DEPLOY / "gateway.toml").read_text("utf-8")
    for example, real in {
        'contract = "nginx"': f'contract = "{contract}"',
        "unix:/run/gatehouse/gateway.sock": listen,
        "https://idp.example": issuer,
        "192.0.2.0/24": f"{OFFICE}/32",
    }.items():
        assert example in text, f"gateway.toml no longer says {example}, which the tests adapt"
        text = text.replace(example, real)
    return text.replace("[server]\n", '[server]\ndrain = "1s"\n')
