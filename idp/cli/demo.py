"""`idp demo`: the whole line on this machine, to be tried."""

from __future__ import annotations

import click

from idp.demo import runner
from idp.demo.processes import Ended


@click.command(name="demo")
def cli() -> None:
    """Start provider, gateway, sample API and sample app; Ctrl-C ends them, their state stays in var/.

    Ports: IDP_PORT (8000), IDP_GATEWAY_PORT (8080), IDP_DEMO_API_PORT (8090), IDP_DEMO_APP_PORT (8070).
    """
    try:
        runner.main()
    except (runner.CannotStart, Ended) as problem:
        raise click.ClickException(str(problem)) from None
