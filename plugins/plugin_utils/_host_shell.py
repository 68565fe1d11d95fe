# Copyright (c) 2026, redisops.tair contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this plugin util is **PRIVATE** to the collection. It can have breaking changes at any time.

"""Reading an AOF through a shell on its host, as another user where ``become`` says so.

Each request is one ``sh`` that gets a script of ``_host_scripts`` on its standard input, so nothing is left on the host,
no file name or password stands in a command line, and the login shell may be any. The answer starts at a marker of its
own: what rc files print before is skipped.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import select
import shlex
import subprocess
import time
import typing as t

from ansible_collections.redisops.tair.plugins.module_utils._aof.layout import MANIFEST_MAX_SIZE, MANIFEST_SUFFIX
from ansible_collections.redisops.tair.plugins.module_utils._errors import FetchError
from ansible_collections.redisops.tair.plugins.module_utils._text import shown
from ansible_collections.redisops.tair.plugins.plugin_utils._host import (
    Deadline,
    FileState,
    Found,
    Host,
    Process,
    SourceChangedError,
    Stream,
    require_digest,
    require_found,
    require_number,
    senseless,
)
from ansible_collections.redisops.tair.plugins.plugin_utils._host_scripts import COMMON, DIGEST, FIND, STATES, STREAM
from ansible_collections.redisops.tair.plugins.plugin_utils._host_stream import ShellStream
from ansible_collections.redisops.tair.plugins.plugin_utils._ssh import ConnectionLostError, SshConnection

_START_LIMIT = 1 << 16  # bytes of rc-file noise that are looked through for the marker
_LONGEST_LINE = 1 << 16  # bytes of an answer, more only where it is one of many files
_LONGEST_REASON = 1000  # characters
_LONGEST_STATE = 64  # bytes: an inode and a size
_LOGIN_WAIT = 30.0
_ANSWER_WAIT = 300.0  # seconds for any answer, and beside that a second for so many bytes to be hashed:
_SLOWEST_HASH = 1_000_000
_HASHED_AGAIN = (
    64_000_000  # bytes before an offset that the host reads again, rather than that all others are hashed twice here
)


class Become(t.Protocol):
    """What is used of an Ansible become plugin. It is asked for one command at a time."""

    name: str
    success: str

    def build_become_command(self, cmd: str, shell: t.Any) -> str:
        """The command line that runs ``cmd`` as the other account."""

    def get_option(self, option: str) -> t.Any:
        """An option's value; raises ``KeyError`` for one that it does not have."""

    def check_password_prompt(self, b_output: bytes) -> bool:
        """Whether the output asks for the password."""


class NoShellError(FetchError):
    """The account runs no commands; it may still have SFTP."""


