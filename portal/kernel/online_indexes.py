"""Indexes of tables that may be large: built and dropped on PostgreSQL without locking out writers.

For migrations with ``atomic = False``. SQLite, where one writer works at a time anyway, does it
the plain way.
"""

from typing import Any

from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import AddIndex, RemoveIndex
from django.db.migrations.operations.base import Operation
from django.db.models import Model


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


class RemoveColumnIndexesOnline(Operation):
    """Drop the plain indexes of one column, which Django makes by itself for foreign keys and, on
    PostgreSQL, for LIKE on unique texts. The state is told by an ``AlterField`` beside it.
    """

    atomic = False
    reduces_to_sql = False

    def __init__(self, model_name: str, field_name: str) -> None:
        self.model_name = model_name
        self.field_name = field_name

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Nothing: the models say so already."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, *states: Any
    ) -> None:
        model, column = self._find(app_label, states[0])
        with schema_editor.connection.cursor() as cursor:
            found = schema_editor.connection.introspection.get_constraints(
                cursor, model._meta.db_table
            )
        how = "CONCURRENTLY " if _is_postgresql(schema_editor) else ""
        for name, index in found.items():
            if index["index"] and not index["unique"] and index["columns"] == [column]:
                schema_editor.execute(f"DROP INDEX {how}{schema_editor.quote_name(name)}")

    def database_backwards(self, app_label: str, schema_editor: Any, *states: Any) -> None:
        model, _column = self._find(app_label, states[0])
        field: Any = model._meta.get_field(self.field_name)
        options: dict[str, Any] = {"concurrently": True} if _is_postgresql(schema_editor) else {}
        if field.unique:
            if not options:
                return  # only PostgreSQL has such a double
            options |= {"suffix": "_like", "opclasses": ("varchar_pattern_ops",)}
        schema_editor.execute(schema_editor._create_index_sql(model, fields=[field], **options))

    def _find(self, app_label: str, state: Any) -> tuple[type[Model], str]:
        model = state.apps.get_model(app_label, self.model_name)
        return model, model._meta.get_field(self.field_name).column
