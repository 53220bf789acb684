#!/usr/bin/env bash
# All that a GPU can check and time, in one call: bench/gpu.sh [tests attention step generate overfit]. Nothing is installed.
# LOGS: where the output goes, one file a part. OVERFIT: sets made by `python -m bench.overfit --do prepare`.
set -uo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
LOGS="${LOGS:-out/gpu}"
mkdir -p "$LOGS"
failed=0

part() { # name, seconds, command...
  local name="$1" limit="$2" began=$SECONDS
  shift 2
  timeout "$limit" "$@" >"$LOGS/$name.log" 2>&1
  local rc=$?
  [ $rc -eq 0 ] || failed=1
  echo "== $name: rc $rc, $((SECONDS - began)) s"
  tail -n "${TAIL:-25}" "$LOGS/$name.log"
}

python3 -c 'import torch; print(torch.cuda.get_device_name(), torch.__version__)'
for name in "${@:-tests attention step generate overfit}"; do
  for one in $name; do
    case "$one" in
      tests) part tests 240 python3 -m pytest -q -p no:cacheprovider -m "not slow" tests/trainer/model tests/trainer/test_step.py \
        tests/trainer/test_determinism.py tests/trainer/test_sampler.py tests/trainer/plan/test_memory.py tests/trainer/observe tests/trainer/test_feed.py ;;
      attention) part attention 150 python3 -m bench.attention ;;
      step) part step 260 python3 -m bench.train_step --rounds "${ROUNDS:-5}" ;;
      generate) part generate 260 python3 -m bench.generate --rounds "${ROUNDS:-5}" ;;
      overfit) part overfit "${OVERFIT_S:-300}" python3 -m bench.overfit --out "$OVERFIT" --results "$LOGS" --do train --at-once 5 \
        --steps "${STEPS:-2500}" --clips-per-step 32 --layers 6 --width 256 ;;
      *) echo "no part $one" >&2; exit 2 ;;
    esac
  done
done
exit $failed
