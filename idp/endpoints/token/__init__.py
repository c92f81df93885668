"""The token endpoint (RFC 6749 section 3.2): shared phases in `grant`, one file for each grant.

A grant writes only `authorize()`. Parsing, client authentication, permission, minting and the audit are done
around it, so that no grant can forget them.
"""
