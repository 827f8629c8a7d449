"""Many numbers as text at once, with seven significant digits as Kaldi's programs print them.

Text is kept as in ``columns``: 64-bit integers of eight bytes each, the first byte lowest. Zero bytes, which stand
within a number here, are to be dropped.
"""

import numpy as np

DIGITS = 7
WORDS = 3  # integers a number: sign and leading zeros; the digits before the point, and it; those behind it
# Larger and smaller numbers are written with an exponent of ten.
LEAST_EXPONENT, MOST_EXPONENT = -4, DIGITS - 1
_POWERS = 10.0 ** np.arange(DIGITS - LEAST_EXPONENT)
_MINUS, _ZERO, _POINT = (np.uint64(ord(sign)) for sign in "-0.")
# Behind the sign, by exponent from the least one: "0.000", "0.00", "0.0", "0." and then nothing.
_LEADS = np.zeros(DIGITS - LEAST_EXPONENT, np.uint64)
_LEADS[:-LEAST_EXPONENT] = [
    int.from_bytes(b"\0" + b"0.".ljust(1 - exponent, b"0"), "little") for exponent in range(LEAST_EXPONENT, 0)
]
# The texts of three digits, and how many digits are left without the zeros at their end.
_DIGITS = np.stack([np.arange(1000, dtype=np.uint64) // np.uint64(power) % np.uint64(10) for power in (100, 10, 1)])
_THREE = sum((digit + _ZERO) << np.uint64(8 * place) for place, digit in enumerate(_DIGITS))
_COUNTS = np.max([(digit != 0) * np.int8(place) for place, digit in enumerate(_DIGITS, 1)], axis=0)
_MASKS = np.array([(1 << 8 * count) - 1 for count in range(DIGITS + 1)], np.uint64)
_BITS = np.arange(0, 8 * (DIGITS + 1), 8, dtype=np.uint64)


def print_numbers(numbers: np.ndarray, text: np.ndarray) -> None:
    """Writes numbers as ``%.7g`` does, but for the last digit of those half-way between two.

    Args:
        numbers: (N,) float64.
        text: (N, ``WORDS``) uint64, gets the text; the last byte of each row stays free.
    """
    size = np.abs(numbers)
    with np.errstate(divide="ignore"):
        exponent = np.floor(np.log10(size))
    usual = (exponent >= LEAST_EXPONENT) & (exponent <= MOST_EXPONENT)
    if not usual.all():
        exponent, size = np.where(usual, exponent, 0), np.where(usual, size, 1)
    exponent = exponent.astype(np.int8)
    digits = np.rint(size * _POWERS[MOST_EXPONENT - exponent]).astype(np.int32)
    # Rounded up to one more digit, here or in the logarithm.
    more = digits >= 10**DIGITS
    if more.any():
        exponent[more] += 1
        digits[more] //= 10
        usual &= exponent <= MOST_EXPONENT
        exponent = np.minimum(exponent, MOST_EXPONENT)
    rest = digits // 1000
    first = rest // 1000
    middle, last = rest - 1000 * first, digits - 1000 * rest
    # All seven digits; then those before the point and as many others as are not zeros at the end.
    characters = (first + int(_ZERO)).astype(np.uint64) | _THREE[middle] << _BITS[1] | _THREE[last] << _BITS[4]
    before = np.maximum(exponent + 1, 0)
    count = np.where(last != 0, 4 + _COUNTS[last], 1 + _COUNTS[middle])
    characters &= _MASKS[np.maximum(count, before)]
    text[:, 0] = _LEADS[exponent - LEAST_EXPONENT] | (numbers < 0) * _MINUS
    text[:, 1] = characters & _MASKS[before] | ((count > before) & (before > 0)) * (_POINT << _BITS[7])
    text[:, 2] = characters >> _BITS[before]
    for row in np.flatnonzero(~usual):
        number = f"{numbers[row]:.{DIGITS}g}".encode().ljust(8 * WORDS, b"\0")
        text[row] = np.frombuffer(number, "<u8")
