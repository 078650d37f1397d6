"""Publications written down as TOML or JSON."""

import json
from pathlib import Path

import pytest
from pyfakefs.fake_filesystem import FakeFilesystem

from harness.publication_file import PublicationFileError, read_publication_file

WHOLE = """
[publication]
name = "Thin driver"
product = "Example Array"
version = "4.2"
testbeds = ["iscsi-sim"]
sources = ["a manual, page 12"]
notes = "as shipped"

[backend_activity_attributes]
stateless_activities = ["create_snapshot"]
handle_scope = "unrestricted"
"""


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    """The same publication in either format reads alike, metadata included."""
    toml, other = tmp_path / "thin.toml", tmp_path / "thin.json"
    toml.write_text(WHOLE)
    file = read_publication_file(toml)
    about = {
        "name": "Thin driver",
        "product": "Example Array",
        "version": "4.2",
        "testbeds": ["iscsi-sim"],
        "sources": ["a manual, page 12"],
        "notes": "as shipped",
    }
    other.write_text(json.dumps({"publication": about, "backend_activity_attributes": file.attributes}))
    again = read_publication_file(str(other))
    assert file.attributes == {"stateless_activities": ["create_snapshot"], "handle_scope": "unrestricted"}
    assert (file.name, file.product, file.version, file.notes) == ("Thin driver", "Example Array", "4.2", "as shipped")
    assert (file.testbeds, file.sources) == (("iscsi-sim",), ("a manual, page 12",))
    assert {**vars(again), "path": ""} == {**vars(file), "path": ""}


def test_metadata_is_optional(tmp_path: Path) -> None:
    """Without metadata the file's stem is the name; a byte order mark and CRLF do no harm."""
    path = tmp_path / "plain.toml"
    path.write_bytes(b"\xef\xbb\xbf[backend_activity_attributes]\r\n")
    file = read_publication_file(path)
    assert (file.name, file.attributes, file.testbeds) == ("plain", {}, ())


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "", r"no table backend_activity_attributes; add \[backend_activity_attributes\]"),
        ("a.toml", "[backend_activity_attributes\n", "not well-formed TOML: .*line 1"),
        ("a.json", "{", "not well-formed JSON: .*line 1"),
        ("a.json", "[]", "top level is no table"),
        ("a.json", '{"backend_activity_attributes": []}', "is no table"),
        ("a.json", '{"backend_activity_attributes": {"a": 1, "a": 2}}', "'a' stands twice"),
        ("a.json", '{"backend_activity_attributes": {"a": NaN}}', "nan is no value"),
        ("a.json", '{"backend_activity_attributes": {"a": ' + "[" * 40 + "]" * 40 + "}}", "deeper than 20"),
        ("a.json", '{"backend_activity_attributes": ' + "[" * 90000 + "]" * 90000 + "}", "deeper than 20"),
        ("a.toml", "a = " + "[" * 5000 + "]" * 5000, "deeper than 20"),
        ("a.toml", "a = 1\n" + "a." * 2000 + "a = 1", "line 2 has more than 1000 dots"),
        ("a.toml", "[backend_activity_attribute]", "did you mean 'backend_activity_attributes'"),
        ("a.toml", "[backend_activity_attributes]\na = 2026-01-01", "a date .* is no value"),
        ("a.toml", "[publication]\nnam = 'x'\n[backend_activity_attributes]", "did you mean 'name'"),
        ("a.toml", "[publication]\nname = 3\n[backend_activity_attributes]", "publication.name is no string"),
        ("a.toml", "[publication]\nsources = 'x'\n[backend_activity_attributes]", "sources is no list of strings"),
        ("a.toml", "publication = 3\n[backend_activity_attributes]", "publication is no table"),
        ("a.yaml", "", "neither .toml nor .json"),
    ],
)
def test_faulty_file_is_explained(tmp_path: Path, name: str, text: str, message: str) -> None:
    """The error names the file, what is wrong, and what to do."""
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(PublicationFileError, match=message) as caught:
        read_publication_file(path)
    assert str(path) in str(caught.value)
    assert caught.value.remedy


def test_other_encoding_is_explained(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with the place of the first wrong byte."""
    path = tmp_path / "a.toml"
    path.write_bytes("[publication]\nname = 'Größe'\n".encode("latin-1"))
    with pytest.raises(PublicationFileError, match="not UTF-8: byte 24 is 0xf6"):
        read_publication_file(path)


def test_file_that_can_not_be_had_is_explained(fs: FakeFilesystem) -> None:
    """A missing, unreadable or oversized file, a directory, and a disk that fails are told apart."""
    fs.is_windows_fs = False
    fs.create_file("/p/closed.toml", contents=WHOLE)
    fs.create_file("/p/large.toml", contents=WHOLE + "#" * (1 << 20))
    fs.create_dir("/p/folder.toml")
    from pyfakefs.helpers import set_uid

    set_uid(1000)
    fs.chmod("/p/closed.toml", 0o000, force_unix_mode=True)
    for name, message in [
        ("missing", "no such file"),
        ("closed", "can't be read: Permission denied"),
        ("large", "larger than 1 MiB"),
        ("folder", "not a regular file"),
        ("nul\0", "name can't be used|no such file"),
    ]:
        with pytest.raises(PublicationFileError, match=message) as caught:
            read_publication_file(f"/p/{name}.toml")
        assert f"/p/{name}.toml" in str(caught.value)
