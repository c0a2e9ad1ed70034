#!/usr/bin/env python3
"""Check a proof that was downloaded from a Tokenworks portal, without trusting the portal.

    python3 tokenworks_verify.py proof.jsonl --head 17:5be0…  --earlier proof-of-last-month.jsonl

It needs Python 3.9 and nothing else, and talks to nobody. It recomputes:

1. the arithmetic: each entry's balance is the one before, plus or minus its amount;
2. each wallet's chain: every entry's SHA-256 goes into the next one's;
3. the way from each chain's sealed state to the root of the newest checkpoint, which commits to
   the chains of all customers at once;
4. the chain of checkpoints, from the first to the newest.

--head NUMBER:HASH (can be repeated) is a checkpoint that you kept yourself or found published: it
must be in the chain. --earlier FILE is an older proof of yours: all that it says must still be
there, unchanged. The portal can rewrite its history, but not the copies that you keep.

It exits with 0 if all of it holds, 1 if something does not, 2 if it cannot read the file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import sys
from collections.abc import Iterable

CHAIN = r'\{"chain":"[^"]+","entries":[0-9]+,"sealed":[0-9]+\}'
HEADER = {"version", "organisation", "made_at", "chains"}
STATE = {"chain", "seq", "posted", "head", "leaf", "path"}
CHECKPOINT = {"number", "sealed_at", "previous", "root", "chains", "hash"}


class Broken(Exception):
    """Something does not hold; the message is for people."""


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def canonical(value: object) -> bytes:
    """JSON as it is hashed: keys sorted, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode("ascii")


class Chain:
    """One wallet's entries, followed from the first."""

    def __init__(self, name: str, entries: int, sealed: int) -> None:
        self.name = name
        self.entries = entries  # how many the file promises
        self.sealed = sealed  # how many of them the newest checkpoint commits to
        self.seq = self.balance = 0
        self.head = sha256(name.encode()).hex()
        self.wanted = {sealed}
        self.kept: dict[int, tuple[str, int]] = {}  # seq -> (head, balance), for the wanted ones
        self.moved: dict[str, int] = {}  # kind -> sum of what it moved

    def add(self, entry: dict) -> None:
        number = self.seq + 1
        where = f"{self.name}, entry {number}"
        check(entry["seq"] == number, f"{where}: it says that it is entry {entry['seq']}")
        amount, after = int(entry["amount"]), int(entry["after"])
        check(amount > 0, f"{where}: its amount is not positive")
        incoming = entry["credit"] == self.name
        check(incoming or entry["debit"] == self.name, f"{where}: it moves another account")
        signed = amount if incoming else -amount
        self.seq = number
        self.balance += signed
        check(after == self.balance, f"{where}: it says {after} after it, not {self.balance}")
        self.moved[entry["kind"]] = self.moved.get(entry["kind"], 0) + signed
        self.head = sha256(bytes.fromhex(self.head), canonical(entry)).hex()
        if number in self.wanted:
            self.kept[number] = (self.head, self.balance)


class Proof:
    """A file, read line by line; memory does not grow with it.

    ``wanted``: chain -> position whose head is kept; ``heads``: (number, hash) to find.
    """

    def __init__(self, path: str, wanted: dict[str, int], heads: Iterable[tuple]) -> None:
        self.path = path
        self.organisation = ""
        self.chains: dict[str, Chain] = {}
        self.states: dict[str, dict] = {}  # by chain
        self.missing = set(heads)
        self.newest: dict = {"number": 0, "hash": "0" * 64}  # the last checkpoint
        self._digest, self._lines, self._ended = hashlib.sha256(), 0, False
        with open(path, "rb") as file:
            for line in file:
                self._read(line, wanted)
        check(self._ended, f"{path} was cut short: its last line is missing")
        self._finish()

    def _read(self, line: bytes, wanted: dict[str, int]) -> None:
        check(not self._ended, f"{self.path} goes on after its end")
        content = json.loads(line)
        [(what, value)] = content.items()
        check((what == "header") == (self._lines == 0), "the header is not the first line")
        check(line == canonical(content) + b"\n", f"line {self._lines + 1} is odd")
        if what == "header":
            self._open(value, wanted)
        elif what == "entry":
            check(value["chain"] in self.chains, f"there is an entry of {value['chain']}")
            self.chains[value["chain"]].add(value)
        elif what == "state":
            check(set(value) == STATE and value["chain"] not in self.states, "a state is odd")
            self.states[value["chain"]] = value
        elif what == "checkpoint":
            self._link(value)
        elif what == "end":
            digest = self._digest.hexdigest()
            same = canonical(value) == canonical({"lines": self._lines, "sha256": digest})
            check(same, "the file was changed after it was made")
            self._ended = True
        else:
            raise Broken(f"line {self._lines + 1} is of an unknown kind")
        self._digest.update(line)
        self._lines += 1

    def _open(self, header: dict, wanted: dict[str, int]) -> None:
        check(set(header) == HEADER, "the header is odd")
        check(repr(header["version"]) == "1", "another version: fetch the verifier anew")
        self.organisation = header["organisation"]
        for said in header["chains"]:
            owner = said["chain"].split(":")[1].split("/")[0]
            check(owner == self.organisation, f"{said['chain']} is not {self.organisation}'s")
            chain = Chain(said["chain"], said["entries"], said["sealed"])
            check(re.fullmatch(CHAIN, canonical(said).decode()) is not None, "a chain is odd")
            chain.wanted.add(wanted.get(chain.name, 0))
            check(chain.name not in self.chains, f"{chain.name} is there twice")
            self.chains[chain.name] = chain

    def _link(self, checkpoint: dict) -> None:
        before = self.newest
        number = before["number"] + 1
        check(set(checkpoint) == CHECKPOINT, f"checkpoint {number} is odd")
        check(checkpoint["number"] == number, f"checkpoint {number} is missing")
        check(checkpoint["previous"] == before["hash"], f"checkpoint {number} does not follow")
        header = {name: value for name, value in checkpoint.items() if name != "hash"}
        digest = sha256(canonical(header)).hex()
        check(checkpoint["hash"] == digest, f"checkpoint {number} has another hash than it says")
        self.missing.discard((number, digest))
        self.newest = checkpoint

    def _finish(self) -> None:
        for chain in self.chains.values():
            check(chain.seq == chain.entries, f"{chain.name}: entries are missing at the end")
            state = self.states.pop(chain.name, None)
            check((state is None) == (chain.sealed == 0), f"{chain.name}: its state is missing")
            if state:
                self._check_state(chain, state)
        check(not self.states, "there is a state of a chain that is not there")

    def _check_state(self, chain: Chain, state: dict) -> None:
        name, found = chain.name, chain.kept.get(chain.sealed)
        check(state["seq"] == chain.sealed, f"{name}: another entry was sealed than promised")
        check(found == (state["head"], int(state["posted"])), f"{name} is not what was sealed")
        leaf = {key: state[key] for key in ("chain", "seq", "posted", "head")}
        root = climb(sha256(b"\x00", canonical(leaf)), state, self.newest["chains"])
        check(root == self.newest["root"], f"{name} does not lead to the checkpoint's root")


