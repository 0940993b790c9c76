"""Raw readings, what was rejected, unclaimed devices, summaries, and orders to fold or read again."""

from datetime import timedelta
from typing import Any

import pytest

from caudal.common.bus.codec import decode
from caudal.common.bus.contents import packed, unpacked
from caudal.common.bus.messages import Push, Rejected
from caudal.common.domain.readings import Inlet
from integration.api.house import NOW, ApiHouse, reading

MINUTE = timedelta(minutes=1)


def rejected(number: int, **changes: Any) -> Rejected:
    """Something that could not be read."""
    fields: dict[str, Any] = {
        "id": f"r{number}",
        "device": "meter-1",
        "received_at": NOW - number * MINUTE,
        "inlet": Inlet.UPLINK,
        "topic": "telemetry/meter-1/uplink",
        "reason": "is no JSON",
        "field": "payload",
        "payload": "{nonsense",
    }
    return Rejected(**(fields | changes))


async def all_of(api: ApiHouse, path: str, limit: int) -> list[dict[str, Any]]:
    """Every entry of a list that comes in stretches."""
    found: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        more = f"&cursor={cursor}" if cursor else ""
        said = (await api.reader.get(f"{path}&limit={limit}{more}")).json()
        found += said["items"]
        cursor = said["next_cursor"]
    return found


