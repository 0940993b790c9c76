"""Two families of errors: trying again may help, or it will not."""


class CaudalError(Exception):
    """Any failure that Caudal knows by name."""


class Transient(CaudalError):
    """Trying again may help, not before `retry_after_s` seconds."""

    def __init__(self, message: str, retry_after_s: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Permanent(CaudalError):
    """Trying again will not help."""


class InvalidInput(Permanent, ValueError):
    """Something from outside cannot be used; `field` names what, `reason` says why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class NotFound(Permanent):
    """There is no such thing, or it is not the caller's; the two look alike from outside."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"no {what} {name!r}")
        self.what = what
        self.name = name
