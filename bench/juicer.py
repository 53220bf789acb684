"""py-data-juicer 1.6.1 on the comparable job: run by bench/measure.py with the Python of an environment of its own.

python juicer.py FOLDER OUT
"""

import json
import subprocess
import sys
from pathlib import Path


def main(folder: Path, out: Path) -> None:
    """Write the dataset and the recipe, run dj-process, say how many rows came out."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [{"videos": [str(p.resolve())], "audios": [], "text": ""} for p in sorted(folder.glob("*.mp4"))]
    (out / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = f"""
project_name: compare
dataset_path: {out / "in.jsonl"}
export_path: {out / "out.jsonl"}
np: 2
process:
  - video_duration_filter: {{min_duration: 0.1, max_duration: 100000, video_backend: av}}
  - video_resolution_filter: {{min_width: 1, min_height: 1}}
  - video_motion_score_filter: {{min_score: -1.0, sampling_fps: 2, relative: false}}
"""
    (out / "recipe.yaml").write_text(recipe)
    subprocess.run(
        [str(Path(sys.executable).with_name("dj-process")), "--config", str(out / "recipe.yaml")], check=True
    )
    found = len((out / "out.jsonl").read_text().splitlines())
    print(f"rows in {len(rows)}, rows out {found}")
    if found != len(rows):
        sys.exit(f"{len(rows) - found} rows are missing")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
