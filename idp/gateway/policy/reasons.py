"""Why a decision went as it did, in words: for `explain` and for the page of the status.

The log keeps short constant reasons, so that programs can count them; these are for people.
"""

from __future__ import annotations

from typing import Final

# Whatever is not here is said by the verifier in its own words.
_WORDS: Final = {
    "no_route": "no route is for this host and path, and what no route names is denied",
    "method": "the path has routes, none of them for this method",
    "bad_host": "the host is missing, malformed or unknown to this gateway",
    "bad_target": "the target has more than one reading",
    "header_alias": "a header has a name that only the gateway may use",
    "two_credentials": "more than one credential was sent",
    "method_override": "a header asks for another method than the request line",
    "no_credential": "no token was sent",
    "audience": "the token is for another audience",
    "no_keys": "the keys of the issuer could not be had, so no token could be checked",
    "in_doubt": "the provider was silent about revocations, and the route lets nothing pass then",
    "fault": "the gateway itself was at fault; its log has an event of that moment",
    "revoked": "the token, its session, its client or its person has been revoked",
    "bound to a key": "the token is bound to a key, and was sent as if it were anybody's",
    "not bound to a key": "the token is bound to no key, where one had to be proved",
    "bound to another key": "the proof is of another key than the token's",
    "not bound to a certificate": "the token is bound to no certificate, where the route demands one",
    "bound to another certificate": "the caller showed another certificate than the token's, or none",
    "not one proof": "no proof came with the token, or more than one",
    "proof htm is another": "the proof is for another method (htm)",
    "proof htu is another": (
        "the proof is for another address (htu): scheme, host and path must be as the caller used them; "
        "the scheme is what [dpop] or a trusted front says, else http"
    ),
    "proof ath is another": "the proof is for another token, or for none (ath)",
    "proof is too old": "the proof is too old",
    "proof signature is wrong": "the signature of the proof is wrong",
    "proof was used before": "the proof was used before",
    "proof nonce": "the proof lacks the nonce of this gateway, or has an old one",
    "proof store": "whether the proof was used before could not be known",
    "busy": "as many requests as the route allows were under way",
    "late": "something that had to be asked elsewhere did not answer in time",
    "no_websocket": "the route takes no WebSocket",
    "origin": "the page may not open a WebSocket here",
    "handshake": "the WebSocket handshake is malformed",
}
LIMIT: Final = "limit."
EXCHANGE: Final = "exchange: "


def said(why: str, rule: str = "") -> str:
    """Say why; `rule` names what of the policy did not hold, if it was that."""
    if rule:
        return f"{rule} did not hold"
    if why.startswith(LIMIT):
        return f'the limit "{why.removeprefix(LIMIT)}" was used up'
    if why.startswith(EXCHANGE):
        return f"no token for the service behind could be had: {why.removeprefix(EXCHANGE)}"
    return _WORDS.get(why, why)
