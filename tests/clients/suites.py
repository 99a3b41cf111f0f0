"""Starts one gateway over a fresh lake, runs the Python and the Java suite against it, and removes what it made.

Called by tests/clients/run, which has found the tools. Both suites run, also when the first one fails.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow.flight as flight

from gateway import LAST_LINE, Gateway, NotReady, binary, cache

HERE = Path(__file__).resolve().parent
READY_SECONDS = 600
SUITE_SECONDS = 3600


def main(arguments: list[str]) -> int:
    """The exit code: 0 when every suite passed, 1 when one failed or the gateway did not come up."""
    only = {argument for argument in arguments if argument in ("--python", "--java")}
    rest = [argument for argument in arguments if argument not in ("--python", "--java")]
    # SIGTERM shall clean up as Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    home = Path(tempfile.mkdtemp(prefix="lakegate-clients-"))
    failed = False
    try:
        with Gateway.start(binary(), home / "lake", "0.1", READY_SECONDS) as gateway:
            gateway.await_printed(LAST_LINE)
            environment = os.environ | gateway.environment() | {"LAKEGATE_BIN": binary(), "LAKEGATE_TOKEN": token(gateway)}
            for name, command, folder in suites(rest):
                if only and name not in only:
                    continue
                failed |= not passed(name, command, folder, environment)
            if gateway.process.poll() is not None:
                print(f"the gateway ended with code {gateway.process.returncode} during the suites", file=sys.stderr)
                failed = True
        if failed:
            print("the gateway's log ends with:\n" + gateway.log.read_text(errors="replace")[-6000:], file=sys.stderr)
    except NotReady as error:
        print(error, file=sys.stderr)
        failed = True
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return int(failed)


def token(gateway: Gateway) -> str:
    """A bearer token of the viewer, as the handshake gives it; the Java suite logs in with it."""
    client = flight.FlightClient(gateway.flight)
    _, value = client.authenticate_basic_token("viewer", gateway.users()["viewer"])
    return value.decode().removeprefix("Bearer ")


def suites(arguments: list[str]) -> list[tuple[str, list[str], Path]]:
    """Name, command and folder of each suite; `arguments` go to pytest."""
    build = cache() / "clients" / "java"
    maven = ["mvn", "--batch-mode", "--no-transfer-progress", "--quiet", f"-Dlakegate.build={build}", "test"]
    pytest = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    return [("--python", pytest, HERE / "python"), ("--java", maven, HERE / "java")]


def passed(name: str, command: list[str], folder: Path, environment: dict[str, str]) -> bool:
    """Runs one suite to its end, with a limit; its whole process group ends with it."""
    print(f"== {name.removeprefix('--')} clients", flush=True)
    started = time.monotonic()
    suite = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        code = suite.wait(timeout=SUITE_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"no end after {SUITE_SECONDS} s", file=sys.stderr)
        end(suite)
        code = 1
    except BaseException:
        end(suite)
        raise
    print(f"== {name.removeprefix('--')} clients: {'passed' if code == 0 else 'FAILED'}"
          f" in {time.monotonic() - started:.0f} s", flush=True)
    return code == 0


def end(suite: subprocess.Popen) -> None:
    """Ends a suite and everything that it has started."""
    os.killpg(suite.pid, signal.SIGTERM)
    try:
        suite.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(suite.pid, signal.SIGKILL)
        suite.wait()


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(130)
