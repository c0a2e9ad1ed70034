from django.db import DatabaseError, migrations, transaction

INDEX = "catalog_service_search_text_trigram"


def create_index(apps, schema_editor):
    """A trigram index lets PostgreSQL answer LIKE without reading every service.

    ``pg_trgm`` is a trusted extension, which a database's owner may create; where it is absent or
    forbidden the search works without an index.
    """
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            cursor.execute(
                f"CREATE INDEX IF NOT EXISTS {INDEX} ON catalog_service "
                "USING gin (search_text gin_trgm_ops)"
            )
    except DatabaseError:
        pass


def drop_index(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP INDEX IF EXISTS {INDEX}")


class Migration(migrations.Migration):
    dependencies = [("catalog", "0003_cached_input_never_dearer")]

    operations = [migrations.RunPython(create_index, drop_index)]
