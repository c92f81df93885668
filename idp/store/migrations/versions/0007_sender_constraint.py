"""Keep to which key a code and a refresh token are bound, and which clients must prove one.

Revision ID: 0007
Revises: 0006
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

MUST_PROVE = ("dpop_bound", "certificate_bound")


def upgrade() -> None:
    """Add the columns; clients, codes and tokens that are there stay as they were, bound to nothing."""
    for name in MUST_PROVE:
        op.add_column("client", sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("client", sa.Column("tls_subject", sa.JSON(none_as_null=True), nullable=True))
    op.add_column("code", sa.Column("dpop_jkt", sa.Text(), nullable=True))
    op.add_column("refresh_token", sa.Column("cnf", sa.JSON(none_as_null=True), nullable=True))


def downgrade() -> None:
    """Drop them; refresh tokens of keys become anybody's, so they go too."""
    op.execute("DELETE FROM refresh_token WHERE cnf IS NOT NULL")
    op.execute("DELETE FROM code WHERE dpop_jkt IS NOT NULL")
    op.drop_column("refresh_token", "cnf")
    op.drop_column("code", "dpop_jkt")
    op.drop_column("client", "tls_subject")
    for name in MUST_PROVE:
        op.drop_column("client", name)
