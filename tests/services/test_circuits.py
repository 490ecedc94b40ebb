"""The breaker of each provider."""

from __future__ import annotations

import pytest

from qrisd.domain.errors import ProviderKeysRefused, ProviderRejected, ProviderUncertain, ProviderUnreachable
from qrisd.services.circuits import OPENS_AFTER, Circuits

DOWN = ProviderUnreachable("a", "down")


class Bench:
    """Circuits of providers a and b on a clock the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.counted: list[tuple[str, str, str]] = []
        self.circuits = Circuits(["a", "b"], lambda *call: self.counted.append(call), lambda: self.now)

    def call(self, error: Exception | None = None, provider: str = "a") -> None:
        is_trial = self.circuits.enter(provider)
        self.circuits.leave(provider, "create_qr", error, is_trial=is_trial)

    def break_a(self) -> None:
        for _ in range(OPENS_AFTER):
            self.call(DOWN)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_provider_that_does_not_answer_is_left_alone_and_only_that_one(bench: Bench) -> None:
    bench.break_a()
    assert bench.circuits.states() == {"a": "open", "b": "closed"}
    with pytest.raises(ProviderUnreachable, match="nothing was sent"):
        bench.circuits.enter("a")
    bench.call(provider="b")


def test_refusals_are_answers_and_open_nothing(bench: Bench) -> None:
    for _ in range(3 * OPENS_AFTER):
        bench.call(ProviderRejected("a", "no"))
    assert bench.circuits.state("a") == "closed"


def test_a_provider_that_does_not_know_our_keys_is_left_alone_at_once_and_says_why(bench: Bench) -> None:
    bench.call(ProviderKeysRefused("a", "Copy the key again."))
    assert bench.circuits.states() == {"a": "open", "b": "closed"}
    assert bench.circuits.trouble("a") == "Copy the key again."
    with pytest.raises(ProviderUnreachable, match=r"nothing was sent: Copy the key again\."):
        bench.circuits.enter("a")


def test_a_lookup_that_is_refused_for_its_keys_keeps_no_charge_back(bench: Bench) -> None:
    bench.circuits.enter("a")
    bench.circuits.leave("a", "fetch_status", ProviderKeysRefused("a", "no"))
    assert bench.circuits.state("a") == "closed"


def test_an_answer_in_between_starts_the_count_anew(bench: Bench) -> None:
    for _ in range(5):
        for _ in range(OPENS_AFTER - 1):
            bench.call(ProviderUncertain("a", "?"))
        bench.call()
    assert bench.circuits.state("a") == "closed"


def test_after_its_rest_one_call_is_let_through_and_an_answer_closes_it(bench: Bench) -> None:
    bench.break_a()
    bench.now = 5.0
    assert bench.circuits.state("a") == "half_open"
    assert bench.circuits.enter("a")
    with pytest.raises(ProviderUnreachable):
        bench.circuits.enter("a")
    bench.circuits.leave("a", "create_qr", None, is_trial=True)
    assert bench.circuits.state("a") == "closed"


def test_a_failed_trial_rests_longer_but_never_longer_than_half_a_minute(bench: Bench) -> None:
    bench.break_a()
    rests = []
    for _ in range(6):
        start = bench.now
        while bench.circuits.state("a") == "open":
            bench.now += 0.5
        rests.append(bench.now - start)
        bench.call(DOWN)
    assert rests == [5, 10, 20, 30, 30, 30]


def test_calls_that_were_under_way_when_it_broke_do_not_prolong_its_rest(bench: Bench) -> None:
    for _ in range(50):
        bench.circuits.enter("a")
    for _ in range(50):
        bench.circuits.leave("a", "create_qr", DOWN)
    bench.now = 5.0
    assert bench.circuits.state("a") == "half_open"


def test_a_call_of_before_that_fails_late_does_not_let_a_second_trial_through(bench: Bench) -> None:
    bench.circuits.enter("a")
    bench.break_a()
    bench.now = 5.0
    assert bench.circuits.enter("a")
    bench.circuits.leave("a", "create_qr", DOWN)
    with pytest.raises(ProviderUnreachable):
        bench.circuits.enter("a")


def test_a_provider_that_names_a_pause_gets_it_within_bounds(bench: Bench) -> None:
    bench.call(ProviderUnreachable("a", "slow down", "429", retry_after_s=40))
    bench.now = 39.0
    assert bench.circuits.state("a") == "open"
    bench.now = 40.0
    bench.call(ProviderUnreachable("a", "slow down", "429", retry_after_s=10**9))
    bench.now = 340.0
    assert bench.circuits.state("a") == "half_open"


def test_every_call_is_counted_with_its_outcome(bench: Bench) -> None:
    bench.call()
    bench.call(DOWN)
    assert bench.counted == [("a", "create_qr", "answered"), ("a", "create_qr", "unreachable")]
