"""An application that is never loaded: a test stops the server meanwhile."""

import threading

print("loading", flush=True)
threading.Event().wait(60)
app = None
