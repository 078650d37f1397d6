"""The cell: whatever a driver does in there is an outcome, and the next call works."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.cell import Cell, CellError, CellLimits, CellOutcome, Kind
from harness.cell_process import CellProcess

HERE = Path(__file__).parent


@pytest.fixture
def cell(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cell]:
    """A cell with small limits that finds the deeds."""
    monkeypatch.syspath_prepend(str(HERE))
    limits = CellLimits(
        memory_bytes=256 << 20, processes=16, file_bytes=8 << 20, output_bytes=10_000, message_bytes=1 << 20
    )
    with Cell(limits, virtual=True, hash_seed=5) as made:
        yield made


def do(cell: Cell, deed: str, wall_s: float | None = None, **arguments: Any) -> CellOutcome:
    """Let the cell do something."""
    return cell.call(f"deeds:{deed}", arguments, deed, wall_s)


def assert_works(cell: Cell) -> None:
    """The cell takes another call."""
    assert do(cell, "echo", ask=1).value == {"ask": 1}


def end_of_pipe(fd: int) -> bool:
    """Whether all processes that held the pipe's writing end are gone; waits for it, but not for ever."""
    ready, _, _ = select.select([fd], [], [], 20)
    return bool(ready) and os.read(fd, 1) == b""


@pytest.fixture
def fifo(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A named pipe, open for reading."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    yield str(path), fd
    os.close(fd)


@pytest.fixture
def crowded_core() -> Iterator[None]:
    """All that is started shares one core with three processes that never rest."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(mine)})
    crowd = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3)]
    yield
    os.sched_setaffinity(0, mine)
    for process in crowd:
        process.kill()
        process.wait()


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="the system does not tell how long tasks waited")
@pytest.mark.usefixtures("crowded_core")
def test_time_without_a_core_does_not_count(cell: Cell) -> None:
    """A call that needs most of its limit comes to its end on a core that it has to share; one that spins is ended."""
    assert do(cell, "work", wall_s=1.0, cpu_s=0.7).kind is Kind.RETURNED
    assert do(cell, "spin", wall_s=0.2).kind is Kind.HUNG


def test_value_comes_back(cell: Cell) -> None:
    """What the function returns comes back as it was."""
    value = {"text": "ä\n\u2028", "number": [1, 2.5, None, True], "nested": {"a": {}}}
    outcome = do(cell, "echo", **value)
    assert (outcome.kind, outcome.value, outcome.label) == (Kind.RETURNED, value, "echo")


def test_cell_is_warm(cell: Cell) -> None:
    """One process serves call after call, exceptions in between included."""
    first = do(cell, "process_id").value
    do(cell, "fail")
    do(cell, "sys_exit", code=1)
    assert do(cell, "process_id").value == first != os.getpid()


def test_hash_seed(cell: Cell) -> None:
    """The process hashes text with the seed that the cell was given."""
    with Cell(hash_seed=5) as same, Cell(hash_seed=6) as other:
        value = do(cell, "hash_of", text="x").value
        assert do(same, "hash_of", text="x").value == value
        assert do(other, "hash_of", text="x").value != value


def test_working_directory_imports(cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A vendor's module in the working directory is found, though the parent's import path does not have it."""
    (tmp_path / "acme_driver_module.py").write_text("")
    monkeypatch.chdir(tmp_path)
    assert do(cell, "add_import_path_module", name="acme_driver_module").value.startswith(str(tmp_path))


@pytest.mark.parametrize("deed", ["spin", "block"])
def test_hang(cell: Cell, deed: str) -> None:
    """A call that does not return is ended, and the outcome says where it stood."""
    outcome = do(cell, deed, wall_s=0.5)
    assert outcome.kind is Kind.HUNG
    assert "0.5 s" in outcome.message
    assert f"in {deed}" in outcome.traceback
    assert_works(cell)


def test_os_exit(cell: Cell) -> None:
    """`os._exit` is an outcome with its exit code and what was printed before."""
    outcome = do(cell, "leave", code=3)
    assert (outcome.kind, outcome.exit_code, outcome.stdout) == (Kind.EXITED, 3, "going\n")
    assert_works(cell)


@pytest.mark.parametrize(("code", "expected"), [(4, 4), (None, 0), ("no array", 1)])
def test_sys_exit(cell: Cell, code: Any, expected: int) -> None:
    """SystemExit out of a call counts as an exit, and does not end the process."""
    outcome = do(cell, "sys_exit", code=code)
    assert (outcome.kind, outcome.exit_code) == (Kind.EXITED, expected)
    assert "in sys_exit" in outcome.traceback


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM])
def test_killed(cell: Cell, number: signal.Signals) -> None:
    """A process that dies by a signal is an outcome that names it."""
    outcome = do(cell, "kill_self", number=int(number))
    assert (outcome.kind, outcome.signal) == (Kind.KILLED, number)
    assert number.name in outcome.message
    assert_works(cell)


def test_crash_shows_where(cell: Cell) -> None:
    """After a segmentation fault the outcome holds the Python stack."""
    assert "in kill_self" in do(cell, "kill_self", number=int(signal.SIGSEGV)).traceback


