"""Downloads: the official source (a loopback server here), the mirror, the cache, and errors."""

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from hashlib import sha256
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest

from trainable.contract import StudyError
from trainable.data import fetch, movielens
from trainable.data.movielens import ML_1M, ML_100K, Release, parse, ratings_file

RATINGS = b"".join(b"%d\t%d\t%d\t%d\n" % (1 + i % 7, 10 + i % 5, 1 + i % 3, 900 + i) for i in range(35))


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and its URL on loopback."""
    folder = tmp_path / "site"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A mirror with a header line and RATINGS; returns the list of its requests."""
    asked: list[str] = []

    def wheel_members(requirement: str, members: tuple[str, ...]) -> list[bytes]:
        asked.append(requirement)
        return [b"user_id:token\n" + RATINGS]

    monkeypatch.setattr(movielens, "wheel_members", wheel_members)
    return asked


def release(url: str) -> Release:
    return replace(ML_100K, url=f"{url}/ml-100k.zip", sha256=sha256(RATINGS).hexdigest())


def serve(folder: Path, ratings: bytes, member: str = "ml-100k/u.data") -> None:
    with ZipFile(folder / "ml-100k.zip", "w", ZIP_DEFLATED) as archive:
        archive.writestr(member, ratings)


def test_the_official_place_comes_first_then_the_cache(
    site: tuple[Path, str], mirror: list[str], tmp_path: Path
) -> None:
    folder, url = site
    serve(folder, RATINGS)
    path = tmp_path / "cache" / "u.data"
    assert ratings_file(release(url), path) == RATINGS
    (folder / "ml-100k.zip").unlink()
    assert ratings_file(release(url), path) == RATINGS
    assert mirror == []
    assert [file.name for file in path.parent.iterdir()] == ["u.data"]


def test_a_corrupt_cache_is_fetched_again(site: tuple[Path, str], mirror: list[str], tmp_path: Path) -> None:
    folder, url = site
    serve(folder, RATINGS)
    path = tmp_path / "u.data"
    path.write_bytes(RATINGS[:-1])
    assert ratings_file(release(url), path) == RATINGS
    assert path.read_bytes() == RATINGS


def away(folder: Path) -> None:
    """404: the file is not there."""


def truncated(folder: Path) -> None:
    serve(folder, RATINGS)
    path = folder / "ml-100k.zip"
    path.write_bytes(path.read_bytes()[:-30])


def damaged(folder: Path) -> None:
    serve(folder, RATINGS)
    path = folder / "ml-100k.zip"
    data = bytearray(path.read_bytes())
    data[60:70] = bytes(10)
    path.write_bytes(data)


def other_ratings(folder: Path) -> None:
    serve(folder, RATINGS + b"1\t99\t5\t900\n")


def other_member(folder: Path) -> None:
    serve(folder, RATINGS, member="ml-100k/u.dat")


