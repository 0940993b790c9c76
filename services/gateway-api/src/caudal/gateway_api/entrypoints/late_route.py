"""Routes that cost nothing until somebody asks for them."""

import warnings
from collections.abc import Callable
from typing import Any

from fastapi.routing import APIRoute
from pydantic.warnings import UnsupportedFieldAttributeWarning
from starlette.routing import compile_path


class LateRoute(APIRoute):
    """A route that FastAPI takes apart at the first request to it, or to the documentation.

    Its signature, the validator of its body and the shapes of its answers take some milliseconds; for all routes
    together, at the start, as long as everything else that the service imports.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """Only what requests are matched by."""
        self.path, self.endpoint = path, endpoint
        self.path_regex, self.path_format, self.param_convertors = compile_path(path)
        self.methods = set(options.get("methods") or ["GET"])
        self._options = options

    def __getattr__(self, name: str) -> Any:
        """What is not there yet: everything else is made, once."""
        options = self.__dict__.pop("_options", None)
        if options is None:
            raise AttributeError(name)
        with warnings.catch_warnings():
            # As FastAPI does where it builds a validator itself; those of our bodies are built when they are needed.
            warnings.simplefilter("ignore", UnsupportedFieldAttributeWarning)
            super().__init__(self.path, self.endpoint, **options)
            if self.body_field is not None:
                self.body_field.validate(None)
        return getattr(self, name)
