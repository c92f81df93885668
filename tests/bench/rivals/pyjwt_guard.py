"""Forward-auth as it is usually written: Flask, `PyJWKClient`, `jwt.decode`, and a table of ten routes."""

from __future__ import annotations

import json
import os
import re

import jwt
from flask import Flask, Response, request

PLAN = json.loads(os.environ["BENCH_PLAN"])
ROUTES = [(each["method"], re.compile(each["pattern"]), frozenset(each["scopes"])) for each in PLAN["routes"]]

app = Flask(__name__)
keys = jwt.PyJWKClient(PLAN["jwks_uri"])


@app.get("/auth")
def auth():
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    method, path = request.headers.get("X-Original-Method"), request.headers.get("X-Original-URI", "").partition("?")[0]
    needed = next((need for verb, pattern, need in ROUTES if verb == method and pattern.fullmatch(path)), None)
    if scheme.lower() != "bearer" or needed is None:
        return Response(status=401)
    try:
        key = keys.get_signing_key_from_jwt(token)
        claims = jwt.decode(token, key.key, algorithms=["ES256"], audience=PLAN["audience"], issuer=PLAN["issuer"])
    except jwt.PyJWTError:
        return Response(status=401)
    if not needed <= set(claims.get("scope", "").split()):
        return Response(status=403)
    return Response(headers={"X-Gatehouse-Sub": claims["sub"], "X-Gatehouse-Scope": claims["scope"]})
