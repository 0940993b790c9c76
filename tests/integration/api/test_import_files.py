"""Files that an import takes and refuses, whatever they hold."""

from typing import Any

import pytest

from integration.api.house import ApiHouse
from integration.api.importing import POINTS, upload


class TestFiles:
    @pytest.mark.parametrize(
        ("content", "body", "field"),
        [
            ("code\n", {}, "map.delimiter"),
            ('code,device\n"a,b\n', {}, "file"),
            ("[{]", {}, "file"),
            ("code,code\n", {}, "file"),
            ("PAR1 and nothing more", {}, "file"),
            ("code,device\n\\ud800,d\n", {"map": {"encoding": "unicode_escape"}}, "file"),
            ("code,device\n+2AA-,d\n", {"map": {"encoding": "utf-7"}}, "file"),
            ("code,device\n", {"map": {"columns": {"code": "nowhere"}}}, "map.columns.code"),
            ("code,device\n", {"map": {"columns": {"colour": "code"}}}, "map.columns.colour"),
            ("code,device\n", {"map": {"delimiter": "--"}}, "map.delimiter"),
            ("code,device\n", {"map": {"column": {}}}, "map"),
            ('code,lat,lon\na,"1,234","1,234"\n', {}, "map.decimal"),
        ],
    )
    async def test_file_that_cannot_be_used_is_told_why(
        self, api: ApiHouse, content: str, body: dict[str, Any], field: str
    ) -> None:
        await upload(api.admin, content)
        answer = await api.admin.post("/api/import/", json={"kind": "points", **body})
        assert (answer.status_code, answer.json()["error"]["fields"][0]["field"]) == (422, field), answer.text

    async def test_same_key_imports_once(self, acme: ApiHouse) -> None:
        await upload(acme.admin, POINTS)
        admin = acme.admin
        admin.headers["Idempotency-Key"] = "take-over-1"
        first, second = [await admin.post("/api/import/", json={"kind": "points"}) for _ in range(2)]
        assert first.json()["created"] == 2
        assert second.content == first.content
