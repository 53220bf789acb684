#!/usr/bin/env bash
# All that a GPU can check and time, in less than 15 minutes: bench/gpu.sh [tests attention step generate]. Where a call may
# take 10 minutes, two calls: `bench/gpu.sh step`, then `bench/gpu.sh tests attention generate`. Limits are estimates.
# overfit is no part of the default. Nothing is installed; `step` needs diffusers 0.42.1.
# LOGS: where the output goes, one file a part. STEP: options of bench.train_step, as "--tokens 9152 --variants bf16".
# OVERFIT: sets made by `python -m bench.overfit --do prepare`.
set -uo pipefail
cd "$(dirname "$0")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
LOGS="${LOGS:-out/gpu}"
mkdir -p "$LOGS"
failed=0

part() { # name, seconds, lines to show, command...
  local name="$1" limit="$2" lines="$3" began=$SECONDS
  shift 3
  timeout -k 10 "$limit" "$@" >"$LOGS/$name.log" 2>&1
  local rc=$?
  [ $rc -eq 0 ] || failed=1
  echo "== $name: rc $rc, $((SECONDS - began)) s"
  tail -n "${TAIL:-$lines}" "$LOGS/$name.log"
}

python3 -c 'import torch; print(torch.cuda.get_device_name(), torch.__version__)'
for name in "${@:-tests attention step generate}"; do
  for one in $name; do
    case "$one" in
      tests) # All files with a test for a GPU; whatever else is in them runs too.
        mapfile -t files < <(grep -rlE 'cuda|twins' tests/trainer --include='test_*.py' | sort)
        part tests 140 15 python3 -m pytest -q -p no:cacheprovider -m "not slow" "${files[@]}" ;;
      attention) part attention 100 20 python3 -m bench.attention --seconds 70 ;;
      # It starts no part after 400 s. shellcheck disable=SC2086
      step) part step 460 150 python3 -m bench.train_step --seconds 400 ${STEP:-} ;;
      generate) part generate 160 25 python3 -m bench.generate --rounds 3 ;;
      overfit) part overfit "${OVERFIT_S:-300}" 25 python3 -m bench.overfit --out "$OVERFIT" --results "$LOGS" --do train --at-once 5 \
        --steps "${STEPS:-2500}" --clips-per-step 32 --layers 6 --width 256 ;;
      *) echo "no part $one" >&2; exit 2 ;;
    esac
  done
done
exit $failed
