"""Receipts become invoices, one kind of document; each keeps its number and public id.

Order rows get the name and rate of their tax with defaults that the database knows, so a process
that still runs the code from before can write orders. It cannot settle one until it is restarted:
its transaction fails as a whole, and the payment is settled by the next look.
"""

import django.db.models.deletion
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

import portal.kernel.public_ids


def copy_amounts(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Receipts read their amounts from the order; a document has its own."""
    order = apps.get_model("billing", "Order").objects.filter(pk=models.OuterRef("order"))
    apps.get_model("billing", "Document").objects.update(
        currency=models.Subquery(order.values("currency")),
        amount_minor=models.Subquery(order.values("amount_minor")),
        tax_minor=models.Subquery(order.values("tax_minor")),
    )


def take_guards_down(apps: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Backwards: PostgreSQL drops no column that a trigger names; migrate puts back what is due."""
    for name in ("fixed_columns", "no_delete", "no_truncate", "no_replace"):
        on = " ON billing_document" if schema_editor.connection.vendor == "postgresql" else ""
        schema_editor.execute(f"DROP TRIGGER IF EXISTS billing_document_{name}{on}")


class Migration(migrations.Migration):

    dependencies = [
        ('billing', '0004_pay_pages_have_long_addresses'),
    ]

    operations = [
        migrations.AddField(
            model_name='order',
            name='tax_name',
            field=models.CharField(blank=True, db_default='', default='', max_length=40),
        ),
        migrations.AddField(
            model_name='order',
            name='tax_basis_points',
            field=models.PositiveIntegerField(db_default=0, default=0),
        ),
        migrations.RemoveIndex(model_name='receipt', name='receipts_to_mail'),
        migrations.RemoveConstraint(model_name='receipt', name='receipts_numbered'),
        migrations.RemoveConstraint(model_name='receipt', name='receipt_number_positive'),
        migrations.RenameModel('Receipt', 'Document'),
        migrations.RenameModel('ReceiptCounter', 'DocumentCounter'),
        migrations.AlterField(
            model_name='document',
            name='public_id',
            field=portal.kernel.public_ids.PublicIdField(editable=False, max_length=40, prefix='doc', unique=True),
        ),
        migrations.AlterField(
            model_name='document',
            name='order',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='documents', to='billing.order'),
        ),
        migrations.AddField(
            model_name='document',
            name='kind',
            field=models.CharField(choices=[('invoice', 'Invoice'), ('credit_note', 'Credit note')], default='invoice', max_length=12),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='document',
            name='corrects',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='credit_notes', to='billing.document'),
        ),
        migrations.AddField(
            model_name='document',
            name='series',
            field=models.CharField(blank=True, default='', max_length=30),
        ),
        migrations.AddField(
            model_name='document',
            name='currency',
            field=models.CharField(default='', max_length=3),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='document',
            name='amount_minor',
            field=models.PositiveBigIntegerField(default=0),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='document',
            name='tax_minor',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.AddField(
            model_name='document',
            name='reversed_minor',
            field=models.PositiveBigIntegerField(default=0),
        ),
        migrations.RunPython(copy_amounts, migrations.RunPython.noop),
        migrations.AddField(
            model_name='documentcounter',
            name='series',
            field=models.CharField(blank=True, db_default='', default='', max_length=30),
        ),
        migrations.AlterField(
            model_name='documentcounter',
            name='year',
            field=models.PositiveSmallIntegerField(),
        ),
        migrations.AddConstraint(
            model_name='documentcounter',
            constraint=models.UniqueConstraint(fields=('series', 'year'), name='one_counter_per_series'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.UniqueConstraint(fields=('series', 'year', 'number'), name='documents_numbered'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.CheckConstraint(condition=models.Q(('number__gte', 1)), name='document_number_positive'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'invoice')), fields=('order',), name='one_invoice_per_order'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.UniqueConstraint(condition=models.Q(('kind', 'credit_note')), fields=('order', 'reversed_minor'), name='one_credit_note_per_reversal'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('corrects__isnull', True), ('kind', 'invoice'), ('reversed_minor', 0)), models.Q(('corrects__isnull', False), ('kind', 'credit_note'), ('reversed_minor__gte', models.F('amount_minor'))), _connector='OR'), name='document_kind_sound'),
        ),
        migrations.AddConstraint(
            model_name='document',
            constraint=models.CheckConstraint(condition=models.Q(('amount_minor__gt', 0), ('tax_minor__lte', models.F('amount_minor'))), name='document_amount_sound'),
        ),
        migrations.AddIndex(
            model_name='document',
            index=models.Index(condition=models.Q(('mailed_at__isnull', True)), fields=['issued_at'], name='documents_to_mail'),
        ),
        migrations.RunPython(migrations.RunPython.noop, take_guards_down),
    ]
