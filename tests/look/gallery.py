"""Every page a person can meet, in the four states the look asks for: empty, error, long, broken."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import segno
from markupsafe import Markup

# 60 characters without a place to break, and a name made of words: both happen.
LONG_WORD = "Bundesausbildungsfoerderungsgesetzverwaltungsstelleorders.co"
LONG_NAME = "The Orders Desk of the Northern and Southern Harbour Offices"
LONG_MAIL = "maximiliana.alexandrova-featherstonehaugh@orders.example.org"
TROUBLE = {
    "title": "That did not work.",
    "text": "Check the user name and the password, then try again. After five tries we slow down; "
    "a device you have used before is not locked out.",
}
USED = {
    "title": "This code has been used.",
    "text": "Wait for the next one, then type that.",
}
ADDRESS = "otpauth://totp/Gatehouse:ada@example.org?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Gatehouse"
QR = Markup(segno.make(ADDRESS, error="m").svg_inline(scale=4, omitsize=True, svgclass="qr", light="#fff"))
KEY = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXP"
CODES = [f"{index}k7q-m2xp-w{index}rd-hp1s-e8jz-q{index}nd" for index in range(10)]
SCOPES = [
    {
        "name": "openid",
        "title": "See who you are",
        "text": "a name that is yours alone",
        "api": "",
    },
    {"name": "email", "title": "See your e-mail address", "text": "", "api": ""},
    {
        "name": "orders:read",
        "title": "Read your orders",
        "text": "",
        "api": "Orders API",
    },
    {
        "name": "orders:write",
        "title": "Change your orders",
        "text": "places and cancels them",
        "api": "Orders API",
    },
]
MANY_SCOPES = [
    {
        "name": f"{LONG_WORD[:52]}:read{index}",
        "title": LONG_NAME,
        "text": LONG_WORD,
        "api": LONG_NAME,
    }
    for index in range(40)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One template in one state."""

    name: str
    template: str
    context: Mapping[str, object]


def page(name: str, template: str, **context: object) -> Page:
    return Page(name=name, template=template, context={"action": "/here?signin=1", **context})


LABELS = {
    "google": "Google",
    "entra": "Microsoft",
    "github": "GitHub",
    "gitlab": "GitLab",
    "apple": "Apple",
    "facebook": "Facebook",
    "linkedin": "LinkedIn",
    "discord": "Discord",
    "slack": "Slack",
    "okta": "Okta",
    "auth0": "Auth0",
    "other": "The directory of a company with quite a long name",
}


def _pages() -> Iterator[Page]:
    login = "authorize/login.html"
    yield page("login-empty", login, client_name=None, username="", error=None)
    yield page(
        "login",
        login,
        client_name="Orders Desk",
        client_uri="https://desk.example",
        username="",
        error=None,
    )
    yield page("login-error", login, client_name="Orders Desk", username="ada", error=TROUBLE)
    yield page(
        "login-long",
        login,
        client_name=LONG_WORD,
        client_uri="https://desk.example",
        username=LONG_MAIL,
        error={"title": LONG_NAME, "text": LONG_WORD},
        policy_uri="https://desk.example/privacy",
        tos_uri="https://desk.example/terms",
        logo_uri="/static/img/mark.svg",
    )
    yield page(
        "login-broken",
        login,
        client_name="Orders Desk",
        username="ada",
        error={
            "title": "We are busier than we should be.",
            "text": "Your password was not checked. Wait a few seconds, then sign in again.",
        },
    )
    mfa = "authorize/mfa.html"
    yield page(
        "mfa",
        mfa,
        label="Phone of Ada",
        error=None,
        recovery_url="/mfa/recovery?signin=1",
    )
    yield page(
        "mfa-error",
        mfa,
        label="Phone of Ada",
        error=USED,
        recovery_url="/mfa/recovery?signin=1",
    )
    yield page(
        "mfa-long",
        mfa,
        label=LONG_WORD,
        error=None,
        recovery_url="/mfa/recovery?signin=1",
    )
    recovery = "authorize/recovery.html"
    yield page("recovery", recovery, error=None, mfa_url="/mfa?signin=1")
    yield page("recovery-error", recovery, error=USED, mfa_url="/mfa?signin=1")
    enrol = "authorize/enrol.html"
    yield page("enrol", enrol, qr_svg=QR, secret=KEY, issuer_name="Gatehouse", error=None)
    yield page("enrol-error", enrol, qr_svg=QR, secret=KEY, issuer_name="Gatehouse", error=USED)
    yield page(
        "enrol-long",
        enrol,
        qr_svg=QR,
        secret=KEY * 3,
        issuer_name=LONG_WORD,
        error=None,
    )
    codes = "authorize/recovery_codes.html"
    yield page("recovery-codes", codes, codes=CODES, continue_url="/authorize?signin=1")
    yield page(
        "recovery-codes-long",
        codes,
        codes=[LONG_WORD[:40]] * 10,
        continue_url="/authorize?signin=1",
    )
    consent = "authorize/consent.html"
    yield page(
        "consent",
        consent,
        client_name="Orders Desk",
        username="ada@example.org",
        scopes=SCOPES,
        return_host="desk.example.org",
    )
    yield page(
        "consent-empty",
        consent,
        client_name="Orders Desk",
        username="ada",
        scopes=[],
        return_host="desk.example.org",
    )
    yield page(
        "consent-long",
        consent,
        client_name=LONG_NAME,
        client_uri="https://desk.example",
        username=LONG_MAIL,
        scopes=MANY_SCOPES,
        return_host=LONG_WORD,
    )
    yield from _elsewhere()
    yield from _endings()


