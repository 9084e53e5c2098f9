"""`vrthinker web`, `worker` and `publisher`: the three processes of the backend, set up by environment variables."""

from __future__ import annotations

import typer

from backend.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Add the three commands."""
    for command in (web, worker, publisher):
        app.command()(command)


def web() -> None:
    """Serve the ML backend protocol to Label Studio on HOST and PORT. Needs Redis and the ledger's database.

    \b
    Examples:
      vrthinker web
      HOST=0.0.0.0 PORT=9091 vrthinker web

    \b
    Exit codes: 0 told to stop, 1 the ledger cannot be used, 2 a wrong setting, or the port is taken.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.server import serve

    serve(load_settings())


def worker() -> None:
    """Judge queued pairs with the model, up to BATCH at once. Needs Redis and access to the videos; one per GPU.

    \b
    Examples:
      vrthinker worker
      MODEL=qunwang13/vrthinker DEVICE=cuda:1 BATCH=4 vrthinker worker

    \b
    Exit codes: 0 told to stop, 1 Redis cannot be used, 2 a wrong setting, 5 the checkpoint cannot be loaded.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.worker import run_judge_worker

    run_judge_worker(load_settings())


def publisher() -> None:
    """Write results to the ledger and to Label Studio, and find lost work again. Needs no GPU.

    \b
    Examples:
      vrthinker publisher
      RECONCILE_INTERVAL_S=10 vrthinker publisher

    \b
    Exit codes: 0 told to stop, 1 Redis or the ledger cannot be used, 2 a wrong setting.
    """  # noqa: D301  # \b keeps the help's line breaks
    from backend.worker import run_publisher

    run_publisher(load_settings())
