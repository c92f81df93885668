"""A private nginx, given the inside of its `http` block."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.services.program import Program

FRAME = """
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 512; }}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
{inside}
}}
"""


class Nginx:
    """Everything it writes stays in its folder."""

    def __init__(self, folder: Path, *, port: int, inside: str) -> None:
        folder.mkdir(parents=True)
        # nginx drops its worker to another account, which must reach the folder.
        folder.chmod(0o755)
        self.port = port
        self._folder = folder
        configuration = folder / "nginx.conf"
        configuration.write_text(FRAME.format(folder=folder, inside=inside))
        command = shutil.which("nginx") or "/usr/sbin/nginx"
        argv = [command, "-c", configuration, "-e", folder / "error.log", "-p", folder]
        self.program = Program(argv, log=folder / "nginx.log")
        self.program.wait_for_port(port)

    def errors(self) -> str:
        """What nginx complained about."""
        return (self._folder / "error.log").read_text(errors="replace")

    def stop(self) -> None:
        self.program.stop()
