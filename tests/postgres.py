"""A real PostgreSQL for tests that are marked `service`: the system's package, as its own user."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: len(str(path)))
SETTINGS = {"listen_addresses": "127.0.0.1", "fsync": "off", "max_connections": "40"}
START_SECONDS = 60
USER = "agentrl"
needs_postgres = pytest.mark.skipif(
    not PROGRAMS, reason="NOT CHECKED HERE: PostgreSQL is not installed: apt-get install postgresql"
)


def unprivileged():
    """Options of subprocess for whoever runs the server, which refuses root."""
    if os.getuid() != 0:
        return {}
    known = {entry.pw_name for entry in pwd.getpwall()}
    account = pwd.getpwnam("postgres" if "postgres" in known else "nobody")
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


@contextmanager
def postgres_server():
    """A server with an empty database: its URL. Loopback only, and gone afterwards."""
    folder, options = tempfile.mkdtemp(prefix="postgres-"), unprivileged()
    os.chown(folder, options.get("user", -1), options.get("group", -1))
    port, bin = free_port(), PROGRAMS[-1]
    settings = {**SETTINGS, "port": port, "unix_socket_directories": folder}
    flags = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    setup = ["-D", f"{folder}/data", "-U", USER, "--auth=trust", "-E", "UTF8", "--locale=C", "-N"]
    quiet = {"cwd": folder, "stdin": subprocess.DEVNULL, "capture_output": True, **options}
    subprocess.run([bin / "initdb", *setup], check=True, **{**quiet, "stdin": None})
    with open(f"{folder}/log", "wb") as log:
        out = {"cwd": folder, "stdout": log, "stderr": log, **options}
        server = subprocess.Popen([bin / "postgres", "-D", f"{folder}/data", *flags], **out)
    try:
        wait_for(server, port, Path(folder) / "log")
        yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
    finally:
        server.terminate() if server.poll() is None else None
        server.wait(30)
        shutil.rmtree(folder)


def wait_for(server, port, log):
    """Wait until the server takes connections."""
    import psycopg

    until = time.monotonic() + START_SECONDS
    while True:
        try:
            return psycopg.connect(f"postgresql://{USER}@127.0.0.1:{port}/postgres").close()
        except psycopg.OperationalError:
            if server.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"PostgreSQL did not start:\n{log.read_text()}") from None
            time.sleep(0.1)


def fresh_database(url, number):
    """A new database of the server: its URL."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE journal{number}")
    return url.rpartition("/")[0] + f"/journal{number}"


def free_port():
    """A port that nobody listens to."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
