"""WebSockets through the gateway (RFC 6455): a decision before the first byte, and an end when it no longer holds.

Frames are followed to know where they end, so that a close frame can be put between two of them. What is in them is
nobody's business here.
"""
