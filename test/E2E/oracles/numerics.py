# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Low-bit number formats, bit-exact and without a library: encoders, decoders and the roundings of the quantizers.

A small float is described by its exponent and mantissa bits. Encoding rounds to nearest, ties to even, saturates at the
largest finite value (as the hardware conversions with .satfinite do) and keeps the sign of zero.
"""
import numpy as np

# name -> (exponent bits, mantissa bits, bias, largest finite value)
FORMATS = {"e4m3": (4, 3, 7, 448.0), "e5m2": (5, 2, 15, 57344.0), "e2m1": (2, 1, 1, 6.0)}


def encode(x, name):
    """float64 -> codes (uint8, sign in the top bit of the format), to nearest even, saturating. x holds no NaN."""
    exponent_bits, mantissa_bits, bias, top = FORMATS[name]
    x = np.asarray(x, np.float64)
    magnitude = np.minimum(np.abs(x), top)
    _, exponent = np.frexp(magnitude)  # magnitude = f 2^exponent, f in [1/2, 1)
    # Below 2^(1-bias) the spacing stays that of the first binade.
    exponent = np.where(magnitude == 0, 1 - bias, np.maximum(exponent - 1, 1 - bias))
    steps = np.rint(magnitude / 2.0 ** (exponent - mantissa_bits))  # rint rounds ties to even
    # 2^mantissa_bits steps make one binade, so a carry into the next binade needs no case of its own.
    code = steps + (exponent - (1 - bias)) * 2.0 ** mantissa_bits
    sign = np.signbit(x).astype(np.int64) << (exponent_bits + mantissa_bits)
    return (code.astype(np.int64) | sign).astype(np.uint8)


def decode(codes, name):
    """codes -> float64. A code above the largest finite value (NaN, infinity) is not accepted."""
    exponent_bits, mantissa_bits, bias, top = FORMATS[name]
    codes = np.asarray(codes, np.int64)
    sign = np.where(codes >> (exponent_bits + mantissa_bits) & 1, -1.0, 1.0)
    rest = codes & ((1 << (exponent_bits + mantissa_bits)) - 1)
    exponent, mantissa = rest >> mantissa_bits, rest & ((1 << mantissa_bits) - 1)
    normal = (1 + mantissa / 2.0 ** mantissa_bits) * 2.0 ** (exponent - bias)
    value = np.where(exponent == 0, mantissa * 2.0 ** (1 - bias - mantissa_bits), normal)
    if (value > top).any():
        raise ValueError(f"{name} code beyond the largest finite value")
    return sign * value


def round_to(x, name):
    """The value that survives a trip through the format."""
    return decode(encode(x, name), name)


def round_half_away(x):
    """x + 0.5 sign(x), truncated: Triton's and the authors' rounding of int8 codes."""
    return np.trunc(x + 0.5 * np.sign(x))


def round_to_f16(x):
    return np.asarray(x, np.float64).astype(np.float16).astype(np.float64)
