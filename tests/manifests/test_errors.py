import errno

import pytest

from manifests.errors import KlearError, MachineError, cause_of


def test_our_own_words_and_names_of_others():
    assert cause_of(KlearError("media:truncated", "half")) == ("media:truncated", "half")
    assert cause_of(ValueError("odd")) == ("crash:ValueError", "odd")
    assert cause_of(FileNotFoundError(errno.ENOENT, "gone"))[0] == "crash:FileNotFoundError"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EMFILE, errno.EAGAIN, errno.ENOMEM])
def test_what_the_machine_has_run_out_of_is_nobodys_row(code):
    with pytest.raises(MachineError, match="run the same command again") as raised:
        cause_of(OSError(code, "no more"))
    assert raised.value.code == f"machine:{errno.errorcode[code].lower()}"
