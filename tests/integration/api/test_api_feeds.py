"""Providers that are listened to, through the API: judged before they enter the catalog, and how they are is shown."""

from datetime import timedelta
from typing import Any

from caudal.ingest.adapters.sql_polling import SqlPollingRecord
from caudal.ingest.ports import ProviderState
from integration.api.house import NOW, ApiHouse

FEED: dict[str, Any] = {
    "code": "feed",
    "type": "WEBSOCKET",
    "connection": {"url": "wss://stream.example.com/v1", "subscribe": [{"op": "subscribe", "key": "{token}"}]},
    "authentication": {"kind": "bearer"},
}


class TestFeeds:
    async def test_an_entry_comes_back_as_it_was_without_its_secrets(self, api: ApiHouse) -> None:
        made = await api.admin.post("/api/providers/", json=FEED | {"credentials": {"token": "never-shown"}})
        assert made.status_code == 201
        shown = (await api.admin.get("/api/providers/feed")).json()
        assert {name: shown[name] for name in FEED} == FEED
        assert "never-shown" not in made.text + str(shown)

    async def test_what_nobody_could_connect_with_is_refused_by_its_field(self, api: ApiHouse) -> None:
        for change, field in (
            ({"connection": {}}, "connection"),
            ({"connection": {"url": "https://stream.example.com"}}, "connection.url"),
            ({"authentication": {"kind": "login"}}, "authentication.kind"),
        ):
            answer = await api.admin.post("/api/providers/", json=FEED | change)
            assert answer.status_code == 422
            assert field in answer.text
        await api.admin.post("/api/providers/", json=FEED)
        assert (await api.admin.patch("/api/providers/feed", json={"type": "HTTP_API"})).status_code == 422

    async def test_the_status_says_since_when_it_is_connected_and_when_it_was_heard(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=FEED)
        since, heard = NOW - timedelta(hours=2), NOW - timedelta(seconds=5)
        state = ProviderState(provider="feed", connected_at=heard, connected_since=since, heard_at=heard)
        await SqlPollingRecord(api.engine).asked([], state)
        status = (await api.reader.get("/api/providers/feed/status")).json()
        assert status["last_connection"] == heard.isoformat().replace("+00:00", "Z")
        assert status["polling"]["connected_since"] == since.isoformat().replace("+00:00", "Z")
        assert status["polling"]["heard_at"] == heard.isoformat().replace("+00:00", "Z")
        assert status["is_asked"] is False

    async def test_it_can_be_tried_by_whom_it_belongs_to(self, api: ApiHouse) -> None:
        await api.admin.post("/api/providers/", json=FEED)
        api.processor.answer = {"outcome": "answered", "raw": "{}", "readings": [], "refused": [], "took_ms": 3.0}
        answer = await api.admin.post("/api/providers/feed/test")
        assert (answer.status_code, answer.json()["outcome"]) == (200, "answered")
        assert (await api.admin.post("/api/providers/feed/test", json={"point": "well-1"})).status_code == 422
        await api.admin.post("/api/clients/", json={"code": "andes"})
        theirs = api.as_(await api.add_user(email="a@andes.test", role="client_admin", client="andes"))
        assert (await theirs.post("/api/providers/feed/test")).status_code == 403
