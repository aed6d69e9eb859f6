"""The processes that `up` starts again when they die or hang; the page, with both engines."""

import os
import sys
from collections.abc import Sequence
from functools import partial

from netgraft.app import check_port
from netgraft.errors import Unreachable
from netgraft.serving.local.child import Child
from netgraft.serving.local.probe import page_answers
from netgraft.settings import settings

END_SECONDS = 9.0
"""How long calls and checkpoints may take when netgraft is asked to end."""
PAGE = (sys.executable, "-m", "netgraft.ui", "--with-parent")


def page() -> Child:
    """Start the page."""
    command = (*PAGE, str(os.getpid()))
    answers = partial(page_answers, settings().web_url)
    return Child("page", command, answers, ("NETGRAFT_WEB_PORT", settings().web_port))


def check(children: Sequence[Child]) -> None:
    """Raise AddressInUse or Unreachable when one of them cannot be started (again)."""
    for child in children:
        if child.failed.is_set():
            check_port(*child.port)  # it has died: if its port is taken, that is why
            raise Unreachable(address=f"{settings().host}:{child.port[1]}")
