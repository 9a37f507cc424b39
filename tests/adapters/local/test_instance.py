from pathlib import Path

import pytest

from adapters.local.instance import claim_instance


def test_instances_are_numbers_nobody_else_has(tmp_path: Path) -> None:
    one, two = claim_instance(tmp_path), claim_instance(tmp_path)
    assert (one.name, two.name) == ("1", "2")
    one.release()

    again = claim_instance(tmp_path)
    assert again.name == "1"
    again.release()
    two.release()


def test_a_name_that_is_in_use_is_refused(tmp_path: Path) -> None:
    lock = claim_instance(tmp_path, "blue")
    with pytest.raises(RuntimeError, match="INSTANCE_ID blue is in use"):
        claim_instance(tmp_path, "blue")
    lock.release()
