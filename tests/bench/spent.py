"""Where the time goes, found by timing the parts of one worker; words for the document, by row."""

from __future__ import annotations

from typing import Final

SPENT: Final[dict[str, str]] = {
    "tokens": """\
One request inside the worker, in microseconds of one core, each part timed in place while tokens are issued (123 in
all; granian and the kernel add about 70):

| us | part |
|---|---|
| 22 | Flask: request and application context, pushed and popped |
| 10 | Flask: hooks before (CSRF exemption) and after (headers), session interface, finalizing |
| 3 | Flask: routing and dispatch to the view |
| 18 | reading the form, decoding it, refusing repeats and misfits, building the request |
| 2 | choosing the grant (Authlib's dispatcher) |
| 6 | client authentication: Basic, the directory's memory of a second, SHA-256, constant-time comparison |
| 8 | audience, scopes and roles from what the client may have |
| 9 | claims, jti, the key that signs now, the body |
| 17 | ECDSA P-256, OpenSSL alone |
| 15 | the rest of signing: JSON, base64url, DER to raw (joserfc) |
| 9 | the answer: JSON, headers, Response |
| 4 | counters, and what lies between the parts |

Nothing is read from the store (a client is remembered for a second) and nothing is written. Timed alone, ours around a
constant view costs 22 and a bare Flask application 24: what is hung into Flask does not slow it down.
""",
    "codes": """\
The rival keeps everything in memory, in one process. Here a code costs two durable commits (the code with its grant
and audit event; the redemption with its audit event), thirteen statements instead of none, and an RSA signature of
0.2 to 0.3 ms. A GET whose session needs no page is answered at once, without a row for the sign-in; statements are
compiled once and sent through the driver itself; writers that wait for each other share a commit (decision 10). That
took one code from 5.3 ms of a core to 1.6, measured alone in one thread. Under load it costs half as much again: eight
threads share one interpreter lock, which every statement gives away and takes back; before a busy worker kept to one
core (decision 17) it was twice as much and more. What would help next: the four reads of the policy in one, and fewer
layers between a transaction and its connection.
""",
    "refreshes": """\
Four statements in one transaction: the token with everything its grant rests on, the claim, the successor, the audit
event (a fifth for the roles when the token is for an API); then an ES256 and, for OpenID scopes, an RS256 signature
(0.3 ms). The statements are compiled once and sent through psycopg itself, without SQLAlchemy's way of executing: that
took half of the time away. By the clock, PostgreSQL (with fsync) and the load share the two cores with the workers,
which the rule does not count.
""",
    "logins": """\
One hash costs 18 ms of a core; around it stand two transactions of fifteen statements (the try is taken before it is
evaluated, so that parallel guesses cannot share one; then session, device, sign-in and audit) and the form itself. They
cost 11 ms until their statements were compiled once, and a third of that since. Both contestants fill all cores, so
whatever else runs on the machine shows here first.
""",
    "forward_auths": """\
On a calmer machine one answer cost the gateway 40 us of CPU, Flask + PyJWKClient 280 us under granian and 410 us
under gunicorn: by CPU time the ratio is 7 and 10. wrk shares the two cores, and takes more of them the faster the
answers come.
""",
    "fronts": """\
HAProxy verifies the signature of every request anew, in C: 70 us, most of it OpenSSL. We have seen the token, so the
gateway answers within 40 us, and nginx spends 35 more on the question beside the request itself.
""",
    "proxies": """\
A request costs our one process about 120 us of CPU, Caddy 70 to 90; 20 to 30 of each are the kernel's, for four system
calls. The rest of ours is Python, and flat: 480 calls for a request, none with a tenth of the time. Reading both HTTP
messages (httptools and our checks of their framing), a task and a dozen steps of the event loop come before the checks
themselves: those are a sixth of it. Tried and without effect: uvloop (0.95x to 1.1x), no decision log (1.0x). What
would help is a second process, or C; whoever needs neither Python's price nor our proxy puts nginx, Caddy, Traefik or
Envoy in front and lets them ask.
""",
    "bodies": """\
Each direction of each exchange holds at most a piece or two of 64 kB: reading stops until the other side has taken
them. Whatever is not yet read waits in the sockets of the system, or at the sender.
""",
    "revocations": """\
The gateways look every 300 ms, so half of that is what a revocation waits on average for each, and a little more for
the slower of two; signing and storing the event is part of the answer that the clock starts from.
""",
    "growths": """\
Everything that a token needs is found by an index, and the way of a route through the tree of paths is as long as its
path, however many routes there are.
""",
    "first_tokens": """\
Five processes start at once (seed, provider, gateway, API, app) and each imports its libraries, so this row above all
needs the cores for itself: on a machine busy with other work the same start took 9 to 13 s.
""",
    "memories": """\
The application by itself is 94 MB when imported: Python 11, Flask 20, SQLAlchemy 21, cryptography and joserfc 10,
pydantic 9, structlog with rich and the metrics 7, our own code with the rest 16; the server adds 5. Alembic (11 MB) is
loaded only when tables have to be brought up to date, psycopg (8 MB) only with PostgreSQL. Threads and connections add
10 with the first requests; after that it stays level.
""",
}
