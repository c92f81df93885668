"""Say what becomes of scopes beyond an exchange policy, and how often a client may exchange for a target.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from typing import Final

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# As text: Alembic adds no checks to a table that SQLite has already, and both backends read this.
COLUMNS: Final = {
    "mode": "TEXT DEFAULT 'refuse' NOT NULL CONSTRAINT ck_exchange_policy_mode CHECK (mode IN ('refuse', 'narrow'))",
    "per_minute": "INTEGER CONSTRAINT ck_exchange_policy_per_minute CHECK (per_minute > 0)",
}


def upgrade() -> None:
    """Add the columns; policies that are there go on refusing, with no limit of their own."""
    for name, meaning in COLUMNS.items():
        op.execute(f"ALTER TABLE exchange_policy ADD COLUMN {name} {meaning}")


def downgrade() -> None:
    """Drop them; every policy refuses what is beyond it, which is never more than it gave."""
    for name in COLUMNS:
        op.drop_column("exchange_policy", name)
