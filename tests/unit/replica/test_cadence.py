"""When the next signature is due."""

from ledger.replica.cadence import SigningCadence, SigningSettings


def test_a_lone_write_is_signed_at_once() -> None:
    cadence = SigningCadence(SigningSettings())
    assert cadence.due(0.0, 1)
    assert not cadence.due(0.0, 0)


def test_the_next_signature_waits_for_the_interval() -> None:
    cadence = SigningCadence(SigningSettings(min_interval_ms=10))
    cadence.started(100.0, 1)
    assert not cadence.due(105.0, 1)
    assert 0 < cadence.wait_ms(105.0) <= 10
    assert cadence.due(100.0 + 11, 1)


def test_the_interval_grows_with_the_rate_and_never_beyond_the_delay() -> None:
    cadence = SigningCadence(SigningSettings(delay_ms=200, min_interval_ms=10))
    now_ms = 0.0
    for _ in range(20):
        cadence.started(now_ms, 200)
        now_ms += 10
    steady = cadence.wait_ms(now_ms - 10)
    assert 100 < steady < 120
    cadence.started(now_ms, 10**6)
    assert cadence.wait_ms(now_ms) == 200


def test_the_interval_shrinks_again_when_the_load_goes() -> None:
    cadence = SigningCadence(SigningSettings(min_interval_ms=10))
    cadence.started(0.0, 10_000)
    cadence.started(1000.0, 1)
    assert cadence.wait_ms(1000.0) < 11
