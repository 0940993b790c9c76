"""Every topic is written once: its address, its filter and its parser agree, and nothing foreign gets into one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.common.bus import topics
from caudal.common.bus.topics import CATALOGUE, Topic, topic_of
from caudal.common.domain.errors import InvalidInput
from caudal.common.domain.ids import ID_PATTERN
from caudal.common.testing.memory_bus import matches

DESIGN = {
    "telemetry/{device}/uplink", "telemetry/{device}/raw", "telemetry/{device}/processed", "telemetry/{device}/alert",
    "telemetry/{device}/rejected", "telemetry/{device}/submission", "telemetry/{device}/config",
    "camera/{client}/{camera}/register", "camera/{client}/{camera}/status", "camera/{client}/{camera}/stats",
    "camera/{client}/{camera}/events", "camera/{client}/{camera}/recording", "camera/{client}/{camera}/result",
    "camera/{client}/{camera}/command", "camera/{client}/{camera}/config", "gateway/{client}/heartbeat",
    "gateway/{client}/stats", "gateway/{client}/result", "gateway/{client}/status", "gateway/{client}/command",
    "zigbee2mqtt/{name}",
}  # fmt: skip
"""What devices and edge gateways in the field already speak; never changed, only added to."""
RETAINED = {
    "telemetry/{device}/config", "camera/{client}/{camera}/status", "camera/{client}/{camera}/register",
    "camera/{client}/{camera}/config", "gateway/{client}/status",
}  # fmt: skip

ids = st.from_regex(ID_PATTERN.replace("$", r"\Z"), fullmatch=True)
every_topic = pytest.mark.parametrize("topic", CATALOGUE, ids=lambda topic: topic.template)


def test_topics_of_the_design_are_there_with_their_retention() -> None:
    templates = {topic.template for topic in CATALOGUE}
    assert templates >= DESIGN
    assert {topic.template for topic in CATALOGUE if topic.retained} == RETAINED


def test_no_topic_is_written_twice() -> None:
    assert len({topic.template for topic in CATALOGUE}) == len(CATALOGUE)


@every_topic
def test_topic_is_lower_case_without_leading_slash_and_has_both_ends(topic: Topic[object]) -> None:
    assert topic.template == topic.template.lower().strip("/")
    assert topic.senders
    assert topic.readers


@every_topic
@given(data=st.data())
def test_address_is_parsed_back_and_matched_by_its_filter(topic: Topic[object], data: st.DataObject) -> None:
    given_ids = {name: data.draw(ids, label=name) for name in topic.parameters}
    address = topic.address(**given_ids)
    assert topic.parse(address) == given_ids
    assert topic_of(address) is topic
    assert matches(topic.filter(), address)
    assert matches(topic.filter(**given_ids), address)
    assert matches(topic.filter(shared="group"), address)
    assert [other for other in CATALOGUE if other.parse(address)] == [topic]


@pytest.mark.parametrize("bad", ["", "a/b", "+", "#", "$SYS", "a b", "ñ", "a\0", "a\n", "x" * 65, "../etc", None, 7])
def test_what_is_no_id_never_becomes_part_of_a_topic(bad: str) -> None:
    for topic in CATALOGUE:
        good = dict.fromkeys(topic.parameters, "good")
        for name in topic.parameters:
            with pytest.raises(InvalidInput) as caught:
                topic.address(**(good | {name: bad}))
            assert caught.value.field == name
            with pytest.raises(InvalidInput):
                topic.filter(**{name: bad})


def test_missing_id_is_refused_and_shared_group_is_an_id() -> None:
    with pytest.raises(InvalidInput, match="device"):
        topics.TELEMETRY_RAW.address()
    with pytest.raises(InvalidInput, match="shared"):
        topics.TELEMETRY_RAW.filter(shared="a/b")
    assert topics.TELEMETRY_RAW.filter(shared="processor") == "$share/processor/telemetry/+/raw"


@pytest.mark.parametrize(
    "address", ["", "telemetry", "telemetry/a/b/raw", "telemetry//raw", "telemetry/a/raw/", "/telemetry/a/raw",
                "telemetry/a/rawer", "telemetry/a b/raw", "telemetry/a/raw\n"]
)  # fmt: skip
def test_address_of_no_topic_is_not_taken_for_one(address: str) -> None:
    assert topics.TELEMETRY_RAW.parse(address) is None
    with pytest.raises(InvalidInput):
        topic_of(address)


@pytest.mark.parametrize(
    ("topic_filter", "address", "wanted"),
    [
        ("a/+/c", "a/b/c", True),
        ("a/+/c", "a/b/c/d", False),
        ("a/#", "a", True),
        ("a/#", "a/b/c", True),
        ("a/#", "ab", False),
        ("#", "a/b", True),
        ("$share/g/a/+", "a/b", True),
        ("$share/g/a/+", "b/a", False),
        ("a", "a", True),
        ("a", "b", False),
    ],
)
def test_memory_bus_matches_filters_as_brokers_do(topic_filter: str, address: str, wanted: bool) -> None:
    assert matches(topic_filter, address) is wanted
