"""Sharing against its definition, for any threshold, count and choice of shares."""

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from ledger.crypto.sharing import LIMBS, PRIME, Share, rejoin, split
from tests.reference import shares as reference

EXAMPLES = int(os.environ.get("QUORATE_EXAMPLES", "60"))
VALUE = st.integers(0, PRIME - 1)


class ListedEntropy:
    """Numbers that are given beforehand."""

    def __init__(self, numbers: list[int]) -> None:
        self._numbers = iter(numbers)

    def random_bytes(self, count: int) -> bytes:
        return next(self._numbers).to_bytes(count, "little")


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.data(), st.integers(1, 7), st.integers(0, 4))
def test_split_and_rejoin(data: st.DataObject, threshold: int, more: int) -> None:
    count = threshold + more
    polynomials = data.draw(
        st.lists(
            st.lists(VALUE, min_size=threshold, max_size=threshold),
            min_size=LIMBS,
            max_size=LIMBS,
        )
    )
    drawn = [coefficient for polynomial in polynomials for coefficient in polynomial]
    secret, shares = split(threshold, count, ListedEntropy(drawn))
    assert secret.values == tuple(polynomial[0] for polynomial in polynomials)
    for share in shares:
        assert share.values == tuple(
            reference.value_at(polynomial, share.x) for polynomial in polynomials
        )
    chosen = data.draw(st.permutations(shares))[:threshold]
    assert rejoin(chosen) == secret


@settings(max_examples=EXAMPLES, deadline=None)
@given(
    st.dictionaries(
        st.integers(1, PRIME - 1),
        st.lists(VALUE, min_size=LIMBS, max_size=LIMBS),
        min_size=1,
        max_size=6,
    )
)
def test_any_points_rejoin_as_by_linear_equations(points: dict[int, list[int]]) -> None:
    shares = [Share(x, tuple(values)) for x, values in points.items()]
    assert rejoin(shares).values == tuple(
        reference.constant_term([(share.x, share.values[limb]) for share in shares])
        for limb in range(LIMBS)
    )
    for share in shares:
        assert Share.parse(share.encode()) == share
