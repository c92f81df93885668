"""Say which client may exchange tokens for which API.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table; without a row nobody may exchange anything."""
    op.create_table(
        "exchange_policy",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("api_id", sa.Text(), nullable=False),
        sa.Column("allowed_scopes", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("allow_impersonation", sa.Boolean(), nullable=False),
        sa.Column("allow_delegation", sa.Boolean(), nullable=False),
        sa.Column("require_may_act", sa.Boolean(), nullable=False),
        sa.Column("may_act", sa.Text(), nullable=True),
        sa.Column("max_ttl", sa.Integer(), nullable=True),
        sa.Column("require_acr", sa.Text(), nullable=True),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("review_by", sa.Date(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("max_ttl > 0", name=op.f("ck_exchange_policy_max_ttl")),
        sa.CheckConstraint("require_acr IN ('aal1', 'aal2', 'aal3')", name=op.f("ck_exchange_policy_require_acr")),
        sa.ForeignKeyConstraint(["api_id"], ["api.id"], name=op.f("fk_exchange_policy_api_id_api"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["client.client_id"],
            name=op.f("fk_exchange_policy_client_id_client"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_exchange_policy")),
        sa.UniqueConstraint("client_id", "api_id", name=op.f("uq_exchange_policy_client_id_api_id")),
    )
    op.create_index(op.f("ix_exchange_policy_api_id"), "exchange_policy", ["api_id"], unique=False)


def downgrade() -> None:
    """Drop it; its index goes with it."""
    op.drop_table("exchange_policy")
