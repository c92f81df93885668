"""What the demo says to the person who started it."""

from __future__ import annotations

from idp.demo.facts import SERVICE, USERNAME, WRITE, Facts

TAKE = "python3 -c 'import json,sys; print(json.load(sys.stdin)[\"access_token\"])'"


def welcome(facts: Facts, seconds: float, *, bold: bool) -> str:
    """Return the whole text."""

    def strong(text: str) -> str:
        return f"\033[1m{text}\033[0m" if bold else text

    places = facts.places
    return f"""
{strong("Gatehouse is running")} ({seconds:.1f} s). Ctrl-C ends it; everything it knows stays in var/.

  Sample app     {strong(places.app_url)}   press its one button
  Sign-in page   {places.app_url}/start   the same button, as an address
  Account        {strong(USERNAME)} with the password {strong(facts.password)}

  Provider       {places.issuer}
  Gateway        {places.gateway_url}
  For programs   var/demo.json   (the same facts; logs are in var/log/)

{strong("By hand")}: a token first, then the guarded API, which answers 200:

  TOKEN=$(curl -s -u '{SERVICE}:{facts.service_secret}' -d grant_type=client_credentials {places.issuer}/token | {TAKE})
  curl -is -H "Authorization: Bearer $TOKEN" {facts.guarded_url}

and one call that is refused, with the reason (403: it needs {WRITE}):

  curl -is -H "Authorization: Bearer $TOKEN" -d '{{"item": "Anchor"}}' {facts.guarded_url}
"""
