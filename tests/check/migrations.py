"""Migrations make exactly the tables of the models: upgrade an empty database by command and let it check itself."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def main() -> int:
    """Run `idp db upgrade` and `idp db check` in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        here = {**os.environ, "IDP_DATABASE_URL": f"sqlite:///{folder}/idp.db"}
        for verb in ("upgrade", "check"):
            command = [str(Path(sys.executable).with_name("idp")), "db", verb]
            done = subprocess.run(command, cwd=folder, env=here, check=False, capture_output=True, text=True)
            if done.returncode != 0:
                print(done.stdout + done.stderr, file=sys.stderr)
                return done.returncode
    print("migrations: the tables are those of the models")
    return 0


if __name__ == "__main__":
    sys.exit(main())
