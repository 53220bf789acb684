"""The tables that the commands print."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from pipeline import console

MEDIA = ("video", "audio")


def print_training(result: Mapping[str, Any]) -> None:
    """A stage's counts, and its held-out losses from start to end."""
    table = _table(f"Stage {result['stage']}: held-out loss of the averaged weights", "step", *_loss_columns())
    for point in result["heldout"]:
        table.add_row(
            str(int(point["step"])),
            *(f"{point[name]:.3f}" for medium in MEDIA for name in (medium, f"{medium}_linear")),
        )
    console.err.print(table)
    console.err.print(
        f"{result['step']} of {result['steps']} steps, {result['samples']} samples, "
        f"{result['parameters'] / 1e6:.1f} M parameters, {result['seconds']} s, "
        f"{result['steps_per_s']} steps/s -> {result['checkpoint']}"
    )
    if result["skipped"] or result["rollbacks"]:
        console.err.print(
            f"{result['skipped']} steps skipped, {result['rollbacks']} times taken back: the samples are in "
            f"report/skipped-stage-{result['stage']}.jsonl"
        )


def print_evaluation(result: Mapping[str, Any]) -> None:
    """Losses beside the linear predictor's, per cell and over all."""
    table = _table(f"Stage {result['stage']}: held-out loss", "task", "class", *_loss_columns())
    for cell in result["cells"]:
        table.add_row(cell["task"], cell["class"], *_losses(cell))
    table.add_section()
    table.add_row("all", "", *_losses(result["overall"]))
    console.err.print(table)
    for medium in MEDIA:
        numbers = result["overall"][medium]
        console.err.print(
            f"{medium}: {numbers['loss']:.3f}; best linear predictor {numbers['linear_best']:.3f} fitted to these very "
            f"clips, {numbers['linear_expected']:.3f} on data with the training set's channel statistics",
            highlight=False,
        )
    if "before" in result:
        before = ", ".join(f"{medium} {result['before'][medium]:.3f}" for medium in MEDIA)
        console.err.print(f"the stage before ended at {before}")
    for key, reason in result["unreadable"].items():
        console.say(f"{key} ({reason})", "unreadable", "bold yellow")
    console.err.print(f"{result['samples']} clips in {result['seconds']} s")


def print_rebalance(result: Mapping[str, Any]) -> None:
    """Old weight, score, new weight and why, a row a capability."""
    title = f"Sampling weights for stage {result['next_stage']}"
    table = _table(title, "capability", "old", "score", "new", "x", "why")
    for change in result["changes"]:
        score = "-" if change["score"] is None else f"{change['score']:.3f}"
        table.add_row(
            change["capability"],
            f"{change['old']:.4f}",
            score,
            f"{change['new']:.4f}",
            f"{change['ratio']:.2f}",
            change["why"],
        )
    console.err.print(table)


def print_samples(result: Mapping[str, Any]) -> None:
    """The files made, a row each."""
    table = _table(f"Samples of stage {result['stage']} in {result['folder']}", "task", "file", "seconds", "prompt")
    for row in result["samples"]:
        prompt = " | ".join(f"{name}: {text}" for name, text in row["prompt"].items())
        table.add_row(row["task"], row["file"], f"{row['seconds']:.3f}", prompt[:120])
    console.err.print(table)
    console.err.print(f"{len(result['samples'])} samples in {result['seconds']} s")


def _loss_columns() -> list[str]:
    return [name for medium in MEDIA for name in (medium, f"{medium}, linear")]


def _losses(cell: Mapping[str, Any]) -> list[str]:
    numbers = (cell.get(medium) for medium in MEDIA)
    return [text for n in numbers for text in ((f"{n['loss']:.3f}", f"{n['linear']:.3f}") if n else ("", ""))]


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title)
    for i, column in enumerate(columns):
        numeric = i > 0 and column not in {"class", "why", "file", "prompt"}
        table.add_column(column, justify="right" if numeric else "left")
    return table
