"""The channel on which the back-end asks and a driver of ours answers (SET_BACKEND_REQ_FD)."""

from __future__ import annotations

import socket
import threading

from dataplane.vhost import payload as p
from dataplane.vhost.connection import Connection, ProtocolError
from dataplane.vhost.message import Policy, Refused
from dataplane.vhost.talk import Talk

_OK, _FAILED = 0, 1


class Asked:
    """Serves until it is closed, or the back-end hangs up. `theirs` is the end for the back-end: whoever has
    given it away calls `given`."""

    def __init__(self, talk: Talk, protocol: int) -> None:
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.changed = threading.Event()  #: the configuration space says something else (CONFIG_CHANGE_MSG)
        self._talk = talk
        self._policy = Policy("backend", protocol)
        self._connection = Connection(ours, "backend")
        self._thread = threading.Thread(target=self._serve, name="vhost-user asked", daemon=True)

    def given(self) -> None:
        self.theirs.close()
        self._thread.start()

    def close(self) -> None:
        self._connection.hang_up()
        if self._thread.is_alive():
            self._thread.join(5.0)
        self.theirs.close()
        self._connection.close()

    def _serve(self) -> None:
        try:
            while (message := self._connection.recv()) is not None:
                self._talk.add("backend", message)
                refused = ""
                try:
                    self._policy.check(message)
                    if message.name == "CONFIG_CHANGE_MSG":
                        self.changed.set()
                    else:
                        refused = f"{message.name} is not served here"
                except Refused as error:
                    refused = str(error)
                finally:
                    message.close()
                if refused:
                    self._talk.note(refused, refused=True)
                if message.needs_reply:
                    reply = message.answer(p.U64(_FAILED if refused else _OK))
                    self._connection.send(reply)
                    self._talk.add("frontend", reply)
        except (ProtocolError, OSError) as error:
            self._talk.note(f"the back-end's channel: {error}")
