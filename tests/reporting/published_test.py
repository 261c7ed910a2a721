"""The paper's numbers: whole tables, averages that fit, cells that can be shown."""

import pytest

from jaxflow.reporting import published
from jaxflow.reporting.published import Published
from jaxflow.training import presets

TABLES = {
    name: one for name, one in vars(published).items() if isinstance(one, Published)
}
PER_ACTION = [published.PROTOCOL_1, published.PROTOCOL_2]


@pytest.mark.parametrize("name", TABLES)
def test_rows_are_complete_and_distinct(name):
    table = TABLES[name]
    assert len(table.columns) == len(table.better) == len(set(table.columns))
    assert set(table.better) <= {-1, 0, 1}
    for row in table.rows:
        assert len(row.values) == len(table.columns)
        assert all(value is None or value > 0 for value in row.values)
        assert 2016 < row.source.year < 2023
    labels = [published.label(row) for row in table.rows]
    assert len(labels) == len(set(labels))
    assert table.rows[-1].source == published.WEHRBEIN


def test_all_tables_are_there():
    places = " ".join(table.place for table in TABLES.values())
    for number in (1, 2, 3, 4, 5):
        assert f"Table {number}" in places
    assert "Appendix D" in places


def off_by(row):
    """How far the printed average is from the mean of the printed actions."""
    *actions, average = row.values
    assert len(actions) == 15
    return abs(sum(actions) / 15 - average)


@pytest.mark.parametrize("table", PER_ACTION, ids=["protocol 1", "protocol 2"])
def test_averages_are_means_of_the_actions(table):
    """To rounding: a wrong digit before the point moves the mean by 0.067 or more."""
    checked = [row for row in table.rows if not row.note.startswith("the quoted")]
    assert len(checked) >= 4
    for row in checked:
        assert off_by(row) <= 0.05 + 1e-9, published.label(row)


@pytest.mark.parametrize("table", PER_ACTION, ids=["protocol 1", "protocol 2"])
def test_rows_said_to_be_off_are_off_by_little(table):
    """Quoted from papers whose average is another than the mean over actions."""
    noted = [row for row in table.rows if row.note.startswith("the quoted")]
    for row in noted:
        assert row.source != published.WEHRBEIN
        assert 0.05 < off_by(row) < 0.3, published.label(row)


def figure(table, label, column):
    row = next(row for row in table.rows if published.label(row) == label)
    return dict(zip(table.columns, row.values, strict=True))[column]


def test_tables_agree_with_each_other_and_with_the_text():
    ours = "Wehrbein et al., ICCV 2021 (M = 200)"
    best = [figure(table, ours, "Average") for table in PER_ACTION]
    assert published.FEWER_SAMPLES.rows[-1].values == tuple(best)
    theirs = "Li and Lee, CVPR 2019 (M = 5)"
    others = [figure(table, theirs, "Average") for table in PER_ACTION]
    assert published.FEWER_SAMPLES.rows[0].values == tuple(others)
    assert published.ABLATIONS.rows[-1].values == published.AMBIGUOUS.rows[-1].values
    # Improvements that the text of section 4.3 names.
    for gain, mine, rival in zip((4.1, 10.7), best, (46.2, 36.3), strict=True):
        assert 100 * (1 - mine / rival) == pytest.approx(gain, abs=0.05)


def test_actions_are_those_of_the_data_sets():
    assert len(set(published.ACTIONS)) == 15
    assert published.PROTOCOL_1.columns == (*published.ACTIONS, published.AVERAGE)


def test_ablations_go_by_the_names_of_the_presets():
    methods = [row.method for row in published.ABLATIONS.rows]
    assert sorted(methods) == sorted(presets.ABLATIONS)


def test_rows_as_text():
    columns = ["Sitting", "Juggling", "Average"]
    rows = [row.texts for row in published.as_rows(published.PROTOCOL_1, columns)]
    assert rows[0] == ("Martinez et al., ICCV 2017 (M = 1)", "74.0", "–", "62.9")
    assert rows[-2][0] == "Wehrbein et al., ICCV 2021, z0 (M = 1)"
    whole = published.as_rows(published.CALIBRATION)
    assert whole[-1].texts == ("Wehrbein et al., ICCV 2021 (M = 200)", "0.18")
    assert published.label(published.MPI_INF_3DHP.rows[0]) == "Li and Lee, BMVC 2020"


def test_every_table_says_where_it_is_from():
    assert published.PROTOCOL_1.source == (
        "Wehrbein et al., ICCV 2021, Table 1, protocol 1"
    )
    assert published.CALIBRATION.source == "Pierzchlewicz et al., arXiv 2022"
    names = [table.name for table in TABLES.values() if table.name]
    assert len(names) == len(set(names)) >= 6
