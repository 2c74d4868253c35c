"""multipart/form-data: text fields and files, read with bounds.

Files are spooled to disk while they come in; `api/body_limit.py` bounds the whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from fastapi import HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from starlette.datastructures import UploadFile

from serve_app.api.content_type import json_only
from serve_app.domain.errors import InvalidRequest

_MAX_FIELDS = 100
_MAX_FIELD_BYTES = 1 << 20
FORM = "multipart/form-data"
_PLAIN = re.compile(r'[^"\\]*(?:"[^"\\]*"[^"\\]*)*')
"""A Content-Disposition whose quotes are closed. The parser takes "C:\\a.wav" for "a.wav"."""

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Form:
    """What a form holds."""

    fields: Mapping[str, str]
    files: Mapping[str, tuple[UploadFile, ...]]

    def file(self, *names: str) -> UploadFile | None:
        """The file under the first of these names that has one.

        Raises:
            InvalidRequest: there are several, or the field is text.
        """
        found = [file for name in names for file in self.files.get(name, ())]
        if len(found) > 1:
            raise InvalidRequest(f"one file is expected, not {len(found)}.", field=names[0])
        if not found and (text := next((n for n in names if n in self.fields), None)):
            raise InvalidRequest("a file is expected, not text.", "curl -F name=@FILE", field=text)
        return found[0] if found else None

    def required_file(self, *names: str) -> UploadFile:
        """As `file`.

        Raises:
            RequestValidationError: there is none.
            InvalidRequest: the parser has cut its name, or read it from a broken header.
        """
        if (found := self.file(*names)) is None:
            raise missing(names[0])
        if not _PLAIN.fullmatch(found.headers.get("content-disposition", "")):
            raise InvalidRequest("The name of the file cannot be used.")
        return found


@asynccontextmanager
async def read_form(request: Request, max_files: int = 2) -> AsyncGenerator[Form]:
    """The form in the body of `request`; its spooled files are gone after the block."""
    if media_type(request) != FORM:
        raise HTTPException(
            415,
            f"The body must be {FORM}, not {media_type(request) or 'untyped'}: curl -F sends it.",
        )
    async with request.form(
        max_files=max_files, max_fields=_MAX_FIELDS, max_part_size=_MAX_FIELD_BYTES
    ) as form:
        fields: dict[str, str] = {}
        files: dict[str, tuple[UploadFile, ...]] = {}
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                files[name] = (*files.get(name, ()), value)
            else:
                fields[name] = value
        yield Form(fields, files)


def media_type(request: Request) -> str:
    """What the body says it is, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def json_body(request: Request) -> Any:
    """The JSON in the body.

    Raises:
        HTTPException: 415, it does not say that it is JSON.
        RequestValidationError: it is none.
    """
    await json_only(request)
    try:
        return json.loads(await request.body())
    except (ValueError, RecursionError) as error:
        reason = getattr(error, "msg", "too deep")
        problem = {
            "type": "json_invalid",
            "loc": ("body", getattr(error, "pos", 0)),
            "msg": "JSON decode error",
            "ctx": {"error": reason},
        }
        raise RequestValidationError([problem]) from None


def validated(model: type[Model], values: Mapping[str, Any]) -> Model:
    """`values` as a model; an error looks as it would for a JSON body.

    Raises:
        RequestValidationError
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from None


def missing(name: str) -> RequestValidationError:
    """The error of a form without a field it must have."""
    return RequestValidationError([{"type": "missing", "loc": ("body", name), "msg": "missing"}])


def json_field(name: str, text: str) -> Any:
    """The value of a field that holds JSON.

    Raises:
        InvalidRequest: it does not.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest("not valid JSON.", field=name) from None


def inlined(schema: dict[str, Any]) -> dict[str, Any]:
    """A JSON schema without `$defs`, which OpenAPI would not find where the schema is put."""
    definitions = schema.pop("$defs", {})

    def resolved(part: Any) -> Any:
        if isinstance(part, list):
            return [resolved(one) for one in cast(list[Any], part)]
        if not isinstance(part, dict):
            return part
        fields = cast(dict[str, Any], part)
        if "$ref" in fields:
            name = str(fields["$ref"]).removeprefix("#/$defs/")
            fields = {**definitions[name], **{k: v for k, v in fields.items() if k != "$ref"}}
        return {name: resolved(value) for name, value in fields.items()}

    return resolved(schema)


def form_schema(
    model: type[BaseModel], files: Iterable[str], required: Iterable[str]
) -> dict[str, Any]:
    """What OpenAPI says of a form with these fields and files."""
    schema = inlined(model.model_json_schema())
    binary = {"type": "string", "format": "binary"}
    properties = {**dict.fromkeys(files, binary), **schema.get("properties", {})}
    return {
        "requestBody": {
            "required": True,
            "content": {
                FORM: {
                    "schema": {
                        "type": "object",
                        "properties": properties,
                        "required": [*required, *schema.get("required", [])],
                    }
                }
            },
        }
    }
