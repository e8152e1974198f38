"""A study as data frames says what its rows say."""

import math

from make_study import make_study
from trainsmith.report.frames import curve_frame, technique_frame


def test_a_row_for_each_technique_with_everything_its_table_shows():
    study = make_study(most=4)
    frame = technique_frame(study)
    assert len(frame) == len(study.rows)
    for row, said in zip(study.rows, frame.to_dict("records"), strict=True):
        assert (said["family"], said["technique"], said["baseline"]) == (row.family, row.technique, row.is_baseline)
        assert (said["score"], said["score_low"], said["score_high"]) == (row.score.mean, row.score.low, row.score.high)
        assert said["verdict"] == row.verdict
        assert said["diverged"] == row.diverged
        for name, value in row.values.items():
            assert said[name] == value
        if row.difference is None:
            assert math.isnan(said["difference"])
        else:
            assert said["difference_low"] == row.difference.low
            assert said["p"] == row.p
    assert frame.technique[frame.baseline].tolist() == ["adam"] * 5


def test_a_row_for_each_check_of_each_technique():
    study = make_study(most=1)
    frame = curve_frame(study)
    assert len(frame) == sum(len(row.curve.steps) for row in study.rows)
    last = frame[(frame.family == "optimizer") & ~(frame.technique == "adam")].iloc[-1]
    row = study.family("optimizer")[-1]
    assert (last.step, last.score, last.low, last.high) == (
        row.curve.steps[-1], row.curve.mean[-1], row.curve.low[-1], row.curve.high[-1],
    )  # fmt: skip
