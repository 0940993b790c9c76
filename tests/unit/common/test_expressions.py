"""The language of calculated fields: what it gives, and that nothing that is written in it can do harm."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.expressions import MAX_DEPTH, MAX_LENGTH, RESERVED, NoValue, Values, expression_of

VALUES: Values = {"a": 2.0, "b": 0.0, "c": None}
LETTERS = [*"abc019.,+-*/%<>=!() _\"'[]{}:;\\\n\x00é", "**", "and ", "not ", "if(", "max(", "has(", "__class__"]


def number(text: str, values: Values = VALUES) -> object:
    return expression_of(text, ["a", "b", "c"], is_truth=False, field="f").calculate(values)


def truth(text: str, values: Values = VALUES) -> object:
    return expression_of(text, ["a", "b", "c"], is_truth=True, field="f").calculate(values)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7),
        ("-2 ** 2", -4),
        ("2 ** 3 ** 2", 512),
        ("2 ** -1", 0.5),
        ("7 - 2 - 1", 4),
        ("a / 4 * 1e3", 500),
        ("7 % 4", 3),
        ("if(a > 1, max(a, 5), 1 / b)", 5),
        ("coalesce(c, b, 1)", 0),
        ("round(a / 3, 2)", 0.67),
        ("if(has(c), 1, 0)", 0),
        ("floor(2.7) + ceil(2.1) + abs(-1) + sqrt(4) + min(1, a)", 9),
    ],
)
def test_numbers_come_out_as_in_arithmetic(text: str, value: float) -> None:
    assert number(text) == value


def test_conditions_come_out_as_in_logic() -> None:
    assert truth("a > 1 and not (b != 0) or a == 3") is True
    assert truth("a <= 1 or a >= 3") is False


@pytest.mark.parametrize("text", ["c", "c + 1", "c * 0", "-c", "max(a, c)", "if(c > 1, 1, 2)", "coalesce(c, c)"])
def test_something_missing_is_never_zero(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize("text", ["c > 1", "a > 1 or c > 1", "not c > 1"])
def test_nothing_is_said_of_something_missing(text: str) -> None:
    assert truth(text) is None


@pytest.mark.parametrize("text", ["1 / b", "a % b", "b ** -1", "9 ** 9 ** 9", "1e308 * 10", "(-a) ** 0.5", "sqrt(-a)"])
def test_what_has_no_value_says_why(text: str) -> None:
    with pytest.raises(NoValue, match=r"division by zero|more than a number can hold|root of a negative"):
        number(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a.b",
        "a.__class__",
        "a[0]",
        "__import__('os')",
        "__import__",
        "lambda: 1",
        "[1]",
        "a if b else c",
        "a = 1",
        "a; b",
        "x",
        "open(1)",
        "exec(a)",
        "max(1)",
        "1 +",
        "1e999",
        "a > 1",
        "if(a, 1, 2)",
        "a and b",
        "9" * 21,
        "1" + "+1" * (MAX_LENGTH // 2),
        "-" * (MAX_DEPTH + 1) + "1",
    ],
)
def test_what_is_no_expression_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        number(text)
    assert refused.value.field == "f"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a >> 1", "character 4: cannot be read from '> 1' on"),
        ("a + (b", "character 7: ends where something is missing"),
        ("a + xyz * a", "character 5: 'xyz' is no field"),
        ("1 + 1e999", "character 5: 1e999 is more"),
        ("1 + sum(a, b)", "character 5: 'sum' is none of the functions"),
        ("a + if(a > b, min(a), 1)", "character 15: min takes 2 to 20"),
        ("abs(a > 1)", "character 5: has true or false where a number belongs"),
        ("a * a > 1 and b", "character 15: has a number where true or false belongs"),
    ],
)
def test_what_is_refused_says_where(text: str, told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        number(text)
    assert refused.value.reason.startswith(told)


def test_the_deepest_that_is_taken_can_be_calculated() -> None:
    assert number("-" * (MAX_DEPTH - 1) + "1") == (-1) ** (MAX_DEPTH - 1)
    assert number("(" * 249 + "a" + ")" * 249) == 2


def test_every_function_can_be_called() -> None:
    functions = RESERVED - {"and", "or", "not"}
    assert functions == {"abs", "ceil", "coalesce", "floor", "has", "if", "max", "min", "round", "sqrt"}


def test_ten_thousand_random_texts_give_a_number_or_an_error() -> None:
    chosen = random.Random(20260302)
    given = 0
    for _ in range(10_000):
        text = "".join(chosen.choices(LETTERS, k=chosen.randint(1, 12)))
        try:
            value = number(text)
        except (InvalidInput, NoValue):
            continue
        given += 1
        assert value is None or math.isfinite(value)  # type: ignore[arg-type]
    assert given > 50, "some of them must be expressions"


numbers = st.floats(allow_nan=False, allow_infinity=False)
grown = st.recursive(
    st.sampled_from(["a", "b", "1", "2.5", "1e3"]),
    lambda inner: st.builds(
        lambda a, sign, b: f"({a} {sign} {b})", inner, st.sampled_from(["+", "-", "*", "/", "%", "**"]), inner
    ),
    max_leaves=12,
)


@given(text=grown, a=numbers, b=numbers)
def test_any_arithmetic_of_any_numbers_is_finite_or_says_why(text: str, a: float, b: float) -> None:
    try:
        value = number(text, {"a": a, "b": b})
    except NoValue:
        return
    assert isinstance(value, float)
    assert math.isfinite(value)
