"""Flask + Authlib as its documentation shows: Flask-SQLAlchemy models from the mixins, the ready-made grant and token
functions, RFC 9068 tokens from `JWTBearerTokenGenerator`, the key read once. Its SQLite keeps the driver's defaults.
"""

from __future__ import annotations

import json
import os
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer
from authlib.integrations.sqla_oauth2 import (
    OAuth2ClientMixin,
    OAuth2TokenMixin,
    create_query_client_func,
    create_save_token_func,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from joserfc.jwk import ECKey, KeySet
from sqlalchemy import Column, Integer

PLAN = json.loads(os.environ["BENCH_PLAN"])
db = SQLAlchemy()


class OAuth2Client(db.Model, OAuth2ClientMixin):
    id = Column(Integer, primary_key=True)


class OAuth2Token(db.Model, OAuth2TokenMixin):
    id = Column(Integer, primary_key=True)
    user_id = Column(Integer)

    def get_user(self):
        return None


class Tokens(JWTBearerTokenGenerator):
    keys = KeySet([ECKey.generate_key("P-256", {"kid": "one", "use": "sig", "alg": "ES256"})])

    def get_jwks(self):
        return self.keys

    def get_audiences(self, *_who):
        return PLAN["audience"]


class ClientCredentials(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic",)


def _forget(token, request) -> None:
    """RFC 9068 tokens need no row: what somebody who knows leaves out."""


def create_app() -> Flask:
    made = Flask(__name__)
    made.config.update(SQLALCHEMY_DATABASE_URI=PLAN["database"], SQLALCHEMY_TRACK_MODIFICATIONS=False)
    db.init_app(made)
    save = create_save_token_func(db.session, OAuth2Token) if PLAN["save"] else _forget
    server = AuthorizationServer(made, create_query_client_func(db.session, OAuth2Client), save)
    server.register_grant(ClientCredentials)
    server.register_token_generator("default", Tokens(issuer=PLAN["issuer"], alg="ES256"))

    @made.post("/token")
    def token():
        return server.create_token_response()

    with made.app_context():
        db.create_all()
        _register()
    return made


def _register() -> None:
    client = OAuth2Client(client_id="service", client_secret=PLAN["secret"], client_id_issued_at=int(time.time()))
    client.set_client_metadata(
        {
            "client_name": "service",
            "grant_types": ["client_credentials"],
            "scope": " ".join(PLAN["scopes"]),
            "token_endpoint_auth_method": "client_secret_basic",
        }
    )
    db.session.add(client)
    db.session.commit()


app = create_app()
