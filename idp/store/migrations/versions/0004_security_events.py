"""Keep what gateways must be told until each of them has taken it over.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the outbox, the streams, and what waits for them."""
    op.create_table(
        "security_event",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ids", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("not_before", sa.DateTime(timezone=True), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_security_event")),
    )
    op.create_index(op.f("ix_security_event_at"), "security_event", ["at"], unique=False)
    op.create_table(
        "event_stream",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("seen_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["client_id"], ["client.client_id"], name=op.f("fk_event_stream_client_id_client"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_stream")),
        sa.UniqueConstraint("client_id", "name", name=op.f("uq_event_stream_client_id_name")),
    )
    op.create_index(op.f("ix_event_stream_seen_at"), "event_stream", ["seen_at"], unique=False)
    op.create_table(
        "event_waiting",
        sa.Column("stream_id", sa.Text(), nullable=False),
        sa.Column("event_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"],
            ["security_event.id"],
            name=op.f("fk_event_waiting_event_id_security_event"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["stream_id"], ["event_stream.id"], name=op.f("fk_event_waiting_stream_id_event_stream"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("stream_id", "event_id", name=op.f("pk_event_waiting")),
    )
    op.create_index(op.f("ix_event_waiting_event_id"), "event_waiting", ["event_id"], unique=False)


def downgrade() -> None:
    """Drop them; gateways open new streams when the tables are there again."""
    op.drop_table("event_waiting")
    op.drop_table("event_stream")
    op.drop_table("security_event")
