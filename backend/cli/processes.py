"""`vrthinker web`, `worker` and `publisher`: the three processes of the backend, set up by environment variables."""

from __future__ import annotations

import typer

from backend.settings import load_settings


def add_to(app: typer.Typer) -> None:
    """Add the three commands."""
    for command in (web, worker, publisher):
        app.command()(command)


def web() -> None:
    """Serve the ML backend protocol to Label Studio on HOST and PORT. Needs Redis and the ledger's database."""
    from backend.server import serve

    serve(load_settings())


def worker() -> None:
    """Judge queued pairs with the model, up to BATCH at once. Needs Redis and access to the videos; one per GPU."""
    from backend.worker import run_judge_worker

    run_judge_worker(load_settings())


def publisher() -> None:
    """Write results to the ledger and to Label Studio, and find lost work again. Needs no GPU."""
    from backend.worker import run_publisher

    run_publisher(load_settings())
