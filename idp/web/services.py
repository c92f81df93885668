"""What one application holds, and the only reader of Flask's `current_app` and `g`.

Everything is made once, in `idp.app`, and handed out frozen: no module keeps a global of its own.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import current_app, g, request

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from idp.accounts.connectors import Connectors
    from idp.accounts.passwords import Passwords
    from idp.accounts.sessions import Sessions
    from idp.accounts.throttle import Throttle
    from idp.audit.log import AuditLog
    from idp.clients.authentication import ClientAuthentication
    from idp.clients.directory import ClientDirectory
    from idp.keys.rotation import Keyring
    from idp.settings import Settings
    from idp.store.database import Database
    from idp.store.sealed import Sealer
    from idp.web.client_address import ClientAddress
    from idp.web.client_certificate import ClientCertificate
    from idp.web.proofs import Proofs
    from idp.web.server import AuthorizationServer
    from idp.web.tally import Tally

EXTENSION = "idp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The parts of one running provider, wired by `idp.app.create_app`."""

    settings: Settings
    db: Database
    sealer: Sealer
    keyring: Keyring
    clients: ClientDirectory
    client_authentication: ClientAuthentication
    connectors: Connectors
    passwords: Passwords
    throttle: Throttle
    sessions: Sessions
    clock: Callable[[], datetime]
    server: AuthorizationServer
    audit: AuditLog
    client_address: ClientAddress
    client_certificate: ClientCertificate
    proofs: Proofs
    tally: Tally


def services() -> Services:
    """Return the services of the application that is answering now."""
    return cast("Services", current_app.extensions[EXTENSION])


def support_id() -> str:
    """Return the id a person may read to an operator; one per request, made when first asked for."""
    if "support_id" not in g:
        g.support_id = secrets.token_hex(6)
    return cast("str", g.support_id)


def caller() -> str:
    """Return the address of whoever sent the present request, "" when it cannot be known."""
    return services().client_address(request.environ)
