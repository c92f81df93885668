"""Alembic migrations: numbered verbs, reversible, frozen. They know nothing of the models they once made."""
