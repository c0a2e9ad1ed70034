from django.db import migrations, models


def forget_budgets(apps, schema_editor):
    """Going back: kinds that are not known then."""
    for name in ('Notice', 'NoticeCause', 'NoticePreference'):
        kinds = apps.get_model('accounts', name).objects
        kinds.filter(kind__in=['budget_reached', 'own_budget_reached']).delete()


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_keys_are_bounded_in_pace_and_place'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='notice',
            name='notice_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='noticecause',
            name='cause_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='noticepreference',
            name='preference_kind_known',
        ),
        migrations.AlterField(
            model_name='notice',
            name='kind',
            field=models.CharField(choices=[('balance_low', 'Few tokens left'), ('days_left', 'Tokens soon used up'), ('lot_expires', 'Tokens expire soon'), ('budget_reached', 'Budget nearly or wholly used'), ('own_budget_reached', 'Your own budget nearly or wholly used'), ('top_up_paid', 'Automatic top-up'), ('top_up_failed', 'Automatic top-up failed'), ('order_paid', 'Order paid'), ('order_failed', 'Payment failed'), ('refund_decided', 'Refund decided'), ('purchase_asked', 'A colleague asks for tokens'), ('purchase_decided', 'Your purchase request decided'), ('fapiao_decided', 'Fapiao issued or declined')], max_length=20),
        ),
        migrations.AlterField(
            model_name='noticecause',
            name='kind',
            field=models.CharField(choices=[('balance_low', 'Few tokens left'), ('days_left', 'Tokens soon used up'), ('lot_expires', 'Tokens expire soon'), ('budget_reached', 'Budget nearly or wholly used'), ('own_budget_reached', 'Your own budget nearly or wholly used'), ('top_up_paid', 'Automatic top-up'), ('top_up_failed', 'Automatic top-up failed'), ('order_paid', 'Order paid'), ('order_failed', 'Payment failed'), ('refund_decided', 'Refund decided'), ('purchase_asked', 'A colleague asks for tokens'), ('purchase_decided', 'Your purchase request decided'), ('fapiao_decided', 'Fapiao issued or declined')], max_length=20),
        ),
        migrations.AlterField(
            model_name='noticepreference',
            name='kind',
            field=models.CharField(choices=[('balance_low', 'Few tokens left'), ('days_left', 'Tokens soon used up'), ('lot_expires', 'Tokens expire soon'), ('budget_reached', 'Budget nearly or wholly used'), ('own_budget_reached', 'Your own budget nearly or wholly used'), ('top_up_paid', 'Automatic top-up'), ('top_up_failed', 'Automatic top-up failed'), ('order_paid', 'Order paid'), ('order_failed', 'Payment failed'), ('refund_decided', 'Refund decided'), ('purchase_asked', 'A colleague asks for tokens'), ('purchase_decided', 'Your purchase request decided'), ('fapiao_decided', 'Fapiao issued or declined')], max_length=20),
        ),
        migrations.AddConstraint(
            model_name='notice',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['balance_low', 'days_left', 'lot_expires', 'budget_reached', 'own_budget_reached', 'top_up_paid', 'top_up_failed', 'order_paid', 'order_failed', 'refund_decided', 'purchase_asked', 'purchase_decided', 'fapiao_decided'])), name='notice_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='noticecause',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['balance_low', 'days_left', 'lot_expires', 'budget_reached', 'own_budget_reached', 'top_up_paid', 'top_up_failed', 'order_paid', 'order_failed', 'refund_decided', 'purchase_asked', 'purchase_decided', 'fapiao_decided'])), name='cause_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='noticepreference',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['balance_low', 'days_left', 'lot_expires', 'budget_reached', 'own_budget_reached', 'top_up_paid', 'top_up_failed', 'order_paid', 'order_failed', 'refund_decided', 'purchase_asked', 'purchase_decided', 'fapiao_decided'])), name='preference_kind_known'),
        ),
        migrations.RunPython(migrations.RunPython.noop, forget_budgets),
    ]