def climb(node: bytes, state: dict, leaves: int) -> str:
    """The root above a leaf (RFC 6962), from its neighbours on the way up."""
    place, width = state["leaf"], leaves
    check(type(place) is int and 0 <= place < width, "a state has no place in the tree")
    path = [bytes.fromhex(neighbour) for neighbour in state["path"]]
    check([neighbour.hex() for neighbour in path] == state["path"], "a path is odd")
    while width > 1:
        if place ^ 1 < width:
            check(bool(path), "a path is too short")
            neighbour = path.pop(0)
            pair = (neighbour, node) if place % 2 else (node, neighbour)
            node = sha256(b"\x01", *pair)
        place, width = place // 2, (width + 1) // 2
    check(not path, "a path is too long")
    return node.hex()


def check(holds: bool, sentence: str) -> None:
    if not holds:
        raise Broken(sentence)


def tokens(amount: int) -> str:
    """Millitokens as tokens."""
    return f"{'-' if amount < 0 else ''}{abs(amount) // 1000:,}.{abs(amount) % 1000:03d}"


def verify(path: str, heads: list[tuple], earlier: str | None) -> Iterable[str]:
    """Sentences about what holds. Raises Broken at the first thing that does not."""
    old = Proof(earlier, {}, []) if earlier else None
    if old and old.newest["number"]:
        heads = [*heads, (old.newest["number"], old.newest["hash"])]
    wanted = {chain.name: chain.seq for chain in old.chains.values()} if old else {}
    proof = Proof(path, wanted, heads)
    for number, digest in sorted(proof.missing):
        raise Broken(f"checkpoint {number}:{digest} is not in the chain: it was cut or rewritten")
    if old:
        check(old.organisation == proof.organisation, f"{earlier} is of another organisation")
        for name, chain in old.chains.items():
            new = proof.chains.get(name)
            kept = new.kept.get(chain.seq) if new else None
            check(kept == (chain.head, chain.balance), f"{name} is not what {earlier} says")
        yield f"Everything in {earlier} is still there, unchanged."
    for chain in proof.chains.values():
        moved = ", ".join(f"{kind} {tokens(sum_)}" for kind, sum_ in sorted(chain.moved.items()))
        check(sum(chain.moved.values()) == chain.balance, f"{chain.name}: the sums disagree")
        yield f"{chain.name}: {chain.seq} entries, {chain.sealed} of them sealed ({moved})."
        yield f"{chain.name}: closing balance {tokens(chain.balance)} tokens."
    if proof.newest["number"]:
        head = f"{proof.newest['number']}:{proof.newest['hash']}"
        yield f"Newest checkpoint of {proof.newest['sealed_at']}. Keep this line: {head}"
    else:
        yield "Nothing has been sealed yet, so only the arithmetic could be checked."


def parse_head(text: str) -> tuple[int, str]:
    number, digest = text.split(":")
    return int(number), digest


def main() -> int:
    parser = argparse.ArgumentParser(description="Check a proof downloaded from Tokenworks.")
    parser.add_argument("proof", help="the file, proof.jsonl")
    parser.add_argument("--head", action="append", default=[], type=parse_head)
    parser.add_argument("--earlier", help="an older proof of yours")
    options = parser.parse_args()
    try:
        for sentence in verify(options.proof, options.head, options.earlier):
            sys.stdout.write(sentence + "\n")
    except (Broken, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        sentence = str(error) if isinstance(error, Broken) else f"this is not a proof ({error!r})"
        sys.stdout.write(f"DOES NOT HOLD: {sentence}.\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"Cannot read the file: {error}\n")
        return 2
    sys.stdout.write("All of it holds.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
