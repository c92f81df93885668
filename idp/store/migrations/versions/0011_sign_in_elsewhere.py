"""Ways to other providers and back, people who may link themselves, and sessions that began elsewhere.

Revision ID: 0011
Revises: 0010
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the tables; nobody is on the way."""
    op.create_table(
        "handshake",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("state_hash", sa.LargeBinary(), nullable=False),
        sa.Column("flow_hash", sa.LargeBinary(), nullable=False),
        sa.Column("connector_id", sa.Text(), nullable=False),
        sa.Column("signin_id", sa.Text(), nullable=True),
        sa.Column("session_id", sa.Text(), nullable=True),
        sa.Column("kept_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("who_sealed", sa.LargeBinary(), nullable=True),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("used_at", MOMENT, nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["connector_id"], ["connector.id"], name=op.f("fk_handshake_connector_id_connector"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["signin_id"], ["signin.id"], name=op.f("fk_handshake_signin_id_signin"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_handshake_session_id_session"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_handshake")),
        sa.UniqueConstraint("state_hash", name=op.f("uq_handshake_state_hash")),
    )
    for column in ("connector_id", "signin_id", "session_id", "expires_at"):
        op.create_index(op.f(f"ix_handshake_{column}"), "handshake", [column])
    op.create_table(
        "upstream_session",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("connector_id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=False),
        sa.Column("sid", sa.Text(), nullable=True),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.ForeignKeyConstraint(
            ["connector_id"],
            ["connector.id"],
            name=op.f("fk_upstream_session_connector_id_connector"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["session_id"], ["session.id"], name=op.f("fk_upstream_session_session_id_session"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("session_id", name=op.f("pk_upstream_session")),
    )
    op.create_index(op.f("ix_upstream_session_connector_id"), "upstream_session", ["connector_id"])
    op.add_column("signin", sa.Column("link_waits", sa.Boolean(), nullable=True))


def downgrade() -> None:
    """Drop them: whoever is on the way begins again."""
    op.drop_column("signin", "link_waits")
    op.drop_table("upstream_session")
    op.drop_table("handshake")
