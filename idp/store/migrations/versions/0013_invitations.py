"""Keep who was invited to an account, and by which connector they come.

Revision ID: 0013
Revises: 0012
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "invitation",
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("connector_id", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_invitation_account_id_account"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["connector_id"], ["connector.id"], name=op.f("fk_invitation_connector_id_connector"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("account_id", "connector_id", name=op.f("pk_invitation")),
        sa.UniqueConstraint("connector_id", "email_key", name=op.f("uq_invitation_connector_id_email_key")),
    )
    op.create_index(op.f("ix_invitation_expires_at"), "invitation", ["expires_at"])


def downgrade() -> None:
    """Drop it."""
    op.drop_table("invitation")
