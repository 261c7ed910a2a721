"""A file behind a local HTTP server that can break off, refuse, and serve its rest."""

import contextlib
import http.server
import threading
from collections.abc import Iterator
from typing import NamedTuple


class Served(NamedTuple):
    """Where the file is.

    Attributes:
      address: of the file.
      asked: the ranges that were asked for so far, "" for the whole.
    """

    address: str
    asked: list[str]


@contextlib.contextmanager
def file(
    content: bytes, *, most: int | None = None, status: int = 200, ranges: bool = True
) -> Iterator[Served]:
    """Serves a file.

    Args:
      content: of it.
      most: bytes after which every answer breaks off.
      status: of every answer; other than 200 an error.
      ranges: whether a part can be asked for.
    """
    asked: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.headers.get("Range", ""))
            begun = 0
            if ranges and asked[-1]:
                begun = int(asked[-1].removeprefix("bytes=").removesuffix("-"))
            rest = content[begun:]
            if begun and not rest:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                rest = b""
            else:
                self.send_response(206 if begun else status)
            self.send_header("Content-Length", str(len(rest)))
            self.end_headers()
            self.wfile.write(rest[:most])

        def log_message(self, *arguments: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}/file", asked)
    finally:
        server.shutdown()
        server.server_close()
