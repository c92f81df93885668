"""Keep what tokens mean that say nothing by themselves, and which clients are given such.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and the choice; clients that are there keep their JWTs."""
    op.add_column("client", sa.Column("access_token_format", sa.Text(), nullable=False, server_default="jwt"))
    op.create_table(
        "reference_token",
        sa.Column("token_hash", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("claims", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["client.client_id"],
            name=op.f("fk_reference_token_client_id_client"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_reference_token")),
    )
    op.create_index(op.f("ix_reference_token_client_id"), "reference_token", ["client_id"], unique=False)
    op.create_index(op.f("ix_reference_token_expires_at"), "reference_token", ["expires_at"], unique=False)


def downgrade() -> None:
    """Drop both; reference tokens end with it."""
    op.drop_table("reference_token")
    op.drop_column("client", "access_token_format")