class ShellHost(Host):
    """``start``: starts a command line; ``shell``: Ansible's shell plugin, which ``become`` wants."""

    def __init__(
        self, name: str, start: t.Callable[[str], Process], *, become: Become | None = None, shell: t.Any = None
    ) -> None:
        self.name = name
        self._start = start
        self._become = become
        self._shell = shell

    def reconnect(self) -> None:
        """Every request is a process of its own; whoever gave ``start`` has what is to be made again."""

    def close(self) -> None:
        """Nothing stays open between requests."""

    def find(self, path: str) -> Found:
        marker = _marker()
        deadline = Deadline(self.name, _ANSWER_WAIT)
        answer, rest, process = self._request(FIND, marker, deadline, src=path)
        end = f"{marker} end\n".encode()
        try:
            require_found(self.name, path, answer)
            content, at = bytearray(rest), rest.find(end)
            while at < 0:
                if len(content) > MANIFEST_MAX_SIZE + len(end):
                    raise senseless(self.name, f"a manifest of more than {MANIFEST_MAX_SIZE} bytes for {answer}")
                deadline.check()
                data = process.read()
                if not data:
                    raise ConnectionLostError(f"{self.name} sent only a part of {answer}")
                content += data
                at = content.find(end, max(0, len(content) - len(data) - len(end)))
        finally:
            process.close()
        return Found(answer, bytes(content[:at]) if answer.endswith(MANIFEST_SUFFIX) else None)

    def states(self, paths: t.Sequence[str]) -> list[FileState]:
        script = STATES % " ".join(shlex.quote(path) for path in paths)
        answer, _rest, process = self._request(script, longest=_LONGEST_LINE + _LONGEST_STATE * len(paths))
        process.close()
        numbers = answer.split()
        if len(numbers) != 2 * len(paths):
            raise senseless(self.name, f"the states of other files than the {len(paths)} asked for", answer)
        return [
            FileState(
                path, str(require_number(self.name, "an inode", inode)), require_number(self.name, "a size", size)
            )
            for path, inode, size in zip(paths, numbers[::2], numbers[1::2], strict=True)
        ]

    def digest(self, file: FileState, length: int) -> str:
        deadline = Deadline(self.name, _ANSWER_WAIT + length / _SLOWEST_HASH)
        answer, _rest, process = self._request(
            DIGEST, deadline=deadline, file=file.path, expected=file.inode, length=str(length)
        )
        process.close()
        return require_digest(self.name, answer) or super().digest(file, length)

    def stream(self, file: FileState, offset: int, packers: t.Sequence[str] = ()) -> Stream:
        marker = _marker()
        length = file.size - offset
        before = offset if offset <= _HASHED_AGAIN else 0
        packer, rest, process = self._request(
            STREAM,
            marker,
            file=file.path,
            expected=file.inode,
            before=str(before),
            offset=str(offset),
            length=str(length),
            packers=" ".join(packers),
        )
        if packer and packer not in packers:
            process.close()
            raise senseless(self.name, "the name of a compressor that was not asked for", packer)
        return ShellStream(process, marker, rest, length, file.path, self.name, packer=packer, whole=before == offset)

    def _request(
        self,
        script: str,
        marker: str = "",
        deadline: Deadline | None = None,
        *,
        longest: int = _LONGEST_LINE,
        **values: str,
    ) -> tuple[str, bytes, Process]:
        """Run a script: what it says after ``start``, what has come after that line, and the process to read on from."""
        marker = marker or _marker()
        values["id"] = marker
        assignments = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
        # In braces it is read to its end before anything of it runs.
        text = f"{{\n{assignments}{COMMON}{script}\nexit 0\n}}\n"
        process = self._login()
        try:
            process.send(text.encode("utf-8", "surrogateescape"))
            process.end_input()
            answer, rest = self._await_start(process, marker, deadline or Deadline(self.name, _ANSWER_WAIT), longest)
        except BaseException:
            process.close()
            raise
        return answer, rest, process

    def _login(self) -> Process:
        """A shell that waits for its script, as the user who may read the files."""
        if self._become is None:
            return self._start("sh -s")
        process = self._start(self._become.build_become_command("sh -s", self._shell))
        try:
            self._answer_prompt(process, self._become)
        except BaseException:
            process.close()
            raise
        return process

    def _answer_prompt(self, process: Process, become: Become) -> None:
        """The password goes out only when it is asked for: else the shell would take it for a command."""
        seen, answered = b"", False
        success = become.success.encode() + b"\n"  # sudo repeats the command line when it refuses it
        end = time.monotonic() + _LOGIN_WAIT
        while success not in seen:
            try:
                data = process.read()
            except ConnectionLostError as exc:
                raise self._become_failed(become, seen) from exc
            seen += data
            if not data or len(seen) > _START_LIMIT or time.monotonic() > end:
                raise self._become_failed(become, seen)
            if become.check_password_prompt(seen.rpartition(b"\n")[2]):
                password = become.get_option("become_pass")
                if answered or not password:
                    raise self._become_failed(become, seen)
                process.send(password.encode() + b"\n")
                seen, answered = b"", True

    def _become_failed(self, become: Become, seen: bytes) -> FetchError:
        told = _printable(seen)
        return FetchError(
            f"{self.name} can't become {become.get_option('become_user') or 'root'} by {become.name}: {told or 'no answer'}",
            todo="Check become_user and ansible_become_password, and that the login user may run /bin/sh by it (sudo -l)",
        )

    def _await_start(self, process: Process, marker: str, deadline: Deadline, longest: int) -> tuple[str, bytes]:
        """Return what follows ``start`` and all that came after that line. ``longest``: bytes that a line may have."""
        seen = b""
        tag = f"{marker} ".encode()
        while True:
            before, found, after = seen.partition(tag)
            if found and b"\n" in after[: longest + 1]:
                line, _newline, seen = after.partition(b"\n")
                word, _blank, rest = line.decode("utf-8", "surrogateescape").partition(" ")
                if word == "error":
                    raise self._explain(rest)
                if word == "start":
                    return rest, seen
                if word != "wait":
                    raise senseless(self.name, "an answer that does not exist", word)
                continue
            if found and len(after) > longest:
                raise senseless(
                    self.name, f"a line of more than {longest} bytes", after[:80].decode("utf-8", "replace")
                )
            if not found and len(before) > _START_LIMIT:
                raise FetchError(
                    f"{self.name} prints without end at login: {_printable(before)}",
                    todo="Let the account's rc files be silent when there is no terminal",
                )
            deadline.check()
            data = process.read()
            if not data:
                raise NoShellError(f"{self.name} runs no commands: {_printable(seen) or 'it printed nothing'}")
            seen += data

    def _explain(self, reason: str) -> FetchError:
        reason = shown(reason.removeprefix("ls: ").removeprefix("cannot access ").strip())[:_LONGEST_REASON]
        if "denied" in reason:
            return FetchError(
                f"{self.name} may not read the AOF: {reason}",
                todo="Set become: true (and become_user: redis, or root) for the task"
                if self._become is None
                else "Check become_user: it must be a user that may read the file and enter its directory",
            )
        if reason.endswith("replaced"):
            return SourceChangedError(f"On {self.name} a file was replaced: {reason}")
        return MissingFileError(
            f"{self.name} has no AOF there: {reason}", todo="Check src; aof_info tells where the AOF is"
        )


