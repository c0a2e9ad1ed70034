"""Sealed states of the books, all of them append-only (see ``ledger.guards``)."""

from django.db import models
from django.db.models import Q

from marketplace.ledger.models.transactions import Entry
from marketplace.ledger.models.wallets import Wallet


class Checkpoint(models.Model):
    """One link of the chain of seals; ``hash`` commits to every chain of entries, and so to all
    that was sealed before. Hashes are SHA-256 in lower-case hexadecimal.
    """

    number = models.BigIntegerField(unique=True)  # 1, 2, 3 … without gaps
    sealed_at = models.DateTimeField()
    # The hash of the checkpoint before; 64 zeros before the first.
    previous = models.CharField(max_length=64)
    # Of the Merkle tree over the latest state of each of so many chains.
    root = models.CharField(max_length=64)
    chains = models.BigIntegerField()
    hash = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(number__gt=0, chains__gt=0), name="checkpoint_counts_from_one"
            )
        ]

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


class WalletCheckpoint(models.Model):
    """The state that one chain was sealed in. A chain is a wallet's entries, or those entries of
    a unit that touch no wallet ("operator:live", "operator:test").
    """

    checkpoint = models.ForeignKey(
        Checkpoint,
        on_delete=models.PROTECT,
        to_field="number",
        db_column="checkpoint_number",
        related_name="states",
        db_index=False,
    )
    # The name of a wallet's account, "wallet:org_…:live"; the operator's chains have no wallet.
    chain = models.CharField(max_length=140)
    wallet = models.ForeignKey(
        Wallet, on_delete=models.PROTECT, null=True, related_name="sealed_states", db_index=False
    )
    # The chain's place in the Merkle tree, from 0, in the order in which chains were first sealed.
    leaf = models.BigIntegerField()
    seq = models.BigIntegerField()
    # The wallet's balance; 0 for the operator's chains, which have none.
    posted_millitokens = models.BigIntegerField()
    head = models.CharField(max_length=64)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["wallet", "seq"], name="wallet_sealed_once"),
            models.UniqueConstraint(fields=["checkpoint", "leaf"], name="chain_sealed_once"),
            models.UniqueConstraint(
                fields=["chain", "seq"],
                condition=Q(wallet__isnull=True),
                name="operator_chain_sealed_once",
            ),
            models.CheckConstraint(
                condition=Q(seq__gt=0, posted_millitokens__gte=0, leaf__gte=0),
                name="sealed_state_makes_sense",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.chain} {self.seq}"


class SealedEntry(models.Model):
    """The place of an entry that touches no wallet in its unit's chain, fixed when it is sealed.

    Ids would not do: they commit out of order.
    """

    entry = models.OneToOneField(Entry, on_delete=models.PROTECT, related_name="sealed")
    chain = models.CharField(max_length=20)
    position = models.BigIntegerField()

    class Meta:
        verbose_name_plural = "sealed entries"
        constraints = [
            models.UniqueConstraint(fields=["chain", "position"], name="sealed_in_one_order"),
            models.CheckConstraint(condition=Q(position__gt=0), name="sealed_from_one"),
        ]

    def __str__(self) -> str:
        return f"{self.chain} {self.position}"


class HeadDelivery(models.Model):
    """That a checkpoint's head was handed to the address outside, where nobody here can edit it."""

    checkpoint = models.OneToOneField(
        Checkpoint,
        on_delete=models.PROTECT,
        to_field="number",
        db_column="checkpoint_number",
        related_name="delivery",
    )
    delivered_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "head deliveries"

    def __str__(self) -> str:
        return f"{self.checkpoint_id} at {self.delivered_at:%Y-%m-%d %H:%M}"
