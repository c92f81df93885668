"""The frames of one direction (RFC 6455 section 5.2): where they begin and end, never what they say."""

from __future__ import annotations

import os
from typing import Final

# RFC 7692 and others use the reserved bits; what they mean is between the two ends.
_OPCODES: Final = frozenset({0x0, 0x1, 0x2, 0x8, 0x9, 0xA})
_CLOSE: Final = 0x8
_CONTROL: Final = 0x8
_FIN: Final = 0x80
_MASKED: Final = 0x80
_LONGEST_CONTROL: Final = 125
_TWO_BYTES: Final = 126
_EIGHT_BYTES: Final = 127
_MASK: Final = 4
_HIGHEST: Final = 1 << 63


class Frames:
    """Follows one direction. Only whole headers are passed on: wherever no frame is open, there is a boundary."""

    __slots__ = ("_held", "_left", "_masked", "_stopping", "broken", "closed", "ended")

    def __init__(self, *, masked: bool) -> None:
        self._masked = masked  # RFC 6455 section 5.1: clients always, servers never
        self._left = 0  # bytes of the open frame that are still to come
        self._held = b""  # the beginning of a header
        self._stopping = False
        self.closed = False  # a close frame has begun: this end says no more after it
        self.broken = False  # what came is no frame
        self.ended = False  # nothing more is passed on

    @property
    def between(self) -> bool:
        """Tell whether a frame of ours may be put in here."""
        return not self._left

    def stop(self) -> None:
        """Pass on no more than the rest of the open frame."""
        self._stopping = True
        self.ended = self.ended or not self._left

    def feed(self, data: bytes) -> bytes:
        """Give what of this may be passed on."""
        if self.ended:
            return b""
        if self._held:
            data, self._held = self._held + data, b""
        at, end = 0, len(data)
        while at < end:
            if not self._left:
                size = self._begin(data, at)
                if self.broken:
                    self.ended = True
                    return data[:at]
                if not size:
                    self._held = data[at:]
                    return data[:at]
                at += size
            step = min(self._left, end - at)
            at += step
            self._left -= step
            if not self._left and (self.closed or self._stopping):
                self.ended = True
                return data[:at]
        return data

    def _begin(self, data: bytes, at: int) -> int:
        """Read a header and give its size; 0 when it is not whole. The first broken rule ends it."""
        if len(data) - at < 2:  # noqa: PLR2004 - the shortest header
            return 0
        first, second = data[at], data[at + 1]
        opcode, length = first & 0xF, second & 0x7F
        size = 2 + (_MASK if self._masked else 0)
        control = opcode & _CONTROL
        strange = opcode not in _OPCODES or bool(second & _MASKED) is not self._masked
        self.broken = strange or bool(control and (length > _LONGEST_CONTROL or not first & _FIN))
        if length >= _TWO_BYTES:
            more = 8 if length == _EIGHT_BYTES else 2
            size += more
            length = int.from_bytes(data[at + 2 : at + 2 + more], "big")
        if self.broken or len(data) - at < size:
            return 0
        if length >= _HIGHEST:
            self.broken = True
            return 0
        self._left = length
        self.closed = opcode == _CLOSE
        return size


def close_frame(code: int, reason: str, *, masked: bool) -> bytes:
    """Write a close frame (RFC 6455 section 5.5.1)."""
    payload = code.to_bytes(2, "big") + reason.encode()
    head = bytes((_FIN | _CLOSE, len(payload) | (_MASKED if masked else 0)))
    if not masked:
        return head + payload
    mask = os.urandom(_MASK)
    return head + mask + bytes(byte ^ mask[number % _MASK] for number, byte in enumerate(payload))