@pytest.mark.parametrize("breakage", [away, truncated, damaged, other_ratings, other_member])
def test_after_any_error_the_mirror_is_next(
    breakage: object,
    site: tuple[Path, str],
    mirror: list[str],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    folder, url = site
    breakage(folder)  # type: ignore[operator]
    path = tmp_path / "u.data"
    with caplog.at_level(logging.INFO):
        assert ratings_file(release(url), path) == RATINGS
    assert path.read_bytes() == RATINGS
    assert mirror == ["recbole==1.2.1"]
    assert f"skipped {url}/ml-100k.zip" in caplog.text


def test_if_all_sources_fail_the_error_names_every_reason(
    site: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder, url = site
    other_ratings(folder)

    def wheel_members(requirement: str, members: tuple[str, ...]) -> list[bytes]:
        raise OSError("ERROR: no matching distribution")

    monkeypatch.setattr(movielens, "wheel_members", wheel_members)
    path = tmp_path / "cache" / "u.data"
    with pytest.raises(StudyError) as told:
        ratings_file(release(url), path)
    words = str(told.value)
    for part in (
        url,
        "its sha256 differs",
        "recbole==1.2.1",
        "no matching distribution",
        str(path),
        "by hand",
    ):
        assert part in words
    assert "\n" not in words
    assert not path.parent.exists()


def test_a_closed_port_fails_at_once() -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port = server.server_address[1]
    server.server_close()
    with pytest.raises(OSError, match="refused"):
        fetch.download(f"http://127.0.0.1:{port}/ml-100k.zip")


def test_a_cache_that_cannot_be_written_is_named(
    site: tuple[Path, str], mirror: list[str], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StudyError, match=r"cannot be cached at .*file.*make that folder writable"):
        ratings_file(release(site[1]), tmp_path / "file" / "u.data")


def test_pip_says_why_it_has_no_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(OSError, match=r"No matching distribution found for recbole==1\.2\.1"):
        fetch.wheel_members("recbole==1.2.1", ())


def test_wheel_members_are_downloaded_with_pip_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ZipFile(tmp_path / "somewhere-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("somewhere/a.inter", "ratings")
        wheel.writestr(
            "somewhere-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: somewhere\nVersion: 1.0\n"
        )
        wheel.writestr(
            "somewhere-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr("somewhere-1.0.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    assert fetch.wheel_members("somewhere==1.0", ["somewhere/a.inter"]) == [b"ratings"]
    with pytest.raises(KeyError, match=r"b\.inter"):
        fetch.wheel_members("somewhere==1.0", ["somewhere/b.inter"])


def test_ratings_are_parsed_in_file_order_over_ascending_ids() -> None:
    for text in (b"10\t3\t5\t77\n9\t20\t1\t66\n", b"10::3::5::77\n9::20::1::66\n"):
        ratings = parse(text)
        assert ratings.user_ids.tolist() == ["9", "10"]
        assert ratings.item_ids.tolist() == ["3", "20"]
        assert ratings.users.tolist() == [1, 0]
        assert ratings.items.tolist() == [0, 1]
        assert ratings.ratings.tolist() == [5.0, 1.0]
        assert ratings.timestamps is not None
        assert ratings.timestamps.tolist() == [77, 66]
        assert (ratings.users.dtype, ratings.ratings.dtype) == (np.int32, np.float32)


def test_the_mirror_of_ml_1m_gives_the_film_ids_back() -> None:
    films = [f"film {number}" for number in range(1, 3953) if number not in movielens.ML_1M_UNUSED_IDS]
    film_list = "\r\n".join(["item_id:token\tmovie_title:token", *(f"{film}\t-" for film in films), ""])
    ratings = "user_id:token\titem_id:token\r\n1m_1\tfilm 1193\t5\t978300760\r\n1m_23\tfilm 3952\t1\t7\r\n"
    rebuilt = ML_1M.rebuild([ratings.encode(), film_list.encode()])
    assert rebuilt == b"1::1193::5::978300760\n23::3952::1::7\n"
    with pytest.raises(ValueError, match="zip"):
        ML_1M.rebuild([ratings.encode(), film_list.encode().replace(b"film 7\t-\r\n", b"")])


@pytest.mark.data
@pytest.mark.parametrize("release", movielens.RELEASES, ids=lambda release: release.name)
def test_the_real_mirror_holds_the_published_bytes(release: Release, tmp_path: Path) -> None:
    nowhere = replace(release, url="http://127.0.0.1:1/ml.zip")
    data = ratings_file(nowhere, tmp_path / "ratings")
    assert sha256(data).hexdigest() == release.sha256


@pytest.mark.data
def test_ml_100k_has_its_published_counts() -> None:
    ratings = movielens.ml_100k()
    assert (ratings.n_users, ratings.n_items, len(ratings)) == (943, 1682, 100_000)
    assert np.bincount(ratings.ratings.astype(int)).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert ratings.user_ids.tolist() == [str(i) for i in range(1, 944)]
    assert ratings.item_ids.tolist() == [str(i) for i in range(1, 1683)]
    assert (ratings.user_ids[ratings.users[0]], ratings.item_ids[ratings.items[0]]) == ("196", "242")


@pytest.mark.data
def test_ml_1m_has_its_published_counts() -> None:
    ratings = movielens.ml_1m()
    assert (ratings.n_users, ratings.n_items, len(ratings)) == (6040, 3706, 1_000_209)
    assert ratings.item_ids[-1] == "3952"
