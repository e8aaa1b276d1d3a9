"""This machine, looked at: files, supervisors, processes, HTTP."""

from __future__ import annotations

import asyncio
import http.client
import os
import resource
import stat
import xmlrpc.client
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final

import requests

from securetransport.adapters.unix_http import UnixConnection
from securetransport.core.base.errors import SecureTransportError, TransientError
from securetransport.core.ports.machine import FileFacts, HttpAnswer, Supervised

_MOST_BYTES: Final = 64 * 1024
_SUPERVISOR_SECONDS: Final = 2.0
_FROZEN: Final = ("T", "t")  # stopped by a signal, or by a debugger


class LocalMachine:
    """Implements ``Machine``."""

    def facts(self, path: Path) -> FileFacts | None:
        """Return what is known of a path, links followed; ``None`` when it does not exist."""
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise _refused("cannot look at path", path, error) from error
        return FileFacts(stat.S_IMODE(found.st_mode), found.st_uid == os.geteuid())

    def free(self, path: Path) -> tuple[int, int]:
        """Return the free bytes of a path's file system, and how many files may be made there."""
        try:
            found = os.statvfs(path)
        except OSError as error:
            raise _refused("cannot look at path", path, error) from error
        # Some file systems have no fixed number of files; they say 0 of 0.
        files = found.f_favail if found.f_files else 1 << 62
        return found.f_bavail * found.f_frsize, files

    def open_files(self) -> int:
        """Return how many files a process that this session starts may open at most."""
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        return limit if limit != resource.RLIM_INFINITY else 1 << 62

    def tail(self, path: Path, most_bytes: int) -> bytes:
        """Return the end of a file; empty when it is not there."""
        try:
            with path.open("rb") as file:
                file.seek(max(0, file.seek(0, os.SEEK_END) - most_bytes))
                return file.read(most_bytes)
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise _refused("cannot read file", path, error) from error

    def supervised(self, directory: Path) -> list[Supervised]:
        """Return what the supervisord of a folder keeps running."""
        return [_process(told) for told in _ask_supervisor(directory / "supervisor.sock")]

    def is_frozen(self, pid: int) -> bool:
        """Tell whether a signal keeps a process from running."""
        try:
            text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            return False
        # The command in parentheses may hold anything, so the state is found after it.
        return text.rpartition(")")[2].split()[:1] in [[letter] for letter in _FROZEN]

    async def get(
        self, url: str, *, ca_file: Path | None = None, timeout_seconds: float = 2.0
    ) -> HttpAnswer:
        """Ask an address over HTTP; over TLS ``ca_file`` says who is believed."""
        return await asyncio.to_thread(_get, url, ca_file, timeout_seconds)


def _refused(message: str, path: Path, error: OSError) -> SecureTransportError:
    return SecureTransportError(message, path=str(path), reason=error.strerror or str(error))


def _get(url: str, ca_file: Path | None, timeout_seconds: float) -> HttpAnswer:
    with requests.Session() as session:
        # Neither proxies nor CA bundles of the environment have a say here.
        session.trust_env = False
        try:
            with session.get(
                url,
                verify=str(ca_file) if ca_file else True,
                timeout=timeout_seconds,
                stream=True,
                allow_redirects=False,
            ) as answer:
                body = answer.raw.read(_MOST_BYTES, decode_content=True) or b""
                return HttpAnswer(answer.status_code, body, _date(answer.headers.get("Date")))
        except (requests.RequestException, OSError) as error:
            raise TransientError(_reason(error)) from error


def _reason(error: Exception) -> str:
    """Return the innermost reason of an error of the HTTP library, in one line."""
    text = str(error)
    for part in ("certificate verify failed: ", "Connection refused", "Read timed out"):
        place = text.find(part)
        if place >= 0:
            text = text[place:].removeprefix("certificate verify failed: ")
            break
    else:
        text = type(error).__name__
    return " ".join(text.partition("(_ssl")[0].strip(" )'\"").split())[:120].lower()


def _date(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None


# --- supervisord's own XML-RPC over its Unix socket ---------------------------------------------


def _ask_supervisor(path: Path) -> list[dict[str, Any]]:
    connection = UnixConnection(path, _SUPERVISOR_SECONDS)
    body = xmlrpc.client.dumps((), "supervisor.getAllProcessInfo")
    try:
        connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
        answer = connection.getresponse().read()
        # The socket is in a directory that belongs to this user alone.
        (told,), _ = xmlrpc.client.loads(answer)
    except (OSError, http.client.HTTPException) as error:
        reason = error.strerror if isinstance(error, OSError) else type(error).__name__
        raise TransientError(str(reason or error).lower()) from error
    except (ValueError, xmlrpc.client.Error) as error:
        raise TransientError("its answer is no list of processes") from error
    finally:
        connection.close()
    if not isinstance(told, list) or not all(isinstance(entry, dict) for entry in told):
        raise TransientError("its answer is no list of processes")
    return told


def _process(told: dict[str, Any]) -> Supervised:
    is_running = told.get("statename") == "RUNNING"
    uptime = float(told.get("now", 0)) - float(told.get("start", 0)) if is_running else 0.0
    return Supervised(
        name=str(told.get("name")),
        state=str(told.get("statename")),
        pid=int(told.get("pid", 0)),
        exit_code=int(told.get("exitstatus", 0)),
        uptime_seconds=uptime,
    )
