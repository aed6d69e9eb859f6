"""`python -m netgraft.ui`: serve the gateway until SIGTERM or SIGINT."""

import logging
import os
import signal
import socket
import sys

from netgraft.errors import AddressInUse
from netgraft.parent import end_with_parent
from netgraft.settings import settings


def main() -> int:
    """Serve, and return the exit status: 0 after a signal, 1 if the port is taken."""
    if sys.argv[1:2] == ["--with-parent"]:
        end_with_parent(int(sys.argv[2]), signal.SIGKILL)  # nothing of it is worth a delay
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read by Gradio when it is imported
    logging.basicConfig(level=settings().log_level, format="%(levelname)s %(name)s: %(message)s")
    for chatty in ("httpx", "uvicorn.error"):
        logging.getLogger(chatty).setLevel("WARNING")
    try:
        listener = listen(settings().host, settings().web_port)
    except AddressInUse as error:
        sys.stderr.write(f"{error}\n")
        return 1
    from netgraft.ui.gateway import application
    from netgraft.ui.serve import serve

    serve(application(), listener)
    return 0


def listen(host: str, port: int) -> socket.socket:
    """Return a bound socket. Raises AddressInUse."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise AddressInUse(port=port, variable="NETGRAFT_WEB_PORT") from error
    return listener


if __name__ == "__main__":
    sys.exit(main())
