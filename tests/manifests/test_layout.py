import pytest

from manifests import layout
from manifests.errors import ConfigError


def test_the_number_of_buckets_is_fixed_by_the_first_run(tmp_path):
    layout.hold(tmp_path / "tables", 4)
    layout.hold(tmp_path / "tables", 4)
    assert layout.fixed(tmp_path / "tables") == 4 and layout.fixed(tmp_path) is None
    with pytest.raises(ConfigError, match="begun with 4: give --set engine.bucket_bits=4"):
        layout.hold(tmp_path / "tables", 8)
