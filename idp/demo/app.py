"""The sample app, "Orders Desk": one button signs a person in, and shows what came back and what it opens."""

from __future__ import annotations

import hmac
import json
import secrets
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from authlib.common.errors import AuthlibBaseError
from flask import Flask, Response, abort, redirect, render_template, request, url_for
from requests import RequestException
from werkzeug.serving import WSGIRequestHandler, make_server

from idp import assets
from idp.demo import words
from idp.demo.calls import Calls, TooWeak
from idp.demo.facts import Facts
from idp.demo.places import LOOPBACK
from idp.demo.relying_party import Attempt, NotSignedIn, RelyingParty
from idp.demo.visits import Visit, Visits
from idp.jose.strict import JoseError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from werkzeug.wrappers import Response as Answered

COOKIE = "orders_desk"
REFUSED = (AuthlibBaseError, RequestException, JoseError)


class Desk:
    """The pages of the sample app."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._party = RelyingParty(facts)
        self._calls = Calls(facts, self._party)
        self._visits = Visits()
        self._deeds: dict[str, Callable[[Visit], None]] = {
            "read": self._calls.read,
            "order": self._calls.order,
            "approve": self._calls.approve,
            "profile": self._calls.profile,
            "refresh": self._calls.refresh,
        }

    def home(self) -> Answered:
        """Show the button, or what came back."""
        name, visit = self._visit()
        tokens = visit.tokens
        page = render_template(
            "demo/desk.html",
            visit=visit,
            tokens=tokens,
            issuer=self._facts.places.issuer,
            guarded=self._facts.guarded_url,
            id_lines=words.explain(tokens.id_claims, words.ID_TOKEN) if tokens else [],
            access_lines=words.explain(words.look_inside(tokens.access), words.ACCESS_TOKEN) if tokens else [],
        )
        visit.trouble = None
        return self._with_cookie(Response(page), name)

    def start(self) -> Answered:
        """Send the browser to Gatehouse. A GET may begin: nothing is signed in before the answer is checked."""
        name, visit = self._visit()
        visit.again = None
        return self._with_cookie(self._send(visit, {}), name)

    def callback(self) -> Answered:
        """Take up the answer (RFC 6749 section 4.1.2), once."""
        name, visit = self._visit()
        attempt, visit.attempt = visit.attempt, None
        again, visit.again = visit.again, None
        try:
            visit.tokens = self._party.finish(attempt, request.args.to_dict())
            self._calls.greet(visit)
        except NotSignedIn as refused:
            return self._back(visit, str(refused))
        except REFUSED:
            return self._back(visit, "Gatehouse did not answer in time. Sign in once more.")
        visit.answer = None
        came_back = redirect(url_for("home"), 303) if again is None else self._do(visit, again, stepped_up=True)
        return self._with_cookie(came_back, self._visits.rename(name))

    def act(self, what: str) -> Answered:
        """Do what a button says, then show the page again."""
        _, visit = self._visit()
        self._check_form(visit)
        if visit.tokens is None or what not in self._deeds:
            return redirect(url_for("home"), 303)
        return self._do(visit, what)

    def sign_out(self) -> Answered:
        """End the visit's tokens here, and the session at Gatehouse."""
        _, visit = self._visit()
        self._check_form(visit)
        if visit.tokens is None:
            return redirect(url_for("home"), 303)
        visit.leaving = secrets.token_urlsafe(32)
        return redirect(self._party.farewell(visit.tokens, visit.leaving), 303)

    def signed_out(self) -> Answered:
        """Show that what was given is worth nothing any more, by trying it."""
        _, visit = self._visit()
        state = request.args.get("state", "")
        if visit.leaving is None or not hmac.compare_digest(state.encode(), visit.leaving.encode()):
            return redirect(url_for("home"), 303)
        tokens, visit.tokens, visit.leaving, visit.answer = visit.tokens, None, None, None
        if tokens is not None:
            visit.left = self._calls.try_again(tokens, visit.profile_token)
        return Response(render_template("demo/signed_out.html", tried=visit.left))

    def _do(self, visit: Visit, what: str, *, stepped_up: bool = False) -> Answered:
        """Make a call. Where it asks for a stronger sign-in, send the person to Gatehouse for it, once."""
        try:
            self._deeds[what](visit)
        except TooWeak as weak:
            if not stepped_up:
                visit.again = what
                return self._send(visit, weak.wanted)
            visit.answer = weak.refused
        except REFUSED as refused:
            return self._back(visit, self._calls.refusal(refused))
        if stepped_up and visit.answer is not None and visit.answer.good:
            words = "The gateway asked for a stronger sign-in. You gave it, and the same call went through."
            visit.answer = replace(visit.answer, words=words)
        return redirect(url_for("home") + "#answer", 303)

    def _send(self, visit: Visit, wanted: Mapping[str, str]) -> Answered:
        """Send the browser to Gatehouse, to come back with a sign-in as it is wanted."""
        visit.attempt = Attempt(wanted=wanted)
        try:
            return redirect(self._party.begin(visit.attempt), 303)
        except REFUSED:
            return self._back(visit, "Gatehouse does not answer. Is it still running?")

    def _visit(self) -> tuple[str, Visit]:
        name = request.cookies.get(COOKIE, "")
        visit = self._visits.find(name)
        return (name, visit) if visit is not None else self._visits.begin()

    def _check_form(self, visit: Visit) -> None:
        if not hmac.compare_digest(request.form.get("form_key", "").encode(), visit.form_key.encode()):
            abort(403)

    @staticmethod
    def _back(visit: Visit, trouble: str) -> Answered:
        visit.trouble = trouble
        return redirect(url_for("home"), 303)

    @staticmethod
    def _with_cookie(response: Answered, name: str) -> Answered:
        response.set_cookie(COOKIE, name, httponly=True, samesite="Lax")
        return response


def create_desk(facts: Facts) -> Flask:
    """Wire the sample app."""
    flask = Flask(
        "desk",
        template_folder=str(assets.folder("templates")),
        static_folder=str(assets.folder("static")),
        static_url_path="/static",
    )
    flask.jinja_env.globals.update(asset=assets.address, pretty=_pretty)
    desk = Desk(facts)
    flask.add_url_rule("/", "home", desk.home)
    flask.add_url_rule("/start", "start", desk.start, methods=["GET", "POST"])
    flask.add_url_rule("/callback", "callback", desk.callback)
    flask.add_url_rule("/act/<what>", "act", desk.act, methods=["POST"])
    flask.add_url_rule("/sign-out", "sign_out", desk.sign_out, methods=["POST"])
    flask.add_url_rule("/signed-out", "signed_out", desk.signed_out)

    def protect(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action 'self' {facts.places.issuer}"
        )
        response.headers["Referrer-Policy"] = "no-referrer"
        response.headers["X-Content-Type-Options"] = "nosniff"
        if request.endpoint != "static":
            response.headers["Cache-Control"] = "no-store"
        return response

    flask.after_request(protect)
    return flask


def _pretty(said: Any) -> str:
    return json.dumps(said, indent=2, ensure_ascii=False)


class Quiet(WSGIRequestHandler):
    """No line for each request: the terminal belongs to the demo's own words."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Keep still."""


def main() -> None:
    """Serve until the process is ended; the facts come by standard input, so no secret is in an argument."""
    facts = Facts.from_json(sys.stdin.read())
    make_server(LOOPBACK, facts.places.app, create_desk(facts), threaded=True, request_handler=Quiet).serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
