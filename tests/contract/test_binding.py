"""Real calls are bound to real signatures, and look-ups ask no code of the driver."""

import functools
from typing import Any

import pytest

from harness.contract import METHODS, ContractViolation, bind_call, binding_error, implements
from harness.static_lookup import static_attribute


class Driver:
    """A driver with one method of each making."""

    retype = None

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"asked for {name}")

    def create_snapshot(self, snapshot: object) -> object:
        """Right."""
        return ("snapshot", snapshot)

    def migrate_volume(self) -> None:
        """Without its arguments."""

    def revert_to_snapshot(self, context: object, volume: object, snapshot: object, extra: object = None) -> str:
        """With one more."""
        return "reverted"

    @staticmethod
    def delete_volume(volume: object) -> object:
        """Static."""
        return volume

    @classmethod
    def delete_snapshot(cls, snapshot: object) -> object:
        """Of the class."""
        return cls, snapshot

    @property
    def extend_volume(self) -> Any:
        """A property, which is no method."""
        raise AssertionError("evaluated")

    create_volume = functools.partial(lambda volume: volume)


def test_bound_call_is_made_with_its_arguments() -> None:
    """A call that fits is returned ready, whatever kind of method it is."""
    driver = Driver()
    assert bind_call(driver, "create_snapshot", 1)() == ("snapshot", 1)
    assert bind_call(driver, "create_snapshot", snapshot=1)() == ("snapshot", 1)
    assert bind_call(driver, "delete_volume", 2)() == 2
    assert bind_call(driver, "delete_snapshot", 3)() == (Driver, 3)
    assert bind_call(driver, "revert_to_snapshot", 1, 2, 3)() == "reverted"
    assert bind_call(driver, "create_volume", 4)() == 4


def test_call_that_does_not_fit_shows_both_sides() -> None:
    """The error shows the driver's signature, the arguments given, and what Cinder passes."""
    with pytest.raises(ContractViolation) as caught:
        bind_call(Driver(), "migrate_volume", object(), 1, host={})
    text = str(caught.value)
    assert "Driver.migrate_volume()" in text
    assert "migrate_volume(object, int, host=…)" in text
    assert "(context, volume, host)" in text


@pytest.mark.parametrize("name", ["retype", "extend_volume", "copy_volume_to_image"])
def test_missing_method_is_named(name: str) -> None:
    """None, a property and nothing at all are no method; no code of the driver runs to find out."""
    assert not implements(Driver(), name)
    with pytest.raises(ContractViolation, match=f"Driver has no method {name}"):
        bind_call(Driver(), name)
    assert binding_error(Driver, name) == f"Driver has no method {name}"


def test_contract_call_is_tried_without_making_it() -> None:
    """A class is asked for each contract call in advance, keyword-only arguments included."""

    class Starter:
        def start_activity(self, context: object, method: str, arguments: object, request_id: str) -> None:
            raise AssertionError("called")

        def get_activity(self, context: object) -> None:
            raise AssertionError("called")

    assert binding_error(Starter, "start_activity") is None
    error = binding_error(Starter, "get_activity")
    assert error is not None
    assert "too many positional arguments" in error
    assert "(context, handle)" in error
    assert binding_error(Driver, "create_snapshot") is None


def test_static_look_up_runs_no_code_of_the_driver() -> None:
    """Neither __getattr__, __getattribute__ nor a property runs; the raw attribute is returned."""

    class Guarded:
        @property
        def publication(self) -> None:
            raise AssertionError("evaluated")

        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

    assert isinstance(static_attribute(Guarded(), "publication"), property)
    assert static_attribute(Guarded(), "nothing", "default") == "default"
    assert static_attribute(Driver(), "nothing") is None


def test_method_set_on_the_instance_is_found() -> None:
    """A method may be given to the instance alone."""
    driver = Driver()
    vars(driver)["copy_image_to_volume"] = lambda *args: args
    assert implements(driver, "copy_image_to_volume")
    assert bind_call(driver, "copy_image_to_volume", 1, 2)() == (1, 2)


def test_methods_are_those_of_the_specification() -> None:
    """The table holds Cinder's methods and the hooks that can be listed, each under its own name."""
    assert all(name == spec.name for name, spec in METHODS.items())
    hooks = {name for name, spec in METHODS.items() if spec.is_hook}
    assert hooks == {"replicate_snapshot", "backup_volume", "restore_backup"}
    with pytest.raises(TypeError):
        METHODS["another"] = METHODS["retype"]  # type: ignore[index]
