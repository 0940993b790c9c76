"""The one file in a multipart body, given on while it comes in; nothing is gathered in memory or in a second place."""

from collections.abc import AsyncIterator

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from caudal.common.domain.errors import InvalidInput
from caudal.gateway_api.domain.errors import UnsupportedMedia

MAX_FIELD_BYTES = 65_536
"""Of headers, and of fields beside the file."""


class FilePart:
    """The file of a multipart request."""

    def __init__(self, request: Request) -> None:
        kind, options = parse_options_header(request.headers.get("content-type", ""))
        boundary = options.get(b"boundary")
        if kind != b"multipart/form-data" or not boundary:
            raise UnsupportedMedia("send the file as multipart/form-data, in a field named `file`")
        self.name = ""
        """As the caller calls it; never to be trusted."""
        self._stream = request.stream()
        self._parser = _Parser(boundary)

    async def opened(self) -> "FilePart":
        """Read up to the file.

        Raises:
            InvalidInput: there is none, or the body is no multipart body.
        """
        while self._parser.name is None:
            if not await self._fed():
                raise InvalidInput("file", "is missing: send it in a multipart field named `file`")
        self.name = self._parser.name
        return self

    async def chunks(self) -> AsyncIterator[bytes]:
        """The bytes of the file.

        Raises:
            InvalidInput: the body ends before the file does, or another file follows.
        """
        is_more = True
        while is_more:
            for chunk in self._parser.taken():
                yield chunk
            is_more = await self._fed()
        if not self._parser.is_complete:
            raise InvalidInput("file", "is cut short")

    async def _fed(self) -> bool:
        """Whether there was more of the body."""
        chunk = await anext(self._stream, b"")
        if not chunk:
            return False
        self._parser.feed(chunk)
        return True


class _Parser:
    """Picks the file out of what it is fed; other fields are passed over."""

    def __init__(self, boundary: bytes) -> None:
        self.name: str | None = None
        self.is_complete = False
        self._held: list[bytes] = []
        self._field = self._value = b""
        self._disposition = b""
        self._in_file = False
        self._passed_over = 0
        callbacks = {
            "on_header_field": self._on_header_field,
            "on_header_value": self._on_header_value,
            "on_header_end": self._on_header_end,
            "on_headers_finished": self._on_headers_finished,
            "on_part_data": self._on_part_data,
            "on_part_end": self._on_part_end,
        }
        self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]

    def feed(self, chunk: bytes) -> None:
        """More of the body.

        Raises:
            InvalidInput: it is no multipart body.
        """
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise InvalidInput("file", f"the multipart body cannot be read: {error}"[:200]) from error

    def taken(self) -> list[bytes]:
        """What has come of the file since the last time."""
        held, self._held = self._held, []
        return held

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += self._counted(data[start:end])

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += self._counted(data[start:end])

    def _on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _on_headers_finished(self) -> None:
        name = parse_options_header(self._disposition)[1].get(b"filename")
        self._disposition = b""
        if name is not None and self.name is None:
            self.name = name.decode("utf-8", "replace")
            self._in_file = True
        elif name:
            raise InvalidInput("file", "is not the only one: send one at a time")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._held.append(data[start:end])
        else:
            self._counted(data[start:end])

    def _on_part_end(self) -> None:
        if self._in_file:
            self._in_file = False
            self.is_complete = True

    def _counted(self, data: bytes) -> bytes:
        self._passed_over += len(data)
        if self._passed_over > MAX_FIELD_BYTES:
            raise InvalidInput("file", f"more than {MAX_FIELD_BYTES} bytes of the body are not the file")
        return data
