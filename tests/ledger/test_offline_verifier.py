"""The verifier that customers run: a real download holds, and no change of it goes unnoticed."""

import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketplace.ledger import services as ledger
from marketplace.ledger.services import stream_proof
from marketplace.ledger.verifier import VERIFIER
from marketplace.ledger.verifier import tokenworks_verify as verifier
from tests.ledger.cast import ACME, GLOBEX, NOW, capture, grant, hold, wallet

Lines = list[dict[str, Any]]


def trade() -> None:
    grant(1000, reference="order:paid", paid_minor=95, currency="USD", days=30, reason="给 Acme")
    grant(300, reference="order:scoped", scope="service:1")
    grant(500, unit="test", reference="order:test")
    for number in range(4):
        grant(400, owner=f"{GLOBEX}{number}", reference=f"order:other{number}")
    result = capture(hold(700, scopes=("service:1",)), 650)
    ledger.reverse_transaction(
        transaction_id=result.transaction_id,
        debits=[("commission", ledger.OPERATOR, 5)],
        idempotency_key="1",
        reason="test",
        now=NOW,
    )
    # All of it is the operator's: nothing touches a wallet.
    late = hold(10)
    ledger.expire_holds(now=NOW + timedelta(hours=1))
    capture(hold(600), 600)
    capture(late, 100)


def seal(minutes: int = 0) -> str:
    return str(ledger.seal_entries(now=NOW + timedelta(minutes=minutes))[-1])


def download(path: Path, *, owner: str = ACME, units: tuple[str, ...] = ("live", "test")) -> Path:
    path.write_bytes(b"".join(stream_proof(owner_key=owner, units=units, now=NOW)))
    return path