class MissingFileError(SourceChangedError):
    """A file is not there, or not any more."""


def _marker() -> str:
    return f"aof_fetch-{secrets.token_hex(8)}"


def _printable(output: bytes) -> str:
    """The end of what was printed, on one line."""
    text = " ".join(output.decode("utf-8", "replace").split())
    return "".join(char for char in text if char.isprintable())[-300:]


class LocalProcess:
    """A command on the control node."""

    def __init__(self, command: str, *, silence: float) -> None:
        self._silence = silence
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self._stdin = t.cast(t.IO[bytes], self._process.stdin)
        self._stdout = t.cast(t.IO[bytes], self._process.stdout)

    def send(self, data: bytes) -> None:
        with contextlib.suppress(BrokenPipeError):  # it has ended: reading shows what it said
            self._stdin.write(data)
            self._stdin.flush()

    def end_input(self) -> None:
        with contextlib.suppress(BrokenPipeError):
            self._stdin.close()

    def read(self) -> bytes:
        ready, _write, _error = select.select([self._stdout], [], [], self._silence)
        if not ready:
            raise ConnectionLostError(f"The control node's own shell printed nothing for {self._silence:g} s")
        return os.read(self._stdout.fileno(), 1 << 20)

    def close(self) -> None:
        self.end_input()
        self._stdout.close()  # it ends by itself when nobody reads it any more, under sudo too
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)


def local_host(become: Become | None, shell: t.Any, *, silence: float) -> ShellHost:
    return ShellHost(
        "the control node", lambda command: LocalProcess(command, silence=silence), become=become, shell=shell
    )


class SshShellHost(ShellHost):
    """A host behind an SSH connection, which ``connect`` makes again when it was lost."""

    can_pack = True

    def __init__(self, connect: t.Callable[[], SshConnection], *, become: Become | None, shell: t.Any) -> None:
        self._connect = connect
        self.connection = connect()
        super().__init__(str(self.connection), self._run, become=become, shell=shell)

    def _run(self, command: str) -> Process:
        return self.connection.run(command)

    def reconnect(self) -> None:
        self.connection.close()
        self.connection = self._connect()

    def close(self) -> None:
        self.connection.close()
