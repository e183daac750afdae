"""The `aws` command line without its start, which is most of what a command costs: a process that has it loaded, and
forks for each command.

`folder()` is to be first in PATH. Its `aws` hands its arguments, folder, environment and open files to that process, and
ends as the command does; test_deploy.py compares the two. Run as a program, this file is that process. It ends when its
standard input does: with the tests, however these end.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import io
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

# Without the search for packages Python starts in a hundredth of a second.
STUB = """#!{python} -IS
import _socket, os, sys
server = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
server.connect({address!r})
files = b"".join(number.to_bytes(4, sys.byteorder) for number in range(3))
server.sendmsg([b"-"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, files)])
variables = [name + b"=" + value for name, value in os.environb.items()]
server.sendall(b"\\0".join([os.getcwdb(), b"%d" % len(sys.argv), *map(os.fsencode, sys.argv), *variables]))
server.shutdown(_socket.SHUT_WR)
# Nothing comes where that process has ended.
os._exit((server.recv(1) or b"\\xff")[0])
"""
# Their descriptions are read before the first command.
SERVICES = ("autoscaling", "cloudformation", "cloudwatch", "codedeploy", "dynamodb", "s3", "sts")


@functools.cache
def folder() -> Path:
    """A folder with the command in it, one for all tests of a process."""
    server = subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    atexit.register(server.communicate)
    return Path(server.stdout.readline().rstrip("\n"))


def serve() -> None:
    """Starts a command for each that asks, and says how it ended, until standard input ends."""
    folder = tempfile.mkdtemp(prefix="temp-ingest-aws-")
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        address = f"{folder}/socket"
        listener.bind(address)
        listener.listen(64)
        command = Path(folder, "aws")
        command.write_text(STUB.format(python=sys.executable, address=address))
        command.chmod(0o755)
        print(folder, flush=True)
        selector.register(sys.stdin, selectors.EVENT_READ)
        selector.register(listener, selectors.EVENT_READ)
        while sys.stdin not in (ready := [key.fileobj for key, _ in selector.select()]):
            for one in ready:
                if one is listener:
                    start(listener.accept()[0], selector)
                else:
                    end(selector.unregister(one))
    shutil.rmtree(folder)


def start(connection: socket.socket, selector: selectors.BaseSelector) -> None:
    if child := os.fork():
        selector.register(os.pidfd_open(child), selectors.EVENT_READ, (child, connection))
        return
    become(connection)
    try:
        sys.exit(awscli.clidriver.main())
    except SystemExit as ended:
        sys.stdout.flush()
        # Without taking apart all that was loaded.
        os._exit(int(ended.code or 0))


def end(key: selectors.SelectorKey) -> None:
    child, connection = key.data
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(key.fd)
    with connection, contextlib.suppress(BrokenPipeError):
        connection.send(bytes([code if code >= 0 else 128 - code]))


def become(connection: socket.socket) -> None:
    """Makes this process what the one that asks would be."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    _, files, *_ = socket.recv_fds(connection, 1, 3)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    folder, count, *words = b"".join(iter(lambda: connection.recv(1 << 16), b"")).split(b"\0")
    os.chdir(folder)
    sys.argv = [os.fsdecode(word) for word in words[:int(count)]]
    # Set as it was loaded: where its descriptions of services are.
    data = os.environ["AWS_DATA_PATH"]
    os.environb.clear()
    os.environb.update(word.split(b"=", 1) for word in words[int(count):])
    os.environ["AWS_DATA_PATH"] = data


def load() -> None:
    """What each command would do first: imports, and descriptions of services, which are kept for all of them."""
    botocore.hooks.accepts_kwargs = functools.cache(botocore.hooks.accepts_kwargs)
    botocore.session.create_loader = functools.cache(botocore.session.create_loader)
    driver = awscli.clidriver.create_clidriver()
    for service in SERVICES:
        driver.session.create_client(service, "eu-central-1", aws_access_key_id="-", aws_secret_access_key="-")
    with contextlib.redirect_stdout(io.StringIO()):
        # Asks nobody.
        driver.main(["cloudformation", "describe-stacks", "--generate-cli-skeleton"])
    gc.collect()
    gc.freeze()


if __name__ == "__main__":
    import awscli.clidriver
    import botocore.hooks
    import botocore.session

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    load()
    serve()
