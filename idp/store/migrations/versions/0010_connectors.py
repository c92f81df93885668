"""Connectors to directories and other providers, who somebody is there, and which roles come from there.

Revision ID: 0010
Revises: 0007
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0008"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
OBJECT = sa.JSON(none_as_null=True)


def upgrade() -> None:
    """Create the tables; nobody is anybody elsewhere yet."""
    op.create_table(
        "connector",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=False),
        sa.Column("config", OBJECT, nullable=False),
        sa.Column("secrets_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("domains", OBJECT, nullable=False),
        sa.Column("provisioning", sa.Text(), nullable=False),
        sa.Column("allowed_domains", OBJECT, nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("visible", sa.Boolean(), nullable=False),
        sa.Column("declared", sa.Boolean(), nullable=False),
        sa.Column("disabled_at", MOMENT, nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.CheckConstraint("provisioning IN ('open', 'domains', 'linked')", name=op.f("ck_connector_provisioning")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connector")),
        sa.UniqueConstraint("name", name=op.f("uq_connector_name")),
    )
    op.create_table(
        "connector_rule",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connector_id", sa.Text(), nullable=False),
        sa.Column("match", sa.Text(), nullable=False),
        sa.Column("pattern", sa.Text(), nullable=False),
        sa.Column("role_id", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.CheckConstraint("match IN ('key', 'name', 'claim')", name=op.f("ck_connector_rule_match")),
        sa.ForeignKeyConstraint(
            ["connector_id"],
            ["connector.id"],
            name=op.f("fk_connector_rule_connector_id_connector"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["role.id"], name=op.f("fk_connector_rule_role_id_role"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connector_rule")),
        sa.UniqueConstraint(
            "connector_id",
            "match",
            "pattern",
            "role_id",
            name=op.f("uq_connector_rule_connector_id_match_pattern_role_id"),
        ),
    )
    op.create_index(op.f("ix_connector_rule_role_id"), "connector_rule", ["role_id"])
    op.create_table(
        "connector_sync",
        sa.Column("connector_id", sa.Text(), nullable=False),
        sa.Column("started_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT, nullable=True),
        sa.Column("full_at", MOMENT, nullable=True),
        sa.Column("trouble", sa.Text(), nullable=True),
        sa.Column("counts", OBJECT, nullable=False),
        sa.ForeignKeyConstraint(
            ["connector_id"],
            ["connector.id"],
            name=op.f("fk_connector_sync_connector_id_connector"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("connector_id", name=op.f("pk_connector_sync")),
    )
    op.create_table(
        "identity",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("connector_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("account_id", sa.Text(), nullable=False),
        sa.Column("username", sa.Text(), nullable=False),
        sa.Column("username_key", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("groups", OBJECT, nullable=False),
        sa.Column("closed_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("seen_at", MOMENT, nullable=False),
        sa.Column("last_login_at", MOMENT, nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["account.id"], name=op.f("fk_identity_account_id_account"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["connector_id"], ["connector.id"], name=op.f("fk_identity_connector_id_connector"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("connector_id", "external_id", name=op.f("uq_identity_connector_id_external_id")),
    )
    op.create_index(op.f("ix_identity_account_id"), "identity", ["account_id"])
    op.create_index(op.f("ix_identity_username_key"), "identity", ["username_key"])
    op.create_table(
        "identity_role",
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("rule_id", sa.Text(), nullable=False),
        sa.Column("role_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["identity_id"], ["identity.id"], name=op.f("fk_identity_role_identity_id_identity"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["role_id"], ["role.id"], name=op.f("fk_identity_role_role_id_role"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["rule_id"],
            ["connector_rule.id"],
            name=op.f("fk_identity_role_rule_id_connector_rule"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("identity_id", "rule_id", name=op.f("pk_identity_role")),
    )
    op.create_index(op.f("ix_identity_role_role_id"), "identity_role", ["role_id"])


def downgrade() -> None:
    """Drop them. Whoever signed in from elsewhere alone has an account without a way in."""
    for table in ("identity_role", "identity", "connector_sync", "connector_rule", "connector"):
        op.drop_table(table)