def _elsewhere() -> Iterator[Page]:
    brands = tuple(LABELS)
    yield page(
        "login-elsewhere",
        "authorize/login.html",
        client_name="Orders Desk",
        username="",
        error=None,
        others=[
            {"name": brand, "href": "/federation/x?signin=1", "label": LABELS[brand], "icon": f"img/brands/{brand}.svg"}
            for brand in brands
        ],
    )
    yield page(
        "login-left-out",
        "authorize/login.html",
        client_name="Orders Desk",
        username="ada",
        error=None,
        others=[],
        left_out=["Google", "GitHub"],
    )
    yield page(
        "elsewhere-link-first",
        "authorize/elsewhere.html",
        title="You have an account here already",
        text="It has the same e-mail. Sign in to it as you always do, once, and we will ask whether to link Google.",
        support_id="7f3k2m9q11aa",
        link={"href": "/authorize?signin=1", "text": "Sign in to link"},
    )
    yield page(
        "elsewhere-lost",
        "authorize/elsewhere.html",
        title="This way back does not fit",
        text="You may have come here twice, from another browser, or too late. Begin again at the app.",
        support_id="7f3k2m9q11aa",
        link=None,
    )
    yield page("link", "authorize/link.html", label="Google", there="ada@example.org", username="ada", error=None)
    yield page("link-long", "authorize/link.html", label=LONG_NAME, there=LONG_MAIL, username=LONG_MAIL, error=TROUBLE)
    rules = ["At least 7 characters", "At least three of: small letters, capitals, digits, other characters"]
    refused = {"title": "Your new password is not set", "text": "It has fewer than 7 characters."}
    for name, facts in {
        "": {"username": "ada", "rules": rules, "error": None},
        "-refused": {"username": "ada", "rules": rules, "error": refused},
        "-long": {"username": LONG_MAIL, "rules": [LONG_NAME, LONG_WORD], "error": TROUBLE},
        "-unread": {"username": "ada", "rules": [], "error": None},
    }.items():
        yield page(f"new-password{name}", "authorize/new_password.html", **facts)
        own = {"label": "Corp", "there": facts["username"], "ways": "/account/ways-in", "done": False}
        yield page(f"own-password{name}", "account/new_password.html", **facts, **own)
    yield page("own-password-done", "account/new_password.html", label="Corp", ways="/account/ways-in", done=True)
    ways = [
        {"id": "1", "label": "Google", "there": "ada@example.org", "last": False, "stays": False},
        {"id": "2", "label": LONG_NAME, "there": LONG_MAIL, "last": False, "stays": True},
    ]
    yield page("ways-in", "account/ways.html", username="ada", ways=ways, password=True, locked=None)
    yield page(
        "ways-in-last",
        "account/ways.html",
        username="ada",
        ways=[{**ways[0], "last": True, "stays": True}],
        locked=None,
    )
    yield page("ways-in-late", "account/ways.html", username="ada", ways=ways, locked="Sign in again to change them.")
    yield page("ways-in-none", "account/ways.html", username="ada", ways=[], locked=None)
    others = [
        {"name": "google", "href": "#", "label": "Google", "icon": "img/brands/google.svg"},
        {"name": "long", "href": "#", "label": LONG_NAME, "icon": "img/brands/other.svg"},
    ]
    facts = {"username": "ada", "ways": [], "password": True, "locked": None, "others": others}
    yield page("ways-in-add", "account/ways.html", **facts)
    yield page("ways-in-ask", "account/ways.html", **facts, waiting={"label": "Google", "there": LONG_MAIL})
    yield page("ways-in-taken", "account/ways.html", **facts, error=TROUBLE)
    by_password = "To add another, sign in again with the password of this account."
    yield page("ways-in-by-password", "account/ways.html", **facts | {"others": [], "by_password": by_password})
    yield page("ways-in-nobody", "account/ways.html", username=None, ways=[], locked=None)


def _endings() -> Iterator[Page]:
    error = "authorize/error.html"
    yield page(
        "oauth-error",
        error,
        title="This link does not work",
        text="The app that sent you here asked us to send you back to an address that it has not registered. "
        "For your safety we stop here.",
        support_id="7F3K-2M9Q",
        error="invalid_request",
        link=None,
    )
    yield page(
        "oauth-error-expired",
        error,
        title="This took too long",
        text="For your safety a sign-in waits ten minutes. Go back to the app and start again.",
        support_id="7F3K-2M9Q",
        error="",
        link={"href": "https://desk.example", "text": "Back to Orders Desk"},
    )
    yield page(
        "oauth-error-long",
        error,
        title=LONG_NAME,
        text=LONG_WORD,
        support_id=LONG_WORD,
        error=LONG_WORD,
        link={"href": "https://desk.example", "text": LONG_WORD},
    )
    yield page(
        "logout",
        "logout/confirm.html",
        client_name="Orders Desk",
        username="ada@example.org",
    )
    yield page("logout-long", "logout/confirm.html", client_name=LONG_WORD, username=LONG_MAIL)
    yield page("logged-out", "logout/done.html", client_name=None, continue_url=None)
    yield page(
        "logged-out-app",
        "logout/done.html",
        client_name=LONG_NAME,
        continue_url="https://desk.example",
    )
    yield page(
        "not-found",
        "error.html",
        status=404,
        title="There is nothing here",
        text="The address may be mistyped, or the page has moved.",
        support_id=None,
    )
    yield page(
        "broken",
        "error.html",
        status=500,
        title="This is our fault",
        text="Something failed on our side and nothing was changed. Go back and try once more.",
        support_id="7F3K-2M9Q",
    )


PAGES = tuple(_pages())
