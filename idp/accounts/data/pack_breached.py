r"""Pack a list of passwords, one a line on standard input, into sorted 8-byte SHA-1 prefixes.

breached.bin was made from the 30,000 passwords that zxcvbn 4.5.0 ships (MIT, see NOTICE.txt), so:

    pip install zxcvbn==4.5.0
    python -c "from zxcvbn.frequency_lists import FREQUENCY_LISTS as f; print(*f['passwords'], sep='\n')" \
        | python -m idp.accounts.data.pack_breached > idp/accounts/data/breached.bin
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterable

PREFIX = 8  # 30,000 in 64 bits: a wrong hit once in 600 billion passwords


def prefix(password: str) -> bytes:
    """Return what stands for a password in the packed list. SHA-1, as other breach lists use, not as a defence."""
    return hashlib.sha1(password.encode(errors="surrogatepass"), usedforsecurity=False).digest()[:PREFIX]


def pack(passwords: Iterable[str]) -> bytes:
    """Return the sorted prefixes of the passwords, case folded, without repeats."""
    return b"".join(sorted({prefix(word.casefold()) for line in passwords if (word := line.rstrip("\r\n"))}))


if __name__ == "__main__":
    sys.stdout.buffer.write(pack(sys.stdin))
