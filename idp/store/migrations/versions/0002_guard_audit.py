"""Let the database itself refuse to change or delete what the audit has sealed.

Whoever owns the database can drop these triggers; the chain then shows what was done.

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

SQLITE = (
    """CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit
       BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
    """CREATE TRIGGER audit_no_change BEFORE UPDATE ON audit WHEN OLD.seq IS NOT NULL
       BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END""",
)
POSTGRESQL = (
    """CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$""",
    "CREATE TRIGGER audit_no_delete BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_refuse()",
    """CREATE TRIGGER audit_no_change BEFORE UPDATE ON audit FOR EACH ROW WHEN (OLD.seq IS NOT NULL)
       EXECUTE FUNCTION audit_refuse()""",
    "CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit EXECUTE FUNCTION audit_refuse()",
)
TRIGGERS = ("audit_no_delete", "audit_no_change", "audit_no_truncate")


def upgrade() -> None:
    """Set the triggers."""
    for statement in SQLITE if _sqlite() else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Take them away."""
    for trigger in TRIGGERS:
        op.execute(f"DROP TRIGGER IF EXISTS {trigger}" + ("" if _sqlite() else " ON audit"))
    if not _sqlite():
        op.execute("DROP FUNCTION audit_refuse()")


def _sqlite() -> bool:
    return op.get_bind().dialect.name == "sqlite"
