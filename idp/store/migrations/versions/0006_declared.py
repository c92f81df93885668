"""Remember what applied declarations have made, so that they take back nothing else.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; what is there already was made by hand."""
    op.create_table(
        "declared",
        sa.Column("declaration", sa.Text(), nullable=False),
        sa.Column("item", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("declaration", "item", name=op.f("pk_declared")),
    )


def downgrade() -> None:
    """Drop it; everything counts as made by hand from then on."""
    op.drop_table("declared")
