"""What goes into a message comes out the same, and nothing unpacks without bound."""

import gzip
import json
import random
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.bus.contents import MAX_PACKED, PLAIN_BYTES, packed, unpacked
from caudal.common.domain.errors import InvalidInput


@given(st.binary(max_size=2000))
def test_any_body_comes_out_as_it_went_in(body: bytes) -> None:
    assert unpacked(*packed(body)) == body


def test_large_body_of_readings_fits_in_one_message() -> None:
    digits = random.Random(7)
    readings = [{"device": f"meter-{n}", "flow": round(digits.uniform(0, 100), 3)} for n in range(22_000)]
    body = json.dumps(readings).encode()
    assert len(body) > 900_000
    content, encoding = packed(body)
    assert encoding == "gzip"
    assert len(content) <= MAX_PACKED
    assert unpacked(content, encoding) == body


def test_body_that_cannot_be_compressed_enough_is_refused() -> None:
    with pytest.raises(InvalidInput, match="too large for the bus"):
        packed(random.Random(7).randbytes(400_000))


def test_short_body_stays_readable() -> None:
    assert packed(b'{"flow": 0}') == ('{"flow": 0}', "utf-8")
    assert packed(b" " * PLAIN_BYTES)[1] == "utf-8"


@pytest.mark.parametrize(
    ("content", "encoding"),
    [("%%%", "base64"), ("%%%", "gzip"), ("AAAA", "gzip"), ("{}", "brotli"), ("é", "base64"), ("", "gzip")],
)
def test_content_of_another_encoding_is_refused(content: str, encoding: str) -> None:
    with pytest.raises(InvalidInput):
        unpacked(content, encoding)


def test_bomb_is_refused() -> None:
    bomb = b64encode(gzip.compress(b"\0" * 2_000_000)).decode()
    with pytest.raises(InvalidInput, match="more than 1000000 bytes"):
        unpacked(bomb, "gzip", max_bytes=1_000_000)
    cut = b64encode(gzip.compress(b"abc" * 1000)[:-9]).decode()
    with pytest.raises(InvalidInput, match="cut short"):
        unpacked(cut, "gzip")
