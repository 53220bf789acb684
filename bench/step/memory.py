"""Peak memory of one model alone: each is measured in a process of its own, so that nothing of another counts.

python -m bench.step.memory --model peer --tokens 9152
"""

import argparse
import json
import resource
import subprocess
import sys

import torch

from bench.step.bench import Bench
from bench.step.device import forget
from bench.step.ours import our_steps
from bench.step.peer import peer_steps
from bench.step.variants import VARIANTS


def in_processes(models: list[str], tokens: list[int], small: bool) -> dict[str, dict[int, float]]:
    """GiB by model (`peer`, or a variant) and tokens. Raises CalledProcessError after printing what the child said."""
    found = {}
    for model in models:
        command = [sys.executable, "-m", "bench.step.memory", "--model", model, "--tokens", *map(str, tokens)]
        done = subprocess.run(command + ["--small"] * small, check=False, capture_output=True, text=True)
        if done.returncode:
            print(done.stderr[-2000:], flush=True)
            done.check_returncode()
        found[model] = {int(n): gib for n, gib in json.loads(done.stdout.splitlines()[-1]).items()}
    return found


def peak_gib(model: str, tokens: int, small: bool) -> float:
    """Largest allocation of two steps, after two that compile; on a CPU, of the whole process so far."""
    bench = Bench(rounds=1, small=small)
    batch, device = bench.batch(tokens), bench.device
    if model == "peer":
        step = peer_steps(bench.sizes, batch, device).step
    else:
        step = our_steps(bench.sizes.ours(), batch, device, VARIANTS[model]).step
    for _ in range(2):
        step()
    if device.type == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**30


def main() -> None:
    """The child's side: a JSON line of GiB by tokens."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=["peer", *VARIANTS], required=True)
    parser.add_argument("--tokens", type=int, nargs="+", required=True)
    parser.add_argument("--small", action="store_true")
    given = parser.parse_args()
    found = {}
    for tokens in given.tokens:
        found[tokens] = peak_gib(given.model, tokens, given.small)
        forget()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
