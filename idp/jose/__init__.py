"""The only door to joserfc: a strict parser in front, keys, signing, verification.

No settings, no Flask, no clock, no store. Everything that is wrong with a token is one `JoseError`.
"""
