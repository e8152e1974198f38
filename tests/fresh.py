"""Python programs in processes of their own, spared the seconds that torch and its like take to import.

A process that has imported what is slow, and nothing of trainsmith, forks for each program and becomes it. As of
`python -c` the program begins with an empty `__main__`, its folder first on the path.
"""

import atexit
import gc
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Iterator
from pathlib import Path

SLOW = ("torch", "torch._dynamo", "sklearn.datasets", "matplotlib.figure", "matplotlib.backends.backend_svg")


class Program:
    """One that runs, or has run: like subprocess.Popen, and at its end like what subprocess.run returns."""

    def __init__(self, server: "Server", pid: int, folder: Path) -> None:
        self.server, self.pid, self.folder = server, pid, folder
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self.server.ask({"poll": self.pid})
        return self.returncode

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        limit = time.monotonic() + timeout
        while self.poll() is None:
            assert time.monotonic() < limit, "the program does not end"
            time.sleep(0.005)
        self.stdout, self.stderr = ((self.folder / name).read_text() for name in ("stdout", "stderr"))
        return self.stdout, self.stderr


class Server:
    """Starts programs."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.place = tempfile.TemporaryDirectory()
        self.count = 0

    def ask(self, request: dict[str, object]) -> int | None:
        if self.process is None:
            command = [sys.executable, __file__]
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            atexit.register(self.close)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        answer: int | None = json.loads(self.process.stdout.readline())
        return answer

    def start(self, code: str, *arguments: str, cwd: Path) -> Program:
        """`python -c code arguments` in this folder, in a session of its own."""
        self.count += 1
        folder = Path(self.place.name) / str(self.count)
        folder.mkdir()
        asked = {"code": code, "arguments": arguments, "cwd": str(cwd), "folder": str(folder)}
        pid = self.ask(asked)
        assert pid is not None
        return Program(self, pid, folder)

    def run(self, code: str, *arguments: str, cwd: Path) -> Program:
        """The same, when it has ended."""
        program = self.start(code, *arguments, cwd=cwd)
        program.communicate()
        return program

    def close(self) -> None:
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
            self.process.wait()
        self.place.cleanup()


def _served() -> Iterator[dict[str, object]]:
    """What is to become a program, in a process of its own."""
    for line in sys.stdin:
        asked = json.loads(line)
        if "poll" in asked:
            pid, status = os.waitpid(asked["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        elif (answer := os.fork()) == 0:
            yield asked
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


def _becomes(folder: str, cwd: str, arguments: list[str]) -> types.ModuleType:
    os.setsid()
    os.chdir(cwd)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, name in ((1, "stdout"), (2, "stderr")):
        os.dup2(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_CREAT), number)
    sys.argv, sys.path[0] = ["-c", *arguments], ""
    sys.modules["__main__"] = types.ModuleType("__main__")
    return sys.modules["__main__"]


def _ended(code: str, main: types.ModuleType) -> int:
    """Runs the program as its `__main__`; what it exits with."""
    try:
        exec(compile(code, "<string>", "exec"), vars(main))
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    for name in SLOW:
        __import__(name)
    gc.freeze()  # so that no program's collection touches, and thereby copies, all that was imported
    asked = next(_served(), None)
    if asked is not None:
        code = asked.pop("code")
        exits = _ended(code, _becomes(**asked))
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        os._exit(exits)  # Python would take all that was imported apart, which takes longer than most programs