def test_raised(cell: Cell) -> None:
    """An exception is an outcome with its type, message and traceback."""
    outcome = do(cell, "fail")
    assert (outcome.kind, outcome.error_type, outcome.error) == (Kind.RAISED, "RuntimeError", "the array is on fire")
    assert "in fail" in outcome.traceback


def test_unspeakable_exception(cell: Cell) -> None:
    """An exception that can't describe itself is reported all the same."""
    outcome = do(cell, "fail_unspeakably")
    assert (outcome.kind, outcome.error_type) == (Kind.RAISED, "Unspeakable")


@pytest.mark.parametrize("deed", ["hoard", "hoard_natively"])
def test_memory(cell: Cell, deed: str) -> None:
    """Using up the memory is told apart from other deaths, in Python and in native code; a new process follows."""
    before = do(cell, "process_id").value
    assert do(cell, deed).kind is Kind.OUT_OF_MEMORY
    assert do(cell, "process_id").value != before


def test_output_is_captured_by_stream(cell: Cell) -> None:
    """What a call prints is kept with the call, apart for each stream, and not with the next."""
    outcome = do(cell, "say", out="hello", err="warning")
    assert (outcome.stdout, outcome.stderr, outcome.output) == ("hello\n", "warning\n", "hello\nwarning\n")
    assert do(cell, "echo").output == ""


def test_huge_output(cell: Cell) -> None:
    """A driver that prints 50 MB is neither blocked nor kept in memory; what is missing is counted."""
    outcome = do(cell, "chatter", lines=25_000)
    assert outcome.value == "done"
    assert len(outcome.stdout) < 11_000
    assert outcome.stdout.endswith(f"… {25_000 * 1000 - 10_000} bytes more were printed")


def test_standard_input_is_empty(cell: Cell) -> None:
    """Reading standard input ends at once."""
    assert do(cell, "read_stdin").value == ""


@pytest.mark.parametrize(
    "text", ["hello\n", "half a line", '{"type": "no such"}\n', "[1]\n", "\xff" * 3_000_000 + "\n"]
)
def test_garbage_on_the_channel(cell: Cell, text: str) -> None:
    """A driver that writes to the harness's descriptors gets an outcome of its own."""
    assert do(cell, "scribble", text=text).kind is Kind.GARBLED
    assert_works(cell)


def test_closed_channel(cell: Cell) -> None:
    """A driver that closes all descriptors is noticed."""
    outcome = do(cell, "close_everything")
    assert (outcome.kind, outcome.message) == (Kind.GARBLED, "wrote to the harness's own channel: it was closed")
    assert_works(cell)


@pytest.mark.parametrize(("deed", "arguments"), [("unserialisable", {}), ("bulky", {"size": 2 << 20}), ("absent", {})])
def test_no_answer_possible(cell: Cell, deed: str, arguments: dict[str, Any]) -> None:
    """A value that is no JSON, one that is too big, and a function that does not exist are told as exceptions."""
    assert do(cell, deed, **arguments).kind is Kind.RAISED
    assert_works(cell)


