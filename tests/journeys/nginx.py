"""The inside of nginx's http block for the journey: every call to the API is first asked about at the gateway."""

from __future__ import annotations

from tests.journeys.line import Line

IDENTITY = ("Subject", "Client", "Scopes", "Roles")


def inside(line: Line) -> str:
    """Return the configuration."""
    places = line.facts.places
    learn = "\n".join(
        f"      auth_request_set $auth_{name.lower()} $upstream_http_x_auth_{name.lower()};" for name in IDENTITY
    )
    tell = "\n".join(f"      proxy_set_header X-Auth-{name} $auth_{name.lower()};" for name in IDENTITY)
    return f"""
  server {{
    listen 127.0.0.1:{places.gateway};
    location = /_gatehouse {{
      internal;
      proxy_pass http://127.0.0.1:{line.gateway_port}/.gatehouse/auth;
      proxy_pass_request_body off;
      proxy_set_header Content-Length "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Original-Method $request_method;
      proxy_set_header X-Original-URI $request_uri;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
    location / {{
      auth_request /_gatehouse;
{learn}
      proxy_pass http://127.0.0.1:{places.api};
      proxy_set_header Authorization "";
{tell}
    }}
  }}
"""
