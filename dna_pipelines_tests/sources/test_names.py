"""What files are called: one rule for each place where a name may be written in more than one way."""

import zipfile
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dna_pipelines.sources.names import name_of_address, names_in_zip, rows_of_images, without_leading_dot

COMPOSED, DECOMPOSED = "ün.png", normalize("NFD", "ün.png")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("a%20b.png", "a b.png"),
        ("a b.png", "a b.png"),
        ("%C3%BCn.png", COMPOSED),
        ("ün.png", COMPOSED),
        ("a%2520b.png", "a%20b.png"),
        ("50%.png", "50%.png"),
        ("a%2Fb.png", "a%2Fb.png"),
        ("sub%20dir/a+b.png", "sub dir/a+b.png"),
    ],
)
def test_a_name_on_the_web_is_decoded_once(address, name):
    assert name_of_address(address) == name.encode()


def test_a_name_on_the_web_may_be_of_any_bytes():
    assert name_of_address("lat%E9.png") == b"lat\xe9.png"


@pytest.mark.parametrize(
    ("stored", "names"),
    [
        ([b"./a.png", b"b.png"], [b"a.png", b"b.png"]),
        ([b"sub\\a.png", b".\\b.png"], [b"sub/a.png", b"b.png"]),
        ([b"sub\\a.png", b"sub/a.png"], [b"sub/a.png", b"sub\\a.png"]),
        ([b"a.png", b"./a.png"], [b"a.png"]),
        ([b".hidden.png", b"../a.png"], [b".hidden.png", b"../a.png"]),
    ],
)
def test_a_member_of_a_zip_has_one_name(stored, names):
    assert list(names_in_zip(stored)) == names


@given(st.sets(st.binary(max_size=6).map(lambda name: name.replace(b"x", b"\\").replace(b"y", b"./")), max_size=8))
def test_no_member_of_a_zip_is_lost_but_for_a_leading_dot(stored):
    names = names_in_zip(sorted(stored))
    kept = set(names.values())
    assert kept <= stored
    meant = {without_leading_dot(name.replace(b"\\", b"/")) for name in kept}
    assert all(without_leading_dot(name.replace(b"\\", b"/")) in meant for name in stored)
    assert all(names.get(name) == name for name in stored if b"\\" not in name and not name.startswith(b"./"))


def test_a_zip_of_windows_has_folders(tmp_path, source):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name in ("x\\1.png", "./y/2.png"):
            archive.writestr(name, name)
    opened = source("a.zip")
    assert {entry.path: opened.read(entry.path) for entry in opened.list().entries} == {
        b"x/1.png": b"x\\1.png",
        b"y/2.png": b"./y/2.png",
    }


@pytest.mark.parametrize(
    ("rows", "images", "matched"),
    [
        ([COMPOSED], [DECOMPOSED], {DECOMPOSED: COMPOSED}),
        ([DECOMPOSED], [COMPOSED], {COMPOSED: DECOMPOSED}),
        # Twins: each name stands for itself.
        ([COMPOSED], [COMPOSED, DECOMPOSED], {COMPOSED: COMPOSED}),
        ([COMPOSED, DECOMPOSED], [COMPOSED, DECOMPOSED], {COMPOSED: COMPOSED, DECOMPOSED: DECOMPOSED}),
        ([COMPOSED, DECOMPOSED], [COMPOSED], {COMPOSED: COMPOSED}),
        ([r"a\1.png"], ["a/1.png"], {"a/1.png": r"a\1.png"}),
        (["a/1.png"], [r"a\1.png"], {r"a\1.png": "a/1.png"}),
        (["1.png"], ["a/1.png"], {}),
        (["É.png"], ["e.png", "E.png"], {}),
    ],
)
def test_a_row_is_of_the_image_it_names(rows, images, matched):
    assert rows_of_images(dict.fromkeys(rows), images) == matched


@given(st.sets(st.text("aé\u0301e/\\", max_size=3)), st.sets(st.text("aé\u0301e/\\", max_size=3)))
def test_a_row_describes_one_image_at_most_and_never_another_than_the_named(rows, images):
    matched = rows_of_images(rows, images)
    assert len(set(matched.values())) == len(matched)
    assert set(matched) <= images
    assert set(matched.values()) <= rows
    assert all(matched[name] == name for name in rows & images)
