"""`python -m tally_server`, and the command `tally`."""

import sys


def main() -> int:
    """Run the command line; return the exit status."""
    try:
        import signal

        # Until the server handles it, Ctrl-C would print where in the imports it came.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
    except KeyboardInterrupt:
        return 130
    from .main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
