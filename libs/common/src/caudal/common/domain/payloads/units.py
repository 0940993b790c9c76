"""Units that devices send and units in which we store, by exact ratios."""

from fractions import Fraction
from typing import NamedTuple

from caudal.common.domain.errors import InvalidInput

RATIOS: dict[str, dict[str, str]] = {
    "flow": {
        "l/s": "1",
        "l/min": "1/60",
        "l/h": "1/3600",
        "ml/s": "1/1000",
        "m3/s": "1000",
        "m3/min": "50/3",
        "m3/h": "5/18",
        "m3/d": "5/432",
        "gal/min": "0.0630901964",
        "ft3/s": "28.316846592",
    },
    "volume": {
        "m3": "1",
        "l": "1/1000",
        "dm3": "1/1000",
        "hl": "1/10",
        "ml": "1/1000000",
        "gal": "0.003785411784",
        "ft3": "0.028316846592",
    },
    "length": {"m": "1", "dm": "1/10", "cm": "1/100", "mm": "1/1000", "ft": "0.3048", "in": "0.0254"},
    "pressure": {
        "bar": "1",
        "mbar": "1/1000",
        "hpa": "1/1000",
        "pa": "1/100000",
        "kpa": "1/100",
        "mpa": "10",
        "psi": "0.0689475729",
        "mh2o": "0.0980665",
        "atm": "1.01325",
    },
    "conductivity": {"us/cm": "1", "ms/cm": "1000", "ds/m": "1000", "us/m": "1/100", "s/m": "10000"},
    "temperature": {"°c": "1", "°f": "5/9", "k": "1"},
}
"""Quantity to units, folded as `_folded` does; one of a unit is so many of the first."""

ZEROS: dict[str, str] = {"°f": "32", "k": "273.15"}
"""What a unit shows where the first of its quantity shows 0."""

_quantity_of = {unit: quantity for quantity, units in RATIOS.items() for unit in units}
_aliases = {"m3/hr": "m3/h", "lps": "l/s", "lpm": "l/min", "gpm": "gal/min", "mca": "mh2o", "c": "°c", "f": "°f"}


class Conversion(NamedTuple):
    """(value - zero_in) × numerator / denominator + zero_out; the two factors keep 36 m³/h at exactly 10 l/s."""

    zero_in: float
    numerator: float
    denominator: float
    zero_out: float

    def __call__(self, value: float) -> float:
        return (value - self.zero_in) * self.numerator / self.denominator + self.zero_out


def conversion(given: str, wanted: str) -> Conversion:
    """How a value in unit `given` becomes one in unit `wanted`.

    Raises:
        InvalidInput: a unit is unknown, or the two measure different things.
    """
    quantity, given_unit = _known(given)
    wanted_quantity, wanted_unit = _known(wanted)
    if quantity != wanted_quantity:
        raise InvalidInput("convert", f"{given!r} is a {quantity}, {wanted!r} a {wanted_quantity}")
    ratio = Fraction(RATIOS[quantity][given_unit]) / Fraction(RATIOS[quantity][wanted_unit])
    zero_in, zero_out = (float(Fraction(ZEROS.get(unit, "0"))) for unit in (given_unit, wanted_unit))
    return Conversion(zero_in, float(ratio.numerator), float(ratio.denominator), zero_out)


def _known(name: str) -> tuple[str, str]:
    folded = _folded(name)
    unit = _aliases.get(folded, folded)
    if unit not in _quantity_of:
        known = ", ".join(sorted(_quantity_of))
        raise InvalidInput("convert", f"{name[:40]!r} is no unit known here; there are {known}")
    return _quantity_of[unit], unit


def _folded(name: str) -> str:
    """Spelling apart: `m³ / H`, `m3/h` and `µS/cm`, `uS/cm` are the same."""
    folded = name.casefold().replace(" ", "").replace("³", "3").replace("º", "°")
    return folded.replace("µ", "u").replace("μ", "u")
