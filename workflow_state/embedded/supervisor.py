"""Hold one server process and end it when the process that wanted it is gone, however that went.

``server.py`` runs this file as a script of its own, not as a module of the package: it imports the standard
library alone, so that a server is up in a tenth of a second and does not wait for Celery's imports.

The parent is watched in two ways. It holds the writing end of our standard input, which the kernel closes
when the parent dies, also by ``kill -9``; and because a process that the parent forked may have inherited
that end, our parent process id is looked at twice a second too. The kernel's own way, ``PR_SET_PDEATHSIG``,
is not used towards the parent: it follows the *thread* that started us. Towards the server it is, because
this process has one thread only; so on Linux the server does not outlive a killed supervisor either.

Arguments: the parent's process id; a directory to remove when the parent is gone, or ""; the server command.
Standard output: the server's process id, one line. Standard error: the log, where the server's output goes.
Standard input: the line ``stop`` ends the server and leaves the directory; end of file removes that as well.
"""

from __future__ import annotations

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys

PARENT_CHECK = 0.5
"""Seconds between two looks at the parent's process id."""

STOP_GRACE = 8.0
"""Seconds a server has to write its files after SIGTERM, before SIGKILL."""

ENDING_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})

PR_SET_PDEATHSIG = 1


def die_with_supervisor(supervisor: int) -> None:
    """In the server's process, before it becomes the server: ask the kernel to end it with its supervisor."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != supervisor:  # it died before the request above was made
        os._exit(1)


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start the server with our standard error as its log and nothing of the parent's open."""
    supervisor = os.getpid()
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        stderr=sys.stderr.fileno(),
        preexec_fn=lambda: die_with_supervisor(supervisor),
    )


def wake_on_signals() -> int:
    """Turn SIGCHLD and the ending signals into bytes on a pipe: one ``select`` waits for everything."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, *ENDING_SIGNALS):
        signal.signal(number, lambda *_: None)
    return reader


def watch(server: subprocess.Popen[bytes], parent: int, wakeups: int) -> bool:
    """Wait for the server's end, a word from the parent, its end, or an ending signal.

    Returns:
        Whether the parent is still there.
    """
    stdin = sys.stdin.fileno()
    while server.poll() is None:
        ready, _, _ = select.select([stdin, wakeups], [], [], PARENT_CHECK)
        if stdin in ready:
            return os.read(stdin, 64) != b""
        if os.getppid() != parent:
            return False
        if wakeups in ready and not ENDING_SIGNALS.isdisjoint(os.read(wakeups, 64)):
            return True
    return True


def end(server: subprocess.Popen[bytes]) -> None:
    """Let the server write its files, then end it by force."""
    if server.poll() is None:
        server.terminate()
    try:
        server.wait(STOP_GRACE)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def main(arguments: list[str]) -> int:
    """Run one server; the exit code is the server's."""
    parent, temporary_dir, *command = arguments
    wakeups = wake_on_signals()
    server = start(command)
    try:
        sys.stdout.write(f"{server.pid}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the parent died while we were starting
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    parent_is_there = watch(server, int(parent), wakeups)
    end(server)
    if temporary_dir and not parent_is_there:
        shutil.rmtree(temporary_dir, ignore_errors=True)
    return server.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