def test_closed_while_it_starts(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell that another thread closes while its process starts ends it, and does not go on to the call."""
    receive = CellProcess.receive

    def close_and_receive(process: CellProcess, deadline: float) -> dict[str, Any]:
        cell.close()
        return receive(process, deadline)

    monkeypatch.setattr(CellProcess, "receive", close_and_receive)
    with pytest.raises(CellError, match="could not be started"):
        do(cell, "process_id")


def test_arguments_that_are_no_json(cell: Cell) -> None:
    """Arguments that can't be sent are the caller's error."""
    with pytest.raises(ValueError, match="can't be sent"):
        do(cell, "echo", thing=object())


@pytest.mark.parametrize("outcome", ["hang", "exit", "return"])
def test_children_end_with_the_cell(cell: Cell, fifo: tuple[str, int], outcome: str) -> None:
    """Child processes end with the process that started them, whether it hung, exited or was closed."""
    path, fd = fifo
    do(cell, "breed", wall_s=3.0, path=path, outcome=outcome)
    if outcome == "return":
        cell.close()
    assert end_of_pipe(fd)
    assert_works(cell)


@pytest.mark.parametrize("outcome", ["hang", "exit", "return"])
def test_daemons_end_with_the_cell(cell: Cell, fifo: tuple[str, int], outcome: str) -> None:
    """A daemon in a session of its own ends with the cell, too, whether the process hung, exited or was closed."""
    path, fd = fifo
    do(cell, "escape", wall_s=1.0, path=path, outcome=outcome)
    if outcome == "return":
        cell.close()
    assert end_of_pipe(fd)
    assert_works(cell)


def test_daemons_end_with_the_parent(fifo: tuple[str, int]) -> None:
    """When the parent is killed, a daemon in a session of its own ends, too."""
    path, fd = fifo
    code = (
        "import sys; from harness.cell import Cell; cell = Cell(); sys.path.append(sys.argv[1]); "
        "cell.call('deeds:escape', {'path': sys.argv[2], 'outcome': 'return'}, 'x'); print('up', flush=True); "
        "cell.call('deeds:spin', {}, 'y')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(HERE), path], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    parent.kill()
    parent.communicate()
    assert end_of_pipe(fd)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_to_the_parent_process(cell: Cell, number: signal.Signals) -> None:
    """A signal that a driver sends to its parent process ends nothing."""
    assert do(cell, "signal_parent", number=int(number), answer=True).value == "alive"


def test_killing_the_parent_process(cell: Cell) -> None:
    """A driver that kills its parent process ends its own cell by it, and nothing else."""
    outcome = do(cell, "signal_parent", number=int(signal.SIGKILL), answer=False)
    assert (outcome.kind, outcome.signal) == (Kind.KILLED, signal.SIGKILL)
    assert_works(cell)


def test_stopping_the_parent_process(cell: Cell) -> None:
    """A driver that stops its parent process is ended in time all the same."""
    outcome = do(cell, "signal_parent", wall_s=0.5, number=int(signal.SIGSTOP), answer=False)
    assert outcome.kind is Kind.HUNG
    assert_works(cell)


def test_number_of_processes(cell: Cell) -> None:
    """A driver that starts process after process is ended with all of them, and the outcome says why."""
    outcome = do(cell, "multiply", count=40)
    assert outcome.kind is Kind.KILLED
    assert "processes, more than 16" in outcome.message
    assert_works(cell)


def test_memory_of_all_processes(cell: Cell) -> None:
    """Processes that hold too much memory together are ended, though each one keeps within its own limit."""
    outcome = do(cell, "hoard_together", count=4, megabytes=100)
    assert outcome.kind is Kind.OUT_OF_MEMORY
    assert "MiB together" in outcome.message
    assert_works(cell)


def test_size_of_files(cell: Cell, tmp_path: Path) -> None:
    """A driver that writes a file without end gets an error of its own at the limit, and the file stays below it."""
    path = tmp_path / "big"
    outcome = do(cell, "fill_file", path=str(path), size=64 << 20)
    assert (outcome.kind, outcome.error_type) == (Kind.RAISED, "OSError")
    assert path.stat().st_size <= 8 << 20
    assert_works(cell)


def test_temporary_files_end_with_the_cell(cell: Cell) -> None:
    """What a driver leaves where temporary files go is gone with its process, however deep it lies."""
    directory = do(cell, "leave_files", depth=1500).value
    assert Path(directory).is_dir()
    cell.close()
    assert not Path(directory).exists()


def test_temporary_files_end_with_the_parent(tmp_path: Path) -> None:
    """They are gone, too, when the parent is killed."""
    code = (
        "import sys; from harness.cell import Cell; cell = Cell(); sys.path.append(sys.argv[1]); "
        "print(cell.call('deeds:leave_files', {'depth': 1}, 'x').value, flush=True); cell.call('deeds:spin', {}, 'y')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(HERE)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    directory = parent.stdout.readline().strip()
    assert Path(directory).is_dir()
    keeper = int(Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()[0])
    handle = os.pidfd_open(keeper)
    parent.kill()
    parent.communicate()
    assert select.select([handle], [], [], 20)[0]
    assert not Path(directory).exists()


def test_forked_process_does_not_answer(cell: Cell) -> None:
    """A process that a driver forks, and that goes on as if it were the driver's own, answers no call."""
    for _ in range(3):
        assert do(cell, "fork_and_return").value == "parent"
    assert_works(cell)


def test_closed_standard_streams(cell: Cell) -> None:
    """A driver that closes the standard streams disturbs neither its own call nor the next."""
    assert do(cell, "close_standard_streams").kind is Kind.RETURNED
    assert_works(cell)


def test_death_between_calls(cell: Cell, tmp_path: Path) -> None:
    """A leftover thread that ends the process between calls costs no later call, which says what it found."""
    path = tmp_path / "trigger"
    os.mkfifo(path)
    pid = do(cell, "process_id").value
    do(cell, "die_later", path=str(path))
    path.write_bytes(b"!")
    with contextlib.suppress(ProcessLookupError):
        select.select([os.pidfd_open(pid)], [], [], 20)
    outcome = do(cell, "echo", ask=2)
    assert outcome.value == {"ask": 2}
    assert outcome.earlier == "after 'die_later' had returned, the process ended itself with exit code 9"


def test_closing_twice_and_reopening(cell: Cell) -> None:
    """Closing is harmless at any time, and a later call starts a new process."""
    cell.close()
    assert_works(cell)
    cell.close()
    cell.close()
    assert_works(cell)


def test_cell_dies_with_its_parent(fifo: tuple[str, int]) -> None:
    """When the parent is killed, the busy worker and its children end too."""
    path, fd = fifo
    code = (
        "import sys; from harness.cell import Cell; cell = Cell(); sys.path.append(sys.argv[1]); "
        "cell.call('deeds:breed', {'path': sys.argv[2], 'outcome': 'return'}, 'x'); print('up', flush=True); "
        "cell.call('deeds:spin', {}, 'y')"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(HERE), path], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"up\n"
    parent.kill()
    parent.communicate()
    assert end_of_pipe(fd)
