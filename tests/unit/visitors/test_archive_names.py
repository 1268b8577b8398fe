"""Names in archives: every system takes them, no two are the same, and each is shown as it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tmpnb.visitors.archive_names import (
    LONGEST_FOLDER,
    LONGEST_PART,
    LONGEST_PATH,
    Names,
    part_name,
    shown,
)

ANYTHING = st.text(
    st.one_of(
        st.characters(exclude_categories=()),
        st.sampled_from('aA.. /\\:?*"<>|\0\n(2)\ud800\udcff\udfffé\U0001f600'),
    ),
    max_size=300,
)
FORBIDDEN = set('\\/:?*"<>|') | {chr(code) for code in range(32)} | {"\x7f"}
DEVICES = {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
DEVICES |= {f"{kind}{n}" for kind in ("COM", "LPT") for n in "0123456789¹²³"}


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


def fits_windows(path: str) -> bool:
    """Whether Windows makes exactly this file, by its own documented rules."""
    return units(path) <= LONGEST_PATH and all(
        part
        and not FORBIDDEN & set(part)
        and part[-1] not in ". "
        and part.split(".")[0].rstrip(" ").upper() not in DEVICES
        and len(part.encode()) <= LONGEST_PART
        for part in path.split("/")
    )


@pytest.mark.parametrize(
    ("name", "fit"),
    [
        ("a.txt", "a.txt"),
        (".hidden", ".hidden"),
        ("Größe & Maß #1.csv", "Größe & Maß #1.csv"),
        ('a:b?c*d"e<f>g|h\\i/j', "a_b_c_d_e_f_g_h_i_j"),
        ("a\x00b\x1fc\x7fd\ne", "a_b_c_d_e"),
        ("a\ud800b\udbffc\udc00d\udfffe", "a_b_c_d_e"),
        ("\ud7ff\ue000", "\ud7ff\ue000"),
        ("caf\udce9.txt", "caf_.txt"),
        ("", "_"),
        (".", "_"),
        ("..", "__"),
        ("  ", "__"),
        ("end. .", "end___"),
        ("a. b", "a. b"),
        ("CON", "CON_"),
        ("con.txt", "con_.txt"),
        ("Aux .tar.gz", "Aux _.tar.gz"),
        ("nul.", "nul_"),
        ("COM1", "COM1_"),
        ("lpt9.log", "lpt9_.log"),
        ("COM¹", "COM¹_"),
        ("CONIN$", "CONIN$_"),
        ("COM", "COM"),
        ("COM10", "COM10"),
        ("console", "console"),
        ("icon", "icon"),
        ("a.con", "a.con"),
    ],
)
def test_a_name_fits_every_system(name: str, fit: str) -> None:
    assert part_name(name) == fit


@given(ANYTHING)
def test_any_name_becomes_one_that_fits_and_stays_so(name: str) -> None:
    fit = part_name(name)
    assert part_name(fit) == fit
    assert fits_windows(Names().file(f"r/{name.replace('/', '_')}"))


@settings(max_examples=50)
@given(st.lists(st.tuples(st.booleans(), ANYTHING), max_size=30))
def test_any_tree_becomes_one_that_windows_can_unpack(entries: list[tuple[bool, str]]) -> None:
    """Folders are in each other, as deep as they come."""
    names, folder, found = Names(), "root", list[str]()
    for is_folder, name in entries:
        path = f"{folder}/{name.replace('/', '_')}"
        found.append(names.folder(path) if is_folder else names.file(path))
        folder = found[-1] if is_folder else folder
    assert all(fits_windows(path) for path in found)
    assert len({path.casefold() for path in found}) == len(found)


@pytest.mark.parametrize("length", range(100, 125))
@pytest.mark.parametrize("part", ["a", "a.ipynb", "\N{GRINNING FACE}"])
def test_a_folder_about_as_deep_as_may_be_ends_in_a_name_that_fits(length: int, part: str) -> None:
    names = Names()
    around = names.folder("root/" + "d" * (length - len("root//") - len(part)))
    found = [names.folder(f"{around}/{one}") for one in (part, part.upper(), part)]
    assert all(fits_windows(path) and len(path) <= LONGEST_FOLDER for path in found)
    assert len({path.casefold() for path in found}) == 3


def test_a_name_without_any_room_ends_too() -> None:
    assert Names().folder("f" * 150 + "/" + "g" * 150)


@pytest.mark.parametrize(
    ("name", "second", "third"),
    [
        ("a.txt", "a (2).txt", "a (3).txt"),
        ("a", "a (2)", "a (3)"),
        (".hidden", ".hidden (2)", ".hidden (3)"),
        ("a.tar.gz", "a.tar (2).gz", "a.tar (3).gz"),
        ("v1.0 of my long text", "v1 (2).0 of my long text", "v1 (3).0 of my long text"),
    ],
)
def test_names_that_come_again_get_numbers(name: str, second: str, third: str) -> None:
    names = Names()
    assert [names.file(f"r/{name}") for _ in range(3)] == [f"r/{n}" for n in (name, second, third)]
    assert names.file(f"r/s/{name}") == f"r/s/{name}"


def test_what_some_system_takes_for_the_same_name_gets_a_number() -> None:
    names = Names()
    asked = ["a.txt", "A.TXT", "a (2).txt", "a?", "a*", "\u00e9", "e\u0301"]
    found = ["a.txt", "A (2).TXT", "a (2) (2).txt", "a_", "a_ (2)", "\u00e9", "e\u0301 (2)"]
    assert [names.file(f"r/{n}").removeprefix("r/") for n in asked] == found


def test_a_folder_and_a_file_of_one_name_stay_apart() -> None:
    names = Names()
    assert names.folder("r/a") == "r/a"
    assert names.file("r/A") == "r/A (2)"


def test_a_long_name_keeps_its_ending_and_its_number() -> None:
    names = Names()
    first, second = (names.file(f"r/{'x' * 300}.ipynb") for _ in range(2))
    assert first.endswith("x.ipynb")
    assert second.endswith("x (2).ipynb")
    assert len(first) == LONGEST_PATH


def test_a_long_name_is_bounded_in_bytes_too() -> None:
    found = Names().file(f"r/{'数' * 170}.csv").removeprefix("r/")
    assert LONGEST_PART - 3 < len(found.encode()) <= LONGEST_PART


def test_a_folder_that_is_too_deep_comes_into_the_first() -> None:
    names, folder = Names(), "root"
    for _ in range(3):
        folder = names.folder(f"{folder}/{'d' * 50}")
    assert folder == f"root/{'d' * 50} (2)"


def test_thousands_of_one_name_take_no_time() -> None:
    """Each is tried once: with all numbers from the first, this would be 200 million looks."""
    names = Names()
    assert len({names.file("r/a.txt") for _ in range(20_000)}) == 20_000
    assert names.file("r/a.txt") == "r/a (20001).txt"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("Größe/a b.txt", "Größe/a b.txt"),
        ("caf\udce9.txt", "caf\\xe9.txt"),
        ("\udc80\udcff", "\\x80\\xff"),
        ("a\nb\x7f\u2028", "a\\u000ab\\u007f\\u2028"),
        ("\ud800\udc7f\udd00", "\\ud800\\udc7f\\udd00"),
        ("x" * 301, "x" * 150 + "…" + "x" * 75),
        ("x" * 300, "x" * 300),
    ],
)
def test_a_path_is_shown_on_one_line(path: str, text: str) -> None:
    assert shown(path) == text
    shown(path).encode()
