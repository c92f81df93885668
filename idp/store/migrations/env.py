"""Runs migrations on the connection it is given; `idp.store.migrate` is the only caller."""

from __future__ import annotations

from alembic import context

from idp.store import migrate

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=context.config.attributes["metadata"],
    # SQLite rolls schema changes back like any other: a migration happens whole or not at all.
    transactional_ddl=True,
    render_as_batch=True,
    compare_type=True,
    render_item=migrate.render_item,
)
with context.begin_transaction():
    context.run_migrations()
