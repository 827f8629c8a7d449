"""Numbers as text: what C's %.7g writes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from xvkd.kaldi.decimals import WORDS, print_numbers


def printed(numbers):
    text = np.full((len(numbers), WORDS), 12345, np.uint64)
    print_numbers(np.asarray(numbers, np.float64), text)
    assert (text[:, -1] < 1 << 56).all()
    return [row.astype("<u8").tobytes().translate(None, b"\0").decode() for row in text]


def test_numbers_of_all_sizes():
    random = np.random.default_rng(1)
    numbers = np.concatenate([
        30 * random.standard_normal(5000), 10 ** random.uniform(-9, 12, 5000) * random.choice([-1, 1], 5000),
        np.round(random.standard_normal(1000), 2), random.integers(-(10**8), 10**8, 1000),
    ])  # fmt: skip
    assert printed(numbers) == [f"{number:.7g}" for number in numbers]


def test_where_the_form_changes():
    numbers = [
        0.0, -0.0, 1.0, -1.0, 0.5, 10.0, 100.0, 1000.0, 1e6, 1e7, 1234567.0, 9999999.0, 9999999.4, 9999999.6,
        99999994.0, 999.99999, 0.1, 0.01, 1e-3, 1e-4, 9.9999999e-5, 1e-5, 1e-300, 1e300, np.inf,
        -np.inf, np.nan, 123456.75, 5e-324,
    ]  # fmt: skip
    assert printed(numbers) == [f"{number:.7g}" for number in numbers]
    assert printed([]) == []


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_number_comes_back_to_seven_digits(number):
    assert abs(float(printed([number])[0]) - number) <= 5.000001e-7 * abs(number) + 5e-324
