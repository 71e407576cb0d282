"""LLVM's text as machine code of this computer, kept on disk."""

from __future__ import annotations

import functools
import hashlib
import warnings
from pathlib import Path
from typing import Any

import llvmlite.binding as llvm

from actc.files import FileError, write_atomically

#: Bytes of the checksum in front of what is kept.
_SUM = 32


class Library:
    """The functions that a module in LLVM's text defines, as addresses, as long as this object lives."""

    def __init__(self, text: str) -> None:
        # The text alone does not say for which processor it is compiled, nor by which LLVM.
        name = hashlib.sha256(f"{_here()}\n{text}".encode()).hexdigest()[:32]
        path = cache_folder() / f"{name}.o"
        binary = _read(path)
        if binary is None:
            binary = _compiled(text)
            _keep(path, binary)
        # An engine owns its machine.
        self._engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), _machine())
        self._engine.add_object_file(llvm.ObjectFileRef.from_data(binary))
        self._engine.finalize_object()

    def address(self, function: str) -> int:
        """Where a function of the module begins."""
        found: int = self._engine.get_function_address(function)
        return found


@functools.cache
def vectors() -> tuple[int, bool]:
    """How many float32 numbers are worked on at a time, and whether one instruction computes y·2^n.

    Two vectors of the widest kind: what is done to one does not wait for the other.
    """
    wide = bool(llvm.get_host_cpu_features().get("avx512f"))
    return (32 if wide else 16), wide


def cache_folder() -> Path:
    """Where machine code is kept."""
    return Path.home() / ".cache" / "actc" / "machine_code"


@functools.cache
def _here() -> str:
    """What machine code depends on beside its source."""
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return f"{llvm.llvm_version_info} {llvm.get_default_triple()} {cpu} {features}"


def _machine() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    cpu, features = llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten()
    return llvm.Target.from_default_triple().create_target_machine(cpu=cpu, features=features, opt=2, jit=True)


def _compiled(text: str) -> bytes:
    machine = _machine()
    module = llvm.parse_assembly(text)
    module.triple = llvm.get_default_triple()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
    passes = llvm.create_new_module_pass_manager()
    # Straight lines in a loop: there is nothing to inline, unroll or vectorise.
    passes.add_instruction_combine_pass()
    passes.run(module, builder)
    binary: bytes = machine.emit_object(module)
    return binary


def _read(path: Path) -> bytes | None:
    """What was kept there, if it is whole: LLVM trusts what it is given."""
    try:
        kept = path.read_bytes()
    except OSError:
        return None
    binary = kept[_SUM:]
    return binary if hashlib.sha256(binary).digest() == kept[:_SUM] else None


def _keep(path: Path, binary: bytes) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomically(path, hashlib.sha256(binary).digest() + binary)
    except (OSError, FileError) as error:
        _say_once(f"machine code is not kept between processes: {error}")


@functools.cache
def _say_once(message: str) -> None:
    warnings.warn(message, stacklevel=2)
