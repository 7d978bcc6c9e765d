"""Real SPARQL servers over RDF files, for the tests that are marked `service`."""

import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest
from servers import Server, free_port

SCRIPTS = Path(sys.executable).parent
GRAPH = "http://agentrl.example/graph"
VIRTUOSO = """
[Database]
DatabaseFile = {folder}/virtuoso.db
ErrorLogFile = {folder}/virtuoso.log
LockFile = {folder}/virtuoso.lck
TransactionFile = {folder}/virtuoso.trx
xa_persistent_file = {folder}/virtuoso.pxa
[TempDatabase]
DatabaseFile = {folder}/virtuoso-temp.db
TransactionFile = {folder}/virtuoso-temp.trx
[Parameters]
ServerPort = 127.0.0.1:{sql_port}
DirsAllowed = {folder}
NumberOfBuffers = 4000
MaxDirtyBuffers = 3000
MaxQueryMem = 256M
ThreadsPerQuery = 1
[HTTPServer]
ServerPort = 127.0.0.1:{port}
ServerRoot = {folder}
ServerThreads = 20
[SPARQL]
ResultSetMaxRows = {max_rows}
MaxQueryCostEstimationTime = 400
MaxQueryExecutionTime = 60
"""
RDFLIB = """
import sys, uvicorn
from rdflib import Graph
from rdflib_endpoint import SparqlEndpoint
graph = Graph()
for path in sys.argv[2:]:
    graph.parse(path)
uvicorn.run(SparqlEndpoint(graph=graph, path="/sparql"), host="127.0.0.1", port=int(sys.argv[1]))
"""

VIRTUOSO_PROGRAM = shutil.which("virtuoso-t") or "/usr/bin/virtuoso-t"
needs_oxigraph = pytest.mark.skipif(
    not (SCRIPTS / "oxigraph").exists(),
    reason="NOT CHECKED HERE: the oxigraph server is not installed: pip install oxigraph",
)
needs_virtuoso = pytest.mark.skipif(
    not Path(VIRTUOSO_PROGRAM).exists(),
    reason="NOT CHECKED HERE: Virtuoso is not installed: apt-get install virtuoso-opensource",
)
needs_rdflib = pytest.mark.skipif(
    find_spec("rdflib_endpoint") is None,
    reason="NOT CHECKED HERE: it is not installed: pip install rdflib-endpoint uvicorn",
)


class Running(str):
    """The URL of a running endpoint; `server` can be killed and started again."""

    server: Server
    health: str

    def kill(self):
        """End the server as a crash would."""
        self.server.kill()

    def start(self):
        """Start it again, with the same data at the same URL."""
        self.server.start(self.health)


@contextmanager
def running(command, port, folder, path, health):
    """A started server; an error shows what it printed."""
    server = Server([str(part) for part in command], port, Path(folder) / "server.log")
    address = Running(server.url + path)
    address.server, address.health = server, health
    try:
        address.start()
        yield address
    except BaseException as error:
        error.add_note(f"the server printed:\n{server.written()[-3000:]}")
        raise
    finally:
        server.kill()


@contextmanager
def oxigraph_server(files, *options):
    """An oxigraph server over RDF files: the URL of its endpoint."""
    with tempfile.TemporaryDirectory(prefix="oxigraph-") as folder:
        port, program = free_port(), SCRIPTS / "oxigraph"
        load = [program, "load", "--location", f"{folder}/data", "--file", *files]
        subprocess.run([str(part) for part in load], check=True, capture_output=True)
        command = [program, "serve", "--location", f"{folder}/data", "--bind", f"127.0.0.1:{port}"]
        with running([*command, *options], port, folder, "/query", "/") as address:
            yield address


@contextmanager
def rdflib_server(files):
    """An rdflib-endpoint server over RDF files: the URL of its endpoint."""
    with tempfile.TemporaryDirectory(prefix="rdflib-") as folder:
        port = free_port()
        command = [sys.executable, "-c", RDFLIB, port, *files]
        with running(command, port, folder, "/sparql", "/openapi.json") as address:
            yield address


@contextmanager
def virtuoso_server(files, max_rows=10_000):
    """A Virtuoso server over RDF files: the URL of its endpoint."""
    with tempfile.TemporaryDirectory(prefix="virtuoso-") as folder:
        port, sql_port = free_port(), free_port()
        settings = {"folder": folder, "port": port, "sql_port": sql_port, "max_rows": max_rows}
        config = Path(folder) / "v.ini"
        config.write_text(VIRTUOSO.format(**settings))
        for number, file in enumerate(files):
            shutil.copy(file, Path(folder) / f"data{number}{Path(file).suffix}")
        command = [VIRTUOSO_PROGRAM, "-f", "-c", config]
        with running(command, port, folder, "/sparql", "/sparql") as address:
            load(folder, sql_port)
            yield address


def load(folder, sql_port):
    """Have Virtuoso read the files of its folder, and write them to disk."""
    program = shutil.which("isql-vt") or "/usr/bin/isql-vt"
    statements = f"ld_dir('{folder}', 'data%', '{GRAPH}'); rdf_loader_run(); checkpoint;"
    command = [program, f"127.0.0.1:{sql_port}", "dba", "dba", f"exec={statements}"]
    for _ in range(50):  # its SQL port opens after its HTTP port
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if "Error" not in done.stdout + done.stderr:
            return
        time.sleep(0.2)
    raise RuntimeError(f"Virtuoso did not load its data: {done.stdout}{done.stderr}")
