"""The name of a lane in Ray's dashboard."""

from trainable.tune import Lane


def test_a_lane_whose_setup_fails_has_a_name():
    """Ray asks for it while it stores the error of the setup; an error there would kill the worker."""
    assert repr(Lane.__new__(Lane)) == "a lane that does not start"
