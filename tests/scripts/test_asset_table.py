"""Tables of hosts as spreadsheets save them: what is read, and which line is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forewarn_collector.assets import FIELDS
from forewarn_scripts.asset_table import COLUMNS, BadTable, Line, read_table


def test_the_columns_are_the_fields_the_collector_knows() -> None:
    assert tuple(FIELDS) == COLUMNS


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_each_usual_separator_and_a_byte_order_mark_are_read(separator: str) -> None:
    text = separator.join(("Host", "client", "Warranty until", "owner")) + "\r\n"
    text += separator.join(("web1", "acorp", "2029-11-20", '"Ann, Bo"')) + "\r\n"
    lines, troubles = read_table(b"\xef\xbb\xbf" + text.encode())
    assert lines == [Line(2, "web1", "acorp", {"warranty_until": "2029-11-20", "owner": "Ann, Bo"})]
    assert troubles == []


def test_lines_are_counted_as_an_editor_does_and_wrong_ones_are_named() -> None:
    text = 'host,owner\nweb1,"two\nlines"\n\nweb2\n,ann\nweb1,bo\nweb3,\n'
    lines, troubles = read_table(text.encode())
    assert [(one.line, one.host, one.fields) for one in lines] == [
        (2, "web1", {"owner": "two\nlines"}),
        (8, "web3", {}),
    ]
    assert [(one.line, one.text) for one in troubles] == [
        (5, "it has 1 cells; the first line names 2"),
        (6, "it names no host"),
        (7, "host 'web1' stands on line 2 already"),
    ]


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "line 1 must name"),
        (b"host\nweb1\n", "line 1 must name"),
        (b"host,host,cost\n", "line 1 must name"),
        (b"name,cost\nweb1,1 EUR\n", "no column is called 'name'"),
        (b'host,owner\nweb1,"ann\n', "line 2: "),
        (b"host,owner\nweb1,J\xf6rg\n", "line 2 is not UTF-8"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused_as_a_whole(data: bytes, told: str) -> None:
    with pytest.raises(BadTable, match=told):
        read_table(data)


@given(st.binary(max_size=300))
def test_whatever_the_bytes_the_answer_is_lines_or_bad_table(data: bytes) -> None:
    try:
        lines, _ = read_table(b"host,owner\n" + data)
    except BadTable:
        return
    assert all(one.host and one.line > 1 for one in lines)
