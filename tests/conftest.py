"""What every test may count upon."""

import signal

# Ctrl-C interrupts what a test starts. Where a shell runs pytest in the background it is ignored, by its children too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
