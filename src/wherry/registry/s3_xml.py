"""The little XML that S3 answers with: element texts by the names above them, nothing more. No document types."""

from __future__ import annotations

from collections.abc import Sequence
from xml.parsers import expat
from xml.sax.saxutils import escape

Elements = list[tuple[str, str]]
"""Path from the root ("ListBucketResult/Contents/Key") and text of every element that ended, in order."""


class BadXml(ValueError):
    """Not the XML that S3 speaks."""


def read_xml(data: bytes) -> Elements:
    """The elements of a document. Raises BadXml."""
    found: Elements = []
    path: list[str] = []
    texts: list[list[str]] = []

    def start(name: str, _attributes: object) -> None:
        path.append(name.rpartition("}")[2].rpartition(":")[2])
        texts.append([])

    def end(_name: str) -> None:
        found.append(("/".join(path), "".join(texts.pop())))
        path.pop()

    def text(piece: str) -> None:
        if texts:
            texts[-1].append(piece)

    def doctype(*_: object) -> None:
        raise BadXml("a document type in an answer")

    parser = expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise BadXml(str(error)) from None
    return found


def texts_of(elements: Elements, name: str) -> list[str]:
    """The texts of all elements whose path ends in ``name``."""
    return [text for path, text in elements if path == name or path.endswith("/" + name)]


def text_of(elements: Elements, name: str) -> str:
    """The text of the first such element; empty if there is none."""
    return next(iter(texts_of(elements, name)), "")


def completion(etags: Sequence[str]) -> bytes:
    """The body that completes a multipart upload."""
    parts = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
        for number, etag in enumerate(etags, 1)
    )
    return f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()


def deletion(keys: Sequence[str]) -> bytes:
    """The body that deletes several objects."""
    objects = "".join(f"<Object><Key>{escape(key)}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>true</Quiet>{objects}</Delete>".encode()
