"""The demo's gateway.toml: one rule for each thing that can be done with an order.

Approving one asks for a second step at sign-in, not long ago: the gateway says so, and the app sends the person back.
"""

from __future__ import annotations

from pathlib import Path

from idp.demo.facts import AUDIENCE, READ, WRITE
from idp.demo.places import LOOPBACK, Places

STRONG = ', acr = "aal2", max_age = "5m"'
RULES = (
    ("orders-read", "GET", "/orders", READ, ""),
    ("orders-place", "POST", "/orders", WRITE, ""),
    ("orders-approve", "POST", "/orders/{number}/approve", WRITE, STRONG),
)


def text(places: Places, *, snapshot: Path) -> str:
    """Return the rules as TOML."""
    head = f"""# Written by `idp demo` at each start: copy it to change it.
version = 1

[server]
shape = "proxy"
listen = "{LOOPBACK}:{places.gateway}"
hosts = ["{LOOPBACK}:{places.gateway}", "localhost:{places.gateway}"]

[issuers.demo]
issuer = "{places.issuer}"
# Everything starts at once here, so a first look for the keys may come too early: look again soon.
jwks = {{ refresh = "1m", kid_cooldown = "1s", snapshot = "{snapshot}" }}

[defaults]
limit = [{{ by = "subject", rate = "20/s" }}]
"""
    return head + "".join(
        f"""
[[routes]]
id = "{name}"
match = {{ method = ["{method}"], path = "{path}" }}
audience = "{AUDIENCE}"
upstream = "{places.api_url}"
require = {{ scope = ["{scope}"]{more} }}
"""
        for name, method, path, scope, more in RULES
    )


def write(folder: Path, places: Places) -> Path:
    """Write the file and return where it is."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "gateway.toml"
    file.write_text(text(places, snapshot=(folder / "jwks.json").resolve()), "utf-8")
    return file
