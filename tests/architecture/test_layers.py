"""What import-linter cannot say: whole rooms against an allowlist, and rules about names in the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "idp"
GRAPH = grimp.build_graph("idp", include_external_packages=True, exclude_type_checking_imports=True)
SOURCES = sorted(PACKAGE.rglob("*.py"))


def reached(room: str) -> set[str]:
    """Everything a room imports, directly or through others, that is not Python itself."""
    inside = {room} | GRAPH.find_descendants(room)
    everything = set().union(*(GRAPH.find_upstream_modules(name) for name in inside)) | inside
    return {name for name in everything if name.partition(".")[0] not in sys.stdlib_module_names}


def rooms(modules: set[str]) -> set[str]:
    """Cut idp.jose.keys to idp.jose and leave other packages as they are."""
    return {".".join(name.split(".")[:2]) if name.startswith("idp.") else name for name in modules} - {"idp"}


def test_protocol_reaches_nothing_but_python():
    assert rooms(reached("idp.protocol")) == {"idp.protocol"}


def test_jose_reaches_protocol_and_its_two_libraries():
    assert rooms(reached("idp.jose")) <= {"idp.jose", "idp.protocol", "joserfc", "cryptography"}


def test_the_gateway_reaches_jose_protocol_and_its_servers():
    allowed = {"idp.gateway", "idp.jose", "idp.protocol", "joserfc", "cryptography", "uvicorn", "httptools"}
    assert rooms(reached("idp.gateway")) - allowed <= {"redis"}


def test_one_module_of_the_gateway_knows_redis_and_nothing_imports_it_at_the_start():
    assert GRAPH.find_modules_that_directly_import("redis") == {"idp.gateway.shared"}
    script = "import sys, idp.gateway.serve; print('redis' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "False"


def test_the_command_itself_needs_click_alone():
    assert GRAPH.find_modules_directly_imported_by("idp.cli") - set(sys.stdlib_module_names) == {"click"}


def imported(source: Path) -> set[tuple[str, str]]:
    """Pairs of module and name in `from module import name`."""
    tree = ast.parse(source.read_text("utf-8"))
    found = (node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom))
    return {(node.module or "", alias.name) for node in found for alias in node.names}


@pytest.mark.parametrize("name", ["current_app", "g"])
def test_only_services_reads_the_globals_of_flask(name):
    readers = [source.relative_to(ROOT).as_posix() for source in SOURCES if ("flask", name) in imported(source)]
    assert [reader for reader in readers if not reader.startswith("idp/demo/")] == ["idp/web/services.py"]


def test_no_module_is_a_drawer_for_everything():
    drawers = {"utils", "util", "helpers", "helper", "common", "misc", "base"}
    assert [source for source in SOURCES if source.stem in drawers] == []


def test_every_module_says_what_it_is():
    assert [source for source in SOURCES if not ast.get_docstring(ast.parse(source.read_text("utf-8")))] == []


def _functions(source: Path):
    tree = ast.parse(source.read_text("utf-8"))
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_functions_stay_short():
    long = [
        f"{source.relative_to(ROOT)}:{function.name}"
        for source in SOURCES
        if "migrations" not in source.parts
        for function in _functions(source)
        if (function.end_lineno or 0) - function.lineno > 50
    ]
    assert long == []


def test_files_stay_short():
    long = {
        source.relative_to(ROOT).as_posix(): lines
        for source in SOURCES
        if "migrations" not in source.parts and (lines := len(source.read_text("utf-8").splitlines())) > 300
    }
    assert long == {}
