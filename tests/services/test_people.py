"""What passwords, codes and waits are made of."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from qrisd.domain import passwords
from qrisd.domain.errors import RateLimited
from qrisd.domain.permissions import Role
from qrisd.domain.throttle import ACCOUNT, CODE, SOURCE, Rule
from qrisd.sealing import Sealer, Unsealable
from qrisd.services import hashing
from qrisd.services.hashing import Hashing


@pytest.mark.parametrize(
    ("text", "role", "is_good"),
    [
        ("kopi susu gula", Role.OWNER, True),
        ("ten chars.", Role.OWNER, True),
        ("nine char", Role.OWNER, False),
        ("x" * 256, Role.OWNER, True),
        ("x" * 257, Role.OWNER, False),
        ("482915", Role.OWNER, False),
        ("482915", Role.CASHIER, True),
        ("4829", Role.CASHIER, True),
        ("482", Role.CASHIER, False),
        ("48291567", Role.CASHIER, True),
        ("482915678", Role.CASHIER, False),
        ("0000", Role.CASHIER, False),
        ("1234", Role.CASHIER, False),
        ("567890", Role.CASHIER, False),
        ("98765", Role.CASHIER, False),
        ("١٢٣٤", Role.CASHIER, False),
        ("", Role.CASHIER, False),
        ("kopi susu gula", Role.CASHIER, True),
    ],
)
def test_what_may_be_chosen(text: str, role: Role, is_good: bool) -> None:
    assert passwords.is_good(text, role) is is_good


@pytest.mark.parametrize("rule", [ACCOUNT, SOURCE, CODE])
def test_waits_begin_double_and_have_an_end(rule: Rule) -> None:
    assert rule.wait(rule.free - 1) == timedelta(0)
    assert rule.wait(rule.free) == rule.first
    assert rule.wait(rule.free + 1) == 2 * rule.first
    assert rule.wait(10**9) == rule.longest <= timedelta(hours=1)


def test_a_sealed_secret_opens_for_its_purpose_and_key_alone() -> None:
    sealer = Sealer("k" * 43)
    sealed = sealer.seal("JBSWY3DP", "totp of 1")
    assert "JBSWY3DP" not in sealed
    assert sealed != sealer.seal("JBSWY3DP", "totp of 1")
    assert sealer.unseal(sealed, "totp of 1") == "JBSWY3DP"
    changed = sealed[:-3] + ("A" if sealed[-3] != "A" else "B") + sealed[-2:]
    for other, text, purpose in (
        (sealer, sealed, "totp of 2"),
        (Sealer("j" * 43), sealed, "totp of 1"),
        (sealer, changed, "totp of 1"),
        (sealer, "v1.", "totp of 1"),
        (sealer, "nonsense", "totp of 1"),
    ):
        with pytest.raises(Unsealable):
            other.unseal(text, purpose)


async def test_what_was_hashed_is_recognised_and_nothing_else() -> None:
    argon = Hashing()
    stored = await argon.hash("kopi susu gula")
    assert stored.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await argon.verify(stored, "kopi susu gula")
    assert not await argon.verify(stored, "kopi susu gulA")
    assert not await argon.verify(None, "nobody")
    assert not await argon.verify("not a hash", "kopi susu gula")
    argon.close()


async def test_two_hash_at_a_time_off_the_loop_and_the_queue_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    argon, running, most, seen, lock = Hashing(), 0, 0, set[int](), threading.Lock()
    gate = threading.Event()

    def slow() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
            seen.add(threading.get_ident())
        gate.wait(10)
        with lock:
            running -= 1

    monkeypatch.setattr(hashing, "MAX_WAITING", 5)
    waiting = [asyncio.create_task(argon._run(slow)) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(RateLimited):
        await argon._run(slow)
    gate.set()
    await asyncio.gather(*waiting)
    assert most <= 2
    assert threading.get_ident() not in seen
    argon.close()
