"""Any checkpoint files are loaded to the last bit, or refused without a change of the session."""

import json
from pathlib import Path

import numpy as np
import pytest
from fuzz import damaged, distorted, refusal
from hypothesis import given
from hypothesis import strategies as st
from members import CONFIG
from safetensors.numpy import save
from sessions import everything, files, new_session, opened, put, sealed, trained

from trainable.checkpoint import RECORD
from trainable.contract import Lease
from trainable.session import Session

pytestmark = pytest.mark.fuzz


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Session, dict[str, bytes]]:
    """A session after two epochs, and the files of its checkpoint."""
    session = trained(2)
    folder = tmp_path_factory.mktemp("saved")
    session.save(folder)
    return session, files(folder)


def refused_or_whole(folder: Path, whole: Session) -> None:
    """Load the folder's checkpoint into a session with other trials; check that it is refused or complete."""
    session = new_session(Lease(5, 1, CONFIG, (0,)))
    session.advance()
    before = everything(session)
    message = refusal(lambda: session.load(folder))
    assert everything(session) == (everything(whole) if message is None else before)
    assert message is None or message.startswith(str(folder))


@given(st.data())
def test_a_damaged_file_is_refused(saved, tmp_path: Path, data: st.DataObject):
    """Every read of either file is checked."""
    whole, contents = saved
    name = data.draw(st.sampled_from(sorted(contents)))
    other = contents[next(n for n in contents if n != name)]
    content = data.draw(damaged(contents[name], other))
    refused_or_whole(put(tmp_path / "it", contents | {name: content}), whole)


@given(st.data())
def test_a_changed_record_is_refused_or_fits(saved, tmp_path: Path, data: st.DataObject):
    """The seal is valid, a value is wrong. Catches a field whose type or range is not checked."""
    _, contents = saved
    about, tensors = opened(contents)
    written = save(tensors)
    folder = put(tmp_path / "it", sealed(data.draw(distorted(about)), written))
    session = new_session()
    if refusal(lambda: session.load(folder)) is not None:
        assert everything(session) == everything(new_session())
    else:
        slots = json.loads((folder / RECORD).read_text())["slots"]
        assert [h.trial for h in session.held] == [slot["lease"]["trial"] for slot in slots]
        assert [h.epoch for h in session.held] == [slot["epoch"] for slot in slots]


@given(st.data())
def test_changed_tensors_are_refused(saved, tmp_path: Path, data: st.DataObject):
    """Sealed too. Catches a loaded state with a missing or superfluous array, or a wrong shape or type."""
    whole, contents = saved
    about, tensors = opened(contents)
    name = data.draw(st.sampled_from(sorted(tensors)))
    array = tensors[name]
    match data.draw(st.sampled_from(["drop", "rename", "type", "shape", "epoch", "more"])):
        case "drop":
            del tensors[name]
        case "rename":
            tensors[data.draw(st.sampled_from(["", "0", "9/0/step", "3/0", "ä" * 99]))] = tensors.pop(name)
        case "type":
            kinds = ["float16", "float64", "int8", "int32", "uint64", "bool", "complex64"]
            tensors[name] = array.astype(data.draw(st.sampled_from(kinds)))
        case "shape":
            tensors[name] = np.stack([array, array])
        case "epoch":
            member = data.draw(st.sampled_from(["3/0", "3/1", "7/0"]))
            tensors[f"{member}/epoch"] = np.array(data.draw(st.sampled_from([-1, 0, 3, 2**62])))
        case "more":
            tensors["3/2/step"] = np.array(0)
    content = save(tensors)
    refused_or_whole(put(tmp_path / "it", sealed(about | {"tensors": len(content)}, content)), whole)