def run(*arguments: object) -> tuple[int, str]:
    """As a customer runs it: a Python of its own, that knows nothing of the portal."""
    done = subprocess.run(
        [sys.executable, "-I", str(VERIFIER), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={},
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout


def check(path: Path, **options: Any) -> str:
    """The same in this process: "" when it holds, else why not."""
    try:
        for _sentence in verifier.verify(str(path), options.get("heads", []), None):
            pass
    except (verifier.Broken, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        return str(error) or type(error).__name__
    return ""


def read(path: Path) -> Lines:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def write(path: Path, lines: Lines, *, honest_end: bool = True) -> Path:
    """As a forger writes it, who takes care that the end line fits again."""
    body = [dump(line) for line in lines]
    if honest_end:
        digest = hashlib.sha256(b"".join(body[:-1])).hexdigest()
        body[-1] = dump({"end": {"lines": len(body) - 1, "sha256": digest}})
    path.write_bytes(b"".join(body))
    return path


def dump(line: object) -> bytes:
    return json.dumps(line, sort_keys=True, separators=(",", ":")).encode() + b"\n"


@pytest.fixture
def proof(db: None, tmp_path: Path) -> Path:
    """All of it sealed, in the second of two checkpoints."""
    grant(5, owner=GLOBEX)
    grant(7)
    seal()
    trade()
    seal(5)
    return download(tmp_path / "proof.jsonl")


def test_download_holds(proof: Path) -> None:
    code, output = run(proof)
    assert code == 0
    closing = f"0.{wallet().posted_millitokens:03d}"
    assert f"wallet:org_acme:live: closing balance {closing} tokens." in output
    assert "wallet:org_acme/service:1:live" in output
    assert "wallet:org_acme:test: closing balance 0.500 tokens." in output
    assert output.endswith("All of it holds.\n")


def test_download_is_the_tenants_own(proof: Path) -> None:
    text = proof.read_text()
    assert GLOBEX not in text
    kinds = [next(iter(line)) for line in read(proof)]
    assert kinds == [
        "header",
        *["entry"] * kinds.count("entry"),
        *["state"] * 3,
        "checkpoint",
        "checkpoint",
        "end",
    ]


def test_only_the_units_asked_for(db: None, tmp_path: Path) -> None:
    trade()
    seal()
    path = download(tmp_path / "proof", units=("test",))
    assert check(path) == ""
    assert "wallet:org_acme:live" not in path.read_text()


def test_entries_newer_than_the_last_seal(proof: Path, tmp_path: Path) -> None:
    grant(9)
    newer = download(tmp_path / "newer")
    code, output = run(newer, "--earlier", proof)
    assert code == 0
    sealed = next(line for line in output.splitlines() if "acme:live" in line and "sealed" in line)
    entries, of_them = (int(word) for word in sealed.split() if word.isdecimal())
    assert of_them == entries - 1


def test_nothing_sealed_and_nothing_at_all(db: None, tmp_path: Path) -> None:
    assert run(download(tmp_path / "nothing"))[0] == 0
    grant(9)
    code, output = run(download(tmp_path / "unsealed"))
    assert code == 0
    assert "Nothing has been sealed yet" in output


def test_kept_head(proof: Path) -> None:
    head = read(proof)[-2]["checkpoint"]
    assert run(proof, "--head", f"1:{read(proof)[-3]['checkpoint']['hash']}")[0] == 0
    assert run(proof, "--head", f"2:{head['hash']}")[0] == 0
    code, output = run(proof, "--head", f"2:{'a' * 64}")
    assert code == 1
    assert "is not in the chain: it was cut or rewritten" in output


def test_earlier_download_is_a_beginning(proof: Path, tmp_path: Path) -> None:
    capture(hold(50), 40)
    seal(10)
    newer = download(tmp_path / "newer")
    code, output = run(newer, "--earlier", proof)
    assert code == 0
    assert "is still there, unchanged" in output
    # The other way round the newer one's entries are gone.
    assert run(proof, "--earlier", newer)[0] == 1


def test_earlier_download_of_a_rewritten_past(proof: Path, tmp_path: Path) -> None:
    """A portal that forges everything consistently is caught by what the customer kept."""
    lines = read(proof)
    entry = next(line["entry"] for line in lines if "entry" in line)
    entry["reason"] = "forged"
    forged = write(tmp_path / "forged", reseal(lines))
    assert run(forged)[0] == 0
    code, output = run(forged, "--earlier", proof)
    assert code == 1
    assert "DOES NOT HOLD" in output
    old_head = read(proof)[-2]["checkpoint"]
    assert run(forged, "--head", f"{old_head['number']}:{old_head['hash']}")[0] == 1


def reseal(lines: Lines) -> Lines:
    """One checkpoint over this tenant's chains alone, as if nobody else were there."""
    chains: dict[str, verifier.Chain] = {}
    [header] = [line["header"] for line in lines if "header" in line]
    for said in header["chains"]:
        chains[said["chain"]] = verifier.Chain(said["chain"], said["entries"], said["sealed"])
    entries = [line for line in lines if "entry" in line]
    for line in entries:
        chains[line["entry"]["chain"]].add(line["entry"])
    bodies = [
        {"chain": chain.name, "seq": chain.seq, "posted": str(chain.balance), "head": chain.head}
        for chain in chains.values()
    ]
    leaves = [verifier.sha256(b"\x00", verifier.canonical(body)) for body in bodies]
    assert len(leaves) == 3
    low = verifier.sha256(b"\x01", leaves[0], leaves[1])
    root = verifier.sha256(b"\x01", low, leaves[2])
    paths = [[leaves[1], leaves[2]], [leaves[0], leaves[2]], [low]]
    checkpoint = {
        "number": 1,
        "sealed_at": "2026-10-01T12:00:00.000000Z",
        "previous": "0" * 64,
        "root": root.hex(),
        "chains": 3,
    }
    states = [
        {"state": {**body, "leaf": leaf, "path": [node.hex() for node in path]}}
        for leaf, (body, path) in enumerate(zip(bodies, paths, strict=True))
    ]
    digest = verifier.sha256(verifier.canonical(checkpoint)).hex()
    last = {"checkpoint": {**checkpoint, "hash": digest}}
    return [{"header": header}, *entries, *states, last, {"end": {}}]


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"[]", b"{}", b"not json", b'{"header":1}\n', b"\xff\xfe", b"null\n"]
)
def test_what_is_no_proof(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "proof"
    path.write_bytes(content)
    assert run(path)[0] == 1


def test_file_that_is_not_there(tmp_path: Path) -> None:
    assert run(tmp_path / "nothing")[0] == 2


def test_every_shortening_is_noticed(proof: Path, tmp_path: Path) -> None:
    """One line less, whichever; also when the forger mends the end."""
    lines = read(proof)
    for number in range(len(lines)):
        less = lines[:number] + lines[number + 1 :]
        for honest_end in (False, True):
            if honest_end and number == len(lines) - 1:
                continue
            assert check(write(tmp_path / "less", less, honest_end=honest_end)), number
    raw = proof.read_bytes()
    for length in (len(raw) - 1, len(raw) // 2, 1):
        (tmp_path / "cut").write_bytes(raw[:length])
        assert check(tmp_path / "cut")


def test_swapped_lines_are_noticed(proof: Path, tmp_path: Path) -> None:
    lines = read(proof)
    for number in range(len(lines) - 1):
        swapped = [*lines]
        swapped[number : number + 2] = reversed(lines[number : number + 2])
        if is_ordered(*lines[number : number + 2]):
            assert check(write(tmp_path / "swapped", swapped)), number


def is_ordered(first: dict[str, Any], second: dict[str, Any]) -> bool:
    """Whether it says anything which of the two lines comes first."""
    kind, other = next(iter(first)), next(iter(second))
    if {"header", "end"} & {kind, other}:
        return True
    if kind != other or kind == "state":
        return False
    return kind == "checkpoint" or first["entry"]["chain"] == second["entry"]["chain"]


def every_place(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to each field of a line, inner ones included."""
    inner: Any = ()
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    for name, item in inner:
        yield (*path, name)
        yield from every_place(item, (*path, name))


def change_of(value: Any, chance: Callable[[Any], Any]) -> Any:
    """Another value of the same or another kind."""
    others: list[Any] = [None, "", 0, -1, 10**30, 1.5, True, [], {}, "x", "0", "-1"]
    if isinstance(value, str):
        others += [value + "0", value[:-1], value[::-1], f" {value}", value.replace("1", "2")]
    if type(value) is int:
        others += [value + 1, value - 1, float(value), str(value)]
    return chance([other for other in others if repr(other) != repr(value)])


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_every_changed_field_is_noticed(proof: Path, tmp_path: Path, data: st.DataObject) -> None:
    """Also when the end line is mended: but for when the file was made, which nothing proves."""
    lines = copy.deepcopy(read(proof))
    honest_end = data.draw(st.booleans())
    number = data.draw(st.integers(0, len(lines) - 1 - honest_end))
    places = [
        place
        for place in every_place(lines[number])
        if not honest_end or place != ("header", "made_at")
    ]
    *way, last = data.draw(st.sampled_from(places))
    holder: Any = lines[number]
    for step in way:
        holder = holder[step]
    action = data.draw(st.sampled_from(["change", "remove", "add"]))
    if action == "change":
        holder[last] = change_of(holder[last], lambda values: data.draw(st.sampled_from(values)))
    elif action == "remove":
        del holder[last]
    elif isinstance(holder, dict):
        holder["added"] = "x"
    else:
        holder.append("00" * 32)
    assert check(write(tmp_path / "changed", lines, honest_end=honest_end))
