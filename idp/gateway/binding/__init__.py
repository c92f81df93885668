"""Tokens that only their holder can use: bound to a key that is proved (RFC 9449) or to a certificate (RFC 8705).

What a request shows is checked with the token, without waiting (`check`). Whether a proof was used before is asked when
everything else allows the request (`stage`): here, and where gateways share a Redis, there.
"""
