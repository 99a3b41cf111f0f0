"""A real `lakegate quickstart` process for the client suites: started on free ports, waited for, stopped.

Nothing here imitates a gateway. `Gateway.start` returns after the process has printed its ready line, and leaves no
process behind, also when the start fails. Only the standard library is used, so that this file runs everywhere.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

# What quickstart prints after its snippets.
LAST_LINE = r"^Stop with Ctrl-C"

READY = re.compile(r"^ready flight=(?P<flight>grpc\S+) rest=(?P<rest>http\S+)")


class NotReady(RuntimeError):
    """The process ended, or printed no ready line before the deadline; the message carries its last words."""


@dataclass
class Gateway:
    """One running gateway: its addresses, its users, and what it has printed."""

    process: subprocess.Popen
    directory: Path
    admin: str
    log: Path
    flight: str = ""
    rest: str = ""
    lines: list[str] = field(default_factory=list)
    _printed: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False

    @classmethod
    @contextlib.contextmanager
    def start(cls, binary: str, directory: Path, scale: str, deadline_seconds: float,
              settings: dict[str, str] | None = None):
        """Yields a ready gateway over the lake in `directory`, which it makes on the first run; stops it afterwards.

        `settings` sets keys of the config, such as `limits.heartbeat`, by their variables.
        """
        directory.mkdir(parents=True, exist_ok=True)
        admin = f"127.0.0.1:{free_port()}"
        command = [binary, "quickstart", "--dir", str(directory), "--flight", "127.0.0.1:0",
                   "--rest", "127.0.0.1:0", "--ingest", "127.0.0.1:0", "--admin", admin, "--scale", scale]
        with cls._run(command, directory, admin, settings or {}, deadline_seconds) as gateway:
            yield gateway

    @classmethod
    @contextlib.contextmanager
    def serve(cls, binary: str, directory: Path, settings: dict[str, str], deadline_seconds: float = 60):
        """Yields a gateway of `lakegate serve` over the lake and the users of a quickstart in `directory`."""
        admin = f"127.0.0.1:{free_port()}"
        # One process writes a trail, and the quickstart may be running.
        trail = directory.with_name(f"{directory.name}-audit-{admin.rpartition(':')[2]}")
        listen = {"listen.flight": "127.0.0.1:0", "listen.rest": "127.0.0.1:0", "listen.admin": admin,
                  "audit.folder": str(trail)}
        command = [binary, "serve", "--config", str(directory / "gateway.toml")]
        with cls._run(command, directory, admin, listen | settings, deadline_seconds) as gateway:
            yield gateway

    @classmethod
    @contextlib.contextmanager
    def _run(cls, command: list[str], directory: Path, admin: str, settings: dict[str, str], deadline_seconds: float):
        log = directory.with_name(f"{directory.name}-{command[1]}.log")
        chosen = {f"LAKEGATE__{key.upper().replace('.', '__')}": value for key, value in settings.items()}
        with log.open("wb") as errors:
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                       env=os.environ | chosen)
        gateway = cls(process, directory, f"http://{admin}", log)
        reader = threading.Thread(target=gateway._read, daemon=True)
        reader.start()
        try:
            gateway._await_ready(time.monotonic() + deadline_seconds)
            yield gateway
        finally:
            gateway._stop()
            reader.join(timeout=10)

    def users(self) -> dict[str, str]:
        """User names and their passwords, as quickstart wrote them."""
        entries = json.loads((self.directory / "credentials.json").read_text())
        return {entry["user"]: entry["password"] for entry in entries}

    def await_printed(self, pattern: str, deadline_seconds: float = 30) -> list[str]:
        """All lines printed so far, once one of them matches `pattern`."""
        wanted = re.compile(pattern)
        deadline = time.monotonic() + deadline_seconds
        with self._printed:
            while not any(wanted.search(line) for line in self.lines):
                if self._ended or not self._printed.wait(deadline - time.monotonic()):
                    raise NotReady(f"nothing printed matches {pattern!r}:\n" + "\n".join(self.lines))
            return list(self.lines)

    def environment(self) -> dict[str, str]:
        """What a suite in another process needs to know, as environment variables."""
        printed = self.log.with_suffix(".stdout")
        with self._printed:
            printed.write_text("\n".join(self.lines) + "\n")
        return {"LAKEGATE_FLIGHT": self.flight, "LAKEGATE_REST": self.rest, "LAKEGATE_ADMIN": self.admin,
                "LAKEGATE_DIR": str(self.directory), "LAKEGATE_STDOUT": str(printed)}

    def _read(self) -> None:
        for raw in self.process.stdout:
            with self._printed:
                self.lines.append(raw.decode("utf-8", "replace").rstrip("\n"))
                self._printed.notify_all()
        with self._printed:
            self._ended = True
            self._printed.notify_all()

    def _await_ready(self, deadline: float) -> None:
        with self._printed:
            while True:
                for line in self.lines:
                    if match := READY.match(line):
                        self.flight, self.rest = match["flight"], match["rest"]
                        return
                remaining = deadline - time.monotonic()
                if self._ended or remaining <= 0:
                    why = "it ended" if self._ended else "the deadline passed"
                    raise NotReady(f"no ready line ({why}); stdout:\n" + "\n".join(self.lines)
                                   + "\nlog:\n" + self.log.read_text(errors="replace")[-4000:])
                self._printed.wait(remaining)

    def _stop(self) -> None:
        """Asks the process to drain as Ctrl-C does, then insists."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def free_port() -> int:
    """A port that was free a moment ago; for the one listener whose address quickstart does not print."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def binary() -> str:
    """The gateway under test: LAKEGATE_BIN, or the release build in the project's target folder."""
    default = cache() / "target"
    folder = Path(os.environ.get("CARGO_TARGET_DIR", default))
    return os.environ.get("LAKEGATE_BIN", str(folder / "release" / "lakegate"))


def cache() -> Path:
    """The project's cache folder."""
    if chosen := os.environ.get("LAKEGATE_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "lakegate"
