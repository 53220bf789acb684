"""The plan as tables for people, and the error that refuses one."""

from collections.abc import Mapping
from typing import Any

from manifests.errors import ConfigError
from pipeline import console


def show_plan(plan: Mapping[str, Any]) -> None:
    """Parameters, FLOPs, memory, traffic and time."""
    items = plan["parameters"]["items"] | {"all": plan["parameters"]["total"]}
    console.rows("Parameters", ["part", "millions"], [[name, round(n / 1e6, 2)] for name, n in items.items()])
    body = [_clip_row(clip, task) for clip in plan["clips"] for task in clip["flops"]]
    console.rows(
        "A sample: forward and backward", ["clip", "task", "tokens", "TFLOP", "attention, %", "ffn and qkv, %"], body
    )
    console.rows("Laid out over", ["what", "value"], [[name, str(value)] for name, value in plan["layout"].items()])
    _sized(f"Memory of one {plan['gpu']['name']}", plan["memory"], 2**30, "GiB")
    _sized("A GPU receives in a step", plan["communication"], 1e9, "GB")
    _show_step(plan["step"], "A step of " + str(plan["step"]["tokens"]) + " tokens")
    if plan["after"]:
        _show_step(plan["after"]["step"], "The same with " + " ".join(plan["change"]))
    console.rows("Assumed: time is an estimate, not a measurement", ["of", "what"], [*plan["assumed"].items()])


def refusal(plan: Mapping[str, Any]) -> ConfigError | None:
    """The error `plan:memory` for a plan that does not fit, with the smallest change that would; None if it fits."""
    if plan["fits"]:
        return None
    need, room = plan["memory"]["total"] / 2**30, plan["memory"]["usable"] / 2**30
    message = f"{need:.1f} GiB a GPU, and a {plan['gpu']['name']} has {room:.1f} to use"
    if not plan["change"]:
        return ConfigError("plan:memory", f"{message}: nothing that the planner knows makes it fit")
    wanted = " ".join(part if part.startswith("--") else f"--set {part}" for part in plan["change"])
    after = plan["after"]["memory"]["total"] / 2**30
    return ConfigError("plan:memory", f"{message}; the smallest change that fits ({after:.1f} GiB): {wanted}")


def _clip_row(clip: Mapping[str, Any], task: str) -> list[Any]:
    flops = clip["flops"][task]
    total = sum(flops.values())
    shares = [round(100 * n / total, 1) for n in (flops["attention"], flops["ffn"] + flops["projections"])]
    name = f"{clip['width']}x{clip['height']}, {clip['seconds']:g} s"
    return [name, task, clip["tokens"][task], round(total / 1e12, 2), *shares]


def _sized(title: str, bytes_by_name: Mapping[str, float], unit: float, name: str) -> None:
    console.rows(title, ["what", name], [[what, round(size / unit, 2)] for what, size in bytes_by_name.items()])


def _show_step(step: Mapping[str, Any], title: str) -> None:
    body = [[what, round(seconds, 3)] for what, seconds in step["seconds"].items()]
    body += [["micro-batches", step["micro_batches"]], ["tokens of the largest", step["micro_batch_tokens"]]]
    body += [["longest rank / mean", round(step["waiting"], 3)]]
    body += [["tokens/s, all GPUs", round(step["tokens_per_s"])], ["MFU, %", round(100 * step["mfu"], 1)]]
    console.rows(title, ["what", "s"], body)
