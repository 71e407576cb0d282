"""The house: its layout, its rules about who may import whom, and the package that it is shipped as."""

import ast
import os
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

import pytest

import actc

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("kernels", "init", "search")
FACES = {"actc", "actc.cli", "actc.__main__"}
HEAVY = {"flint", "llvmlite", "matplotlib", "mpmath", "scipy", "sklearn", "sympy", "torch", "triton"}
DISTRIBUTION = {"flint": "python-flint", "sklearn": "scikit-learn"}


def python(code: str, **environment: str) -> str:
    """Standard output of `code` run by a fresh interpreter that does not look in the working directory."""
    return run([sys.executable, "-P", "-c", code], **environment)


def run(command: list[str], **environment: str) -> str:
    result = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def tracked() -> list[Path]:
    """The files under version control; the test is skipped outside a checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    return [ROOT / name for name in run(["git", "-C", str(ROOT), "ls-files", "-z"]).split("\0") if name]


def modules() -> dict[str, Path]:
    """Module name → source file, for everything that is shipped."""
    found = {}
    for folder, package in [("actc", "actc"), *((room, f"actc.{room}") for room in ROOMS)]:
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = [package, *path.relative_to(ROOT / folder).with_suffix("").parts]
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


def imports(path: Path, module: str) -> Iterator[str]:
    """Every module that a source file imports anywhere, by its absolute name."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            for alias in node.names:
                yield f"{base}.{alias.name}" if f"{base}.{alias.name}" in modules() else base


def test_importing_actc_is_light() -> None:
    loaded = python("import sys, actc; print(*{name.partition('.')[0] for name in sys.modules})").split()
    assert not HEAVY & set(loaded)


def test_importing_actc_is_quick() -> None:
    # CPU time, and the best of several: neither a busy machine nor a cold disk decides.
    code = "import time; start = time.process_time(); import actc; print(time.process_time() - start)"
    assert min(float(python(code)) for _ in range(5)) < 0.3


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_are_relative_links(room: str) -> None:
    link = ROOT / "actc" / room
    assert link.is_symlink()
    assert os.readlink(link) == os.path.join("..", room)


@pytest.mark.parametrize("room", ROOMS)
def test_rooms_refuse_their_short_names(room: str) -> None:
    message = python(f"try: import {room}\nexcept ImportError as error: print(error)", PYTHONPATH=str(ROOT))
    assert f"actc.{room}" in message


def test_each_room_imports_only_what_it_may() -> None:
    may_import = {
        "actc": set[str](),
        "actc.kernels": {"actc.kernels"},
        "actc.init": {"actc.kernels", "actc.init"},
        "actc.search": {"actc.kernels", "actc.init", "actc.search"},
    }
    rooms = set(may_import) - {"actc"}
    for module, path in modules().items():
        if module in FACES:
            continue
        room = next((room for room in rooms if f"{module}.".startswith(f"{room}.")), "actc")
        for name in imports(path, module):
            assert name not in FACES, f"{module} imports a face: take the name from the module that defines it"
            if room == "actc":
                assert name.partition(".")[0] not in {"torch", "triton", "llvmlite"}, f"{module} imports {name}"
            for other in rooms - may_import[room]:
                assert not f"{name}.".startswith(f"{other}."), f"{module} imports {name}"


def test_nothing_imports_a_room_by_its_short_name() -> None:
    for module, path in modules().items():
        assert not {name.partition(".")[0] for name in imports(path, module)} & set(ROOMS), module


def test_no_module_bears_the_name_of_something_public() -> None:
    submodules = {name.split(".")[1] for name in modules() if name != "actc"}
    assert not submodules & set(getattr(actc, "__all__", ())) - set(ROOMS)


def test_every_import_is_a_declared_dependency() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    requirements = project["dependencies"] + [r for extra, names in extras.items() if extra != "dev" for r in names]
    declared = {requirement.partition(";")[0].partition(">")[0].strip() for requirement in requirements}
    for module, path in modules().items():
        for name in imports(path, module):
            top = name.partition(".")[0]
            assert top in sys.stdlib_module_names or top == "actc" or DISTRIBUTION.get(top, top) in declared, (
                f"{module} imports {top}, which pyproject.toml does not name"
            )


def test_the_changelog_begins_with_this_version() -> None:
    lines = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [line for line in lines if line.startswith("## ")]
    assert headings[0].startswith(f"## [{actc.__version__}]")


def test_no_file_names_this_machine() -> None:
    places = {str(ROOT) + os.sep, str(Path.home()) + os.sep} - {os.sep, os.sep * 2}
    registries = {"index" + "-url", "find" + "-links", "trusted" + "-host"}
    for path in tracked():
        if path.is_symlink() or not path.is_file():
            continue
        text = path.read_bytes().decode("utf-8", errors="ignore")
        assert not [place for place in places | registries if place in text], path


def test_the_wheel_is_whole(tmp_path: Path) -> None:
    """Built by way of the source distribution, it holds every tracked file of the rooms, and works alone."""
    shipped = {path.relative_to(ROOT) for path in tracked() if not path.is_symlink()}
    expected = {path.as_posix() for path in shipped if path.parts[0] == "actc"}
    expected |= {f"actc/{path.as_posix()}" for path in shipped if path.parts[0] in ROOMS}

    run([sys.executable, "-P", "-m", "build", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(ROOT)])
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    about = f"actc-{actc.__version__}.dist-info"
    with zipfile.ZipFile(wheel) as archive:
        assert {name for name in archive.namelist() if not name.startswith(f"{about}/")} == expected
        assert message_from_bytes(archive.read(f"{about}/METADATA"))["Version"] == actc.__version__
        archive.extractall(tmp_path / "site")
    code = "import actc, actc.kernels, actc.init, actc.search; print(actc.__file__)"
    where = python(code, PYTHONPATH=str(tmp_path / "site")).strip()
    assert Path(where) == tmp_path / "site" / "actc" / "__init__.py"
