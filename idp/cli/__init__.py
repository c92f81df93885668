"""The `idp` command: one file for each noun, imported when it is used.

`idp gateway run` must start where only the gateway's few libraries are installed, so this file imports click alone,
and what the nouns do is said here, not asked of them. A noun's module holds its command under the name `cli`.
"""

from __future__ import annotations

import importlib

import click

NOUNS = {
    "demo": "Try everything on this machine: provider, gateway, sample API and sample app.",
    "run": "Serve the provider.",
    "gateway": "Guard APIs with the provider's tokens.",
    "user": "Create and manage accounts.",
    "group": "Groups of people, and the roles they give.",
    "role": "Roles of an API, and the scopes they grant.",
    "api": "APIs, their audiences and scopes.",
    "client": "Applications that may ask for tokens.",
    "connector": "Directories and other providers that people sign in from.",
    "exchange": "Which client may exchange tokens for which API.",
    "key": "The master key and the signing keys.",
    "token": "Explain a token in words.",
    "db": "Upgrade, check, back up and restore the database.",
    "audit": "Read and verify the audit log.",
    "conformance-demo": "Serve what the OpenID certification tests need.",
}


class Nouns(click.Group):
    """Finds a command by the name of its file."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the nouns in the order in which a newcomer meets them."""
        return list(NOUNS)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the file of one noun."""
        if cmd_name not in NOUNS:
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}").cli
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the nouns without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl(list(NOUNS.items()))


@click.group(cls=Nouns, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="gatehouse-idp", prog_name="Gatehouse")
def main() -> None:
    """Gatehouse: an OAuth 2.0 and OpenID Connect provider, and the gateway that guards APIs with its tokens."""