class TestRaw:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/telemetry/raw/")).status_code == 401

    async def test_reading_is_shown_as_it_came(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.keep(reading(NOW - MINUTE, total=7, received=MINUTE))
        (entry,) = (await api.reader.get("/api/telemetry/raw/?point=well-1")).json()["items"]
        assert entry["values"] == {"total": 7}
        assert (entry["device"], entry["point"], entry["inlet"], entry["status"]) == (
            "meter-1",
            "well-1",
            "uplink",
            "COMPLETED",
        )
        assert (entry["measured_at"], entry["received_at"]) == ("2026-03-02T09:59:00Z", "2026-03-02T10:00:00Z")
        assert entry["payload"] == "{'total': 7}"

    @pytest.mark.parametrize("query", ["device=meter-1", "point=well-1", "status=COMPLETED", "order=measured_at"])
    async def test_stretches_bring_every_reading_once_the_newest_first(self, api: ApiHouse, query: str) -> None:
        await api.add_point()
        # Several share an instant, so that the id has to decide.
        readings = [reading(NOW - (n // 3) * MINUTE, received=timedelta(seconds=n), total=n) for n in range(20)]
        await api.keep(*readings)
        if query.startswith("status"):
            await api.keep(*(reading(NOW - n * MINUTE, total=n) for n in range(5)), device="unknown")
            query += "&device=meter-1"
        found = await all_of(api, f"/api/telemetry/raw/?{query}", 7)
        ids = [entry["id"] for entry in found]
        assert len(ids) == len(set(ids))
        times = [entry["measured_at"] for entry in found]
        assert times == sorted(times, reverse=True)
        if "status" not in query:
            assert len(found) == 20

    @pytest.mark.parametrize(
        ("query", "count"),
        [
            ("status=PENDING", 2),
            ("status=COMPLETED", 3),
            ("inlet=window", 2),
            ("inlet=push", 0),
            ("device=stranger", 2),
            ("point=well-1&device=stranger", 0),
            ("point=nowhere", 0),
            ("from=2026-03-02T09:59:00Z", 4),
            ("to=2026-03-02T09:59:00Z", 1),
            ("from=2026-03-02T09:59:00Z&to=2026-03-02T10:00:00Z", 2),
        ],
    )
    async def test_filters(self, api: ApiHouse, query: str, count: int) -> None:
        await api.add_point()
        await api.keep(*(reading(NOW - n * MINUTE, total=10 - n) for n in range(3)))
        await api.keep(
            *(reading(NOW - n * MINUTE, x=n) for n in range(2)), device="stranger", inlet=Inlet.WINDOW, window="w"
        )
        assert len((await api.reader.get(f"/api/telemetry/raw/?{query}")).json()["items"]) == count

    async def test_readings_of_a_former_device_stay_the_points(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.keep(reading(NOW - MINUTE, total=1))
        await api.admin.patch("/api/points/well-1", json={"device": "meter-2"})
        await api.keep(reading(NOW, total=2), device="meter-2")
        found = (await api.reader.get("/api/telemetry/raw/?point=well-1")).json()["items"]
        assert [entry["device"] for entry in found] == ["meter-2", "meter-1"]
        assert (await api.reader.get("/api/telemetry/summary/?point=well-1")).json()["raw"] == {"COMPLETED": 2}

    @pytest.mark.parametrize(
        ("query", "field"),
        [
            ("status=LOST", "status"),
            ("inlet=door", "inlet"),
            ("device=%00", "device"),
            ("from=1", "from"),
            ("cursor=%25", "cursor"),
            ("cursor=MTo5OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk6", "cursor"),
            ("limit=1001", "limit"),
            ("order=id", "order"),
        ],
    )
    async def test_field_that_cannot_be_used_is_named(self, api: ApiHouse, query: str, field: str) -> None:
        answer = await api.reader.get(f"/api/telemetry/raw/?{query}")
        assert answer.status_code == 422, answer.text
        assert answer.json()["error"]["fields"][0]["field"] == field


class TestRejected:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/telemetry/rejected/")).status_code == 401
        assert (await api.client.get("/api/telemetry/rejected/r1")).status_code == 401

    async def test_stretches_bring_every_entry_once(self, api: ApiHouse) -> None:
        await api.reject(*(rejected(n, received_at=NOW - (n // 3) * MINUTE) for n in range(10)))
        found = await all_of(api, "/api/telemetry/rejected/?device=meter-1", 4)
        assert len({entry["id"] for entry in found}) == 10

    async def test_filters(self, api: ApiHouse) -> None:
        push = rejected(1, inlet=Inlet.PUSH, topic="provider/acme/push", provider="acme", device="acme")
        await api.reject(rejected(0), push)
        for query, ids in (
            ("inlet=push", ["r1"]),
            ("provider=acme", ["r1"]),
            ("device=meter-1", ["r0"]),
            ("replayed=true", []),
            ("replayed=false", ["r0", "r1"]),
            ("from=2026-03-02T10:00:00Z", ["r0"]),
        ):
            said = (await api.reader.get(f"/api/telemetry/rejected/?{query}")).json()
            assert [entry["id"] for entry in said["items"]] == ids, query

    async def test_one_is_shown_whole(self, api: ApiHouse) -> None:
        await api.reject(rejected(0))
        entry = (await api.reader.get("/api/telemetry/rejected/r0")).json()
        assert (entry["payload"], entry["reason"], entry["field"]) == ("{nonsense", "is no JSON", "payload")
        assert (await api.reader.get("/api/telemetry/rejected/r9")).status_code == 404


class TestReplay:
    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.post("/api/telemetry/rejected/r0/replay")).status_code == 401
        assert (await api.reader.post("/api/telemetry/rejected/r0/replay")).status_code == 403

    async def test_uplink_is_published_again_on_its_own_topic(self, api: ApiHouse) -> None:
        await api.reject(rejected(0, payload="/wA=", payload_encoding="base64"))
        answer = await api.operator.post("/api/telemetry/rejected/r0/replay")
        assert (answer.status_code, answer.json()["state"]) == (200, "done")
        again, command = api.bus.published
        assert (again.topic, again.payload, again.retain) == ("telemetry/meter-1/uplink", b"\xff\x00", False)
        assert command.topic == "telemetry/meter-1/command"
        assert api.processor.commands[0].params == {"rejected_id": "r0"}

    async def test_push_gets_a_new_envelope(self, api: ApiHouse) -> None:
        content, encoding = packed(b'{"a": 1}')
        await api.reject(
            rejected(0, inlet=Inlet.PUSH, topic="provider/acme/push", payload=content, payload_encoding=encoding)
        )
        assert (await api.operator.post("/api/telemetry/rejected/r0/replay")).status_code == 200
        push = decode(api.bus.on("provider/acme/push")[0].payload, Push)
        assert unpacked(push.content, push.encoding) == b'{"a": 1}'
        assert push.received_at == NOW

    async def test_row_of_a_window_is_not_replayed_alone(self, api: ApiHouse) -> None:
        await api.reject(rejected(0, inlet=Inlet.WINDOW, topic="window/w1/command"))
        answer = await api.operator.post("/api/telemetry/rejected/r0/replay")
        assert answer.status_code == 409
        assert not api.bus.published

    @pytest.mark.parametrize("topic", ["telemetry/meter-1/raw", "zigbee2mqtt/patio/temp"])
    async def test_what_no_handler_could_take_is_published_again_too(self, api: ApiHouse, topic: str) -> None:
        await api.reject(rejected(0, topic=topic))
        assert (await api.operator.post("/api/telemetry/rejected/r0/replay")).status_code == 200
        assert api.bus.published[0].topic == topic

    @pytest.mark.parametrize(
        "change", [{"topic": "telemetry/meter-1/rejected"}, {"payload": "b'{'", "payload_encoding": "cut"}]
    )
    async def test_what_is_not_ours_to_say_or_not_whole_is_not_replayed(
        self, api: ApiHouse, change: dict[str, Any]
    ) -> None:
        await api.reject(rejected(0, **change))
        assert (await api.operator.post("/api/telemetry/rejected/r0/replay")).status_code == 409
        assert not api.bus.published

    async def test_nothing_is_marked_when_the_broker_is_away(self, api: ApiHouse) -> None:
        await api.reject(rejected(0))
        api.bus.away = True
        assert (await api.operator.post("/api/telemetry/rejected/r0/replay")).status_code == 503
        assert not api.processor.commands

    async def test_unknown_one_is_not_found(self, api: ApiHouse) -> None:
        assert (await api.operator.post("/api/telemetry/rejected/r9/replay")).status_code == 404
        assert (await api.operator.post("/api/telemetry/rejected/a%20b/replay")).status_code == 422


class TestUnclaimed:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/telemetry/unclaimed/")).status_code == 401

    async def test_devices_that_nobody_claims_are_counted(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.keep(reading(NOW, total=1))
        await api.keep(*(reading(NOW - n * MINUTE, x=n) for n in range(3)), device="stranger")
        await api.keep(reading(NOW - 9 * MINUTE, x=1), device="other")
        said = (await api.reader.get("/api/telemetry/unclaimed/")).json()
        assert said["total"] == 2
        assert [(entry["device"], entry["readings"]) for entry in said["items"]] == [("stranger", 3), ("other", 1)]
        assert said["items"][0]["first_measured_at"] == "2026-03-02T09:58:00Z"
        assert said["items"][0]["last_received_at"] == "2026-03-02T10:00:00Z"
        ordered = (await api.reader.get("/api/telemetry/unclaimed/?order=readings&page_size=1")).json()
        assert [entry["device"] for entry in ordered["items"]] == ["other"]
        assert (await api.reader.get("/api/telemetry/unclaimed/?search=STRANG")).json()["total"] == 1
        await api.add_point(code="claims", device="stranger")
        assert (await api.reader.get("/api/telemetry/unclaimed/")).json()["total"] == 1


class TestSummary:
    async def test_nobody_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.get("/api/telemetry/summary/?point=well-1")).status_code == 401

    async def test_ledger_is_counted(self, api: ApiHouse) -> None:
        await api.add_point()
        await api.keep(
            reading(NOW - 5 * MINUTE, total=100),
            reading(NOW - 3 * MINUTE, total=102),
            reading(NOW - 4 * MINUTE, total=101, received=3 * MINUTE),
            reading(NOW - 3 * MINUTE, total=102, received=timedelta(seconds=90)),
            reading(NOW, total=0),
        )
        await api.reject(rejected(0), rejected(1, device="other"))
        said = (await api.reader.get("/api/telemetry/summary/?point=well-1")).json()
        assert said["readings"] == 4
        assert said["raw"] == {"COMPLETED": 4, "SKIPPED": 1}
        assert (said["duplicates"], said["late"], said["rejected"]) == (1, 1, 1)
        assert said["flags"]["UNCONFIRMED"] == 1
        assert (said["first_measured_at"], said["last_measured_at"]) == ("2026-03-02T09:55:00Z", "2026-03-02T10:00:00Z")

    async def test_point_without_readings_has_none(self, api: ApiHouse) -> None:
        await api.add_point()
        said = (await api.reader.get("/api/telemetry/summary/?point=well-1")).json()
        assert (said["readings"], said["late"], said["flags"], said["first_measured_at"]) == (0, 0, {}, None)
        assert (await api.reader.get("/api/telemetry/summary/?point=nowhere")).status_code == 404
        assert (await api.reader.get("/api/telemetry/summary/")).status_code == 422


class TestProcess:
    BODY = {"point": "well-1", "from": "2026-03-01T00:00:00-04:00"}  # noqa: RUF012 - never changed

    async def test_nobody_and_reader_may_not(self, api: ApiHouse) -> None:
        assert (await api.client.post("/api/telemetry/process/", json=self.BODY)).status_code == 401
        assert (await api.reader.post("/api/telemetry/process/", json=self.BODY)).status_code == 403
        assert (await api.client.get("/api/telemetry/process/x")).status_code == 401

    async def test_answer_of_the_processor_is_waited_for(self, api: ApiHouse) -> None:
        await api.add_point()
        answer = await api.operator.post("/api/telemetry/process/", json=self.BODY)
        assert answer.status_code == 200, answer.text
        assert (answer.json()["state"], answer.json()["detail"]) == ("done", {"readings": 3, "changed": 1})
        (command,) = api.processor.commands
        assert command.action == "process"
        assert command.params == {"point": "well-1", "from": "2026-03-01T04:00:00+00:00", "to": None}
        shown = await api.reader.get(f"/api/telemetry/process/{command.id}")
        assert shown.json() == answer.json()

    async def test_slow_processor_is_answered_for_with_an_id(self, api: ApiHouse) -> None:
        await api.add_point()
        api.processor.answer = None
        answer = await api.operator.post("/api/telemetry/process/", json=self.BODY)
        assert (answer.status_code, answer.json()["state"]) == (202, "sent")
        shown = await api.reader.get(f"/api/telemetry/process/{answer.json()['id']}")
        assert (shown.status_code, shown.json()["finished_at"]) == (202, None)

    async def test_refusal_of_the_processor_is_told(self, api: ApiHouse) -> None:
        await api.add_point()
        api.processor.ok, api.processor.answer = False, {"reason": "no point 'well-1'"}
        answer = await api.operator.post("/api/telemetry/process/", json=self.BODY)
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "order_failed")
        assert answer.json()["error"]["message"] == "no point 'well-1'"

    async def test_broker_away_is_told_and_the_order_kept_as_failed(self, api: ApiHouse) -> None:
        await api.add_point()
        api.bus.away = True
        assert (await api.operator.post("/api/telemetry/process/", json=self.BODY)).status_code == 503
        assert await api.rows("select state from gateway_commands") == [("failed",)]

    @pytest.mark.parametrize(
        ("change", "status", "field"),
        [
            ({"point": "nowhere"}, 404, None),
            ({"point": 5}, 422, "point"),
            ({"to": "2026-02-01T00:00:00Z"}, 422, "from"),
            ({"to": 5}, 422, "to"),
            ({"from": "2026-03-01"}, 422, "from"),
            ({"since": 1}, 422, "since"),
        ],
    )
    async def test_field_that_cannot_be_used_is_named(
        self, api: ApiHouse, change: dict[str, Any], status: int, field: str | None
    ) -> None:
        await api.add_point()
        answer = await api.operator.post("/api/telemetry/process/", json=self.BODY | change)
        assert answer.status_code == status, answer.text
        assert [entry["field"] for entry in answer.json()["error"]["fields"]] == ([field] if field else [])
        assert not api.processor.commands

    async def test_unknown_order_is_not_found(self, api: ApiHouse) -> None:
        assert (await api.reader.get("/api/telemetry/process/unknown")).status_code == 404


@pytest.mark.parametrize(
    "path", ["raw/?points=well-1", "rejected/?form=2026-01-01T00:00:00Z", "data/?point=well-1&var=x"]
)
async def test_question_that_is_misspelt_is_refused(api: ApiHouse, path: str) -> None:
    await api.add_point()
    answer = await api.admin.get(f"/api/telemetry/{path}")
    assert answer.status_code == 422
    assert answer.json()["error"]["fields"][0]["reason"] == "there is no such field"


@pytest.mark.parametrize("name", ["raw", "rejected"])
async def test_question_that_is_asked_twice_is_refused(api: ApiHouse, name: str) -> None:
    answer = await api.admin.get(f"/api/telemetry/{name}/", params=[("device", "a"), ("device", "b")])
    assert answer.json()["error"]["fields"] == [{"field": "device", "reason": "is given more than once"}]
