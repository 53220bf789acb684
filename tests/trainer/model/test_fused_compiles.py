"""The fused kernels are not only right in the interpreter: Triton makes machine code for an H100 of them, here too."""

import json
import os
import subprocess
import sys


def test_every_kernel_compiles_for_an_h100_and_keeps_to_its_registers(tmp_path):
    environment = {**os.environ, "TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "tests.trainer.model.fused_for_hopper"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stderr
    spilled = json.loads(done.stdout)
    assert len(spilled) == 17 and not any(spilled.values()), spilled
