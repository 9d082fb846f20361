"""What a terminal of 80, 100 or 120 columns shows: nothing is wider, and no name is broken."""

import re

import pytest
from rich.text import Text

from dna_pipelines.cli.tables import Column, elided, lay_out, lay_out_matrix, wrapped
from dna_pipelines_tests.cli.conftest import invoke, made_once, write_image

WIDTHS = (80, *(pytest.param(width, marks=pytest.mark.campaign) for width in (100, 120)))
NAMES = (
    "cameras",
    *(f"vehicle-camera-front-left_night_rain_2026-11-{day:02d}_unit.07" for day in range(1, 7)),
    *(f"deployment-stream_{number:02d}_warehouse-entrance-north" for number in range(5)),
)
A, B = NAMES[1], NAMES[2]
COMMANDS = {
    "status": ["status"],
    "list": ["list"],
    "scan": ["scan"],
    "run": ["run"],
    "dry run": ["run", "--dry-run"],
    "matrix": ["matrix"],
    "tested matrix": ["matrix", "--significance"],
    "map": ["map", "--from-mean"],
    "compare": ["compare", A, B, "--explain", "--metric", "ks"],
    "images": ["images", A, B, "--top", "3", "--detail", "1"],
    "images by group": ["images", A, B, "--by", "group"],
    "images against": ["images", "images/" + A, "--against", A, "--against", B],
    "inspect": ["inspect", A, B],
    "duplicates": ["duplicates"],
    "duplicates of two": ["duplicates", A, B],
    "metrics": ["metrics"],
    "extractors": ["extractors"],
    "one extractor": ["extractors", "builtin"],
    "views": ["sql"],
    "columns of a view": ["sql", "--about", "images"],
    "query": ["sql", "SELECT dataset, path, digest, shard_id FROM images LIMIT 3"],
    "doctor": ["doctor"],
    "prune": ["prune", "--keep", "2", "--dry-run"],
    "selections": ["select", "list"],
}
ALL_NAMES = ("status", "list", "scan", "run", "dry run", "matrix", "tested matrix", "map", "duplicates", "doctor")
BOTH_NAMES = ("compare", "images", "images by group", "images against", "inspect", "duplicates of two")


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """A project of twelve datasets with long names, run once."""

    def make(root):
        for index, name in enumerate(NAMES):
            for image in range(6):
                write_image(root / "images" / name / f"{image}.png", 100 * index + image, 255 // (index % 3 + 1))
        entries = "".join(f"  - {{name: {name}, uri: images/{name}}}\n" for name in NAMES)
        (root / "data").mkdir()
        (root / "data" / "datasets.yaml").write_text(f"workers: 2\ndatasets:\n{entries}")
        return invoke("--root", root, "run", "--json")

    return made_once(tmp_path_factory, "wide", make)[0]


@pytest.fixture
def on_terminal(monkeypatch):
    """What a command writes to a terminal of a width, without colours; progress is left out."""

    def run(width, *arguments):
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", str(width))
        said = invoke(*arguments)
        text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", said.out + said.err)
        return [line.rpartition("\r")[2] for line in text.splitlines()]

    return run


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_line_is_wider_and_no_name_is_broken(wide, on_terminal, monkeypatch, command, width):
    monkeypatch.chdir(wide)
    lines = on_terminal(width, *COMMANDS[command])
    # A path or an address alone on its line cannot be broken without losing its meaning.
    assert [line for line in lines if len(line) > width and len(line.split()) > 1] == []
    names = NAMES if command in ALL_NAMES else (A, B) if command in BOTH_NAMES else ()
    shown = "\n".join(lines)
    assert [name for name in names if name not in shown] == []


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["", "compare", "images", "select learn", "run", "add", "matrix", "ranges import"])
def test_help_fits(on_terminal, command, width):
    lines = on_terminal(width, *command.split(), "--help")
    assert max(map(len, lines)) <= width


def test_a_pipe_gets_whole_lines(wide, dna):
    matrix = dna("--root", wide, "matrix").out.splitlines()
    assert len(matrix) == 2 + len(NAMES)
    assert all(name in line for name, line in zip(NAMES, matrix[2:], strict=True))
    status = dna("--root", wide, "status").out.splitlines()
    assert len(status) == 2 + len(NAMES)


def test_names_that_cannot_fit_are_elided_and_stay_different():
    names = [f"{'x' * 40}{number}{'y' * 40}" for number in range(12)]
    short = elided(names, 20)
    assert len(set(short)) == 12
    assert all(len(name) <= 20 and "…" in name for name in short)
    assert elided(["short", "names"], 20) == ["short", "names"]
    assert len(set(elided(["abcdefgh" * 9, "abcdefgh" * 8], 12))) == 2


def test_a_wide_table_leaves_out_what_is_optional_then_stacks_then_folds():
    columns = [
        Column("dataset"),
        *(Column(name, right=True) for name in ("images", "groups")),
        Column("size", right=True, optional=True),
    ]
    rows = [[Text("d" * 20), *map(Text, ("1,234", "567", "8.9 MB"))] for _ in range(2)]
    assert lay_out(columns, rows, 80).left_out == []
    assert lay_out(columns, rows, 38).left_out == ["size"]
    stacked = lay_out(columns, rows, 30)
    assert stacked.left_out == []
    assert [line.plain for line in stacked.lines][2:4] == ["d" * 20, "   1,234     567  8.9 MB"]
    folded = lay_out([Column("k"), *(Column(str(i)) for i in range(9))], [[Text("key")] + [Text("value")] * 9], 24)
    assert max(line.cell_len for line in folded.lines) <= 24
    assert sum(line.plain.count("value") for line in folded.lines) == 9


def test_a_matrix_folds_and_keeps_every_cell():
    names = [f"dataset-{index}" for index in range(12)]
    cells = [[f"{10 * i + j:.1f}" for j in range(12)] for i in range(12)]
    lines = [line.plain for line in lay_out_matrix(names, cells, 60)]
    assert max(map(len, lines)) <= 60
    assert sorted(word for line in lines for word in line.split() if "." in word) == sorted(
        cell for row in cells for cell in row
    )


def test_text_is_broken_between_words_only():
    text = Text("a sentence with a /very/long/path/that/is/wider/than/the/line and an end")
    lines = [line.plain for line in wrapped(text, 20, indent=2)]
    assert [word for line in lines for word in line.split()] == text.plain.split()
    assert [line for line in lines if len(line) > 20] == ["    /very/long/path/that/is/wider/than/the/line"]


def test_a_long_name_of_an_image_is_shortened_and_every_row_has_one_line():
    name = "a-very-long-name-of-a-file-" * 4
    columns = [Column("image", shortened=True), Column("share", right=True), Column("group", optional=True)]
    rows = [[Text(f"{name}{number}.png"), Text("50.0%"), Text("clip-1")] for number in range(3)]
    laid = lay_out(columns, rows, 80)
    assert (len(laid.lines), laid.left_out) == (4, [])
    assert [line.plain.split()[0][-5:] for line in laid.lines[1:]] == ["0.png", "1.png", "2.png"]
    assert all(line.plain.startswith(name[:10]) and line.cell_len <= 80 for line in laid.lines[1:])
    whole = lay_out(columns, rows, 200).lines
    assert [line.plain.split()[0] for line in whole[1:]] == [row[0].plain for row in rows]
