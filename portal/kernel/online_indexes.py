"""Indexes of tables that may be large: built and dropped on PostgreSQL without locking out writers.

For migrations with ``atomic = False``. SQLite, where one writer works at a time anyway, does it
the plain way.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddIndex, RemoveIndex


class AddIndexOnline(AddIndexConcurrently):
    """``AddIndex`` for a table in use. What an interrupted build left behind is replaced."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        if _is_postgresql(schema_editor):
            name = schema_editor.quote_name(self.index.name)
            schema_editor.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
        operation = AddIndexConcurrently if _is_postgresql(schema_editor) else AddIndex
        operation.database_forwards(self, app_label, schema_editor, *states)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        operation = AddIndexConcurrently if _is_postgresql(schema_editor) else AddIndex
        operation.database_backwards(self, app_label, schema_editor, *states)


class RemoveIndexOnline(RemoveIndexConcurrently):
    """``RemoveIndex`` for a table in use."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        operation = RemoveIndexConcurrently if _is_postgresql(schema_editor) else RemoveIndex
        operation.database_forwards(self, app_label, schema_editor, *states)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        operation = RemoveIndexConcurrently if _is_postgresql(schema_editor) else RemoveIndex
        operation.database_backwards(self, app_label, schema_editor, *states)


def _is_postgresql(schema_editor: BaseDatabaseSchemaEditor) -> bool:
    return bool(schema_editor.connection.vendor == "postgresql")
