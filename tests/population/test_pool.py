"""Jobs in other processes give what they give here, and progress adds up."""

import dataclasses
import functools
import os
import signal
from pathlib import Path
from types import SimpleNamespace

import joblib
import numpy as np
import pytest
import torch

from make_runs import blobs, runs_of
from trainsmith.catalogue import Recipe
from trainsmith.errors import InvalidInput
from trainsmith.population import Job, Training, run_jobs


def test_two_processes_give_the_results_of_one_and_all_progress_is_reported():
    data, training = blobs(), Training(steps=8, batch_size=16, checks=2)
    runs = runs_of(Recipe(regularization=("dropout",)), 4)
    jobs = [Job("mlp", training, tuple(runs[:2]), True), Job("mlp", training, tuple(runs[2:]), True)]
    here, there, steps = dict(run_jobs(jobs, data, 1, lambda n: None)), {}, []
    there.update(run_jobs(jobs, data, 2, steps.append))
    assert sum(steps) == 4 * 8
    for i, record in here.items():
        for a, b in zip(record.results, there[i].results, strict=True):
            np.testing.assert_allclose(a.first_losses, b.first_losses, rtol=1e-6)
            assert a.score == b.score
            assert a.state.keys() == b.state.keys()


def write_where_it_stands(position, job, record, started):
    Path(f"kept-{position}").write_text(str(os.getpid()))


def test_workers_that_have_served_before_stand_in_the_folder_the_parent_stands_in(tmp_path, monkeypatch):
    data, training = blobs(), Training(steps=2, batch_size=16, checks=1)
    runs = runs_of(Recipe(), 2)
    jobs = [Job("mlp", training, (run,), True) for run in runs]
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        list(run_jobs(jobs, data, 2, lambda n: None, write_where_it_stands))
        written = {p.name: p.read_text() for p in (tmp_path / name).iterdir()}
        assert set(written) == {"kept-0", "kept-1"}, name
        assert str(os.getpid()) not in written.values()


@pytest.mark.parametrize("flushed", [False, True])
def test_a_job_in_this_process_takes_the_smallest_numbers_for_zero_while_it_trains_alone(flushed):
    half = torch.tensor([torch.finfo(torch.float32).tiny])
    seen, job = [], Job("mlp", Training(steps=2, checks=1, batch_size=4), runs_of(Recipe(), 1))
    torch.set_flush_denormal(flushed)
    try:
        list(run_jobs([job], blobs(), 1, lambda member_steps: seen.append(float(half / 2))))
        assert set(seen) == {0.0}
        assert (float(half / 2) == 0) is flushed
    finally:
        torch.set_flush_denormal(False)


def test_a_job_in_this_process_computes_on_one_thread_as_in_another_and_leaves_the_others_as_they_were():
    seen, before = [], torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        job = Job("mlp", Training(steps=2, checks=1, batch_size=4), runs_of(Recipe(), 1))
        jobs = run_jobs([job, job], blobs(), 1, lambda member_steps: seen.append(torch.get_num_threads()))
        between = [torch.get_num_threads() for _ in jobs]
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {1}
    assert between == [3, 3]


def end_itself(parent, shape, outputs):
    if os.getpid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)  # as happens where memory runs out


@pytest.mark.parametrize(
    ("keep", "said"), [(None, "; give the same"), (write_where_it_stands, "; what was finished is")]
)
def test_a_worker_that_is_killed_is_said_in_one_sentence(keep, said):
    training = Training(steps=2, batch_size=16, checks=1)
    job = Job(functools.partial(end_itself, os.getpid()), training, runs_of(Recipe(), 1))
    with pytest.raises(InvalidInput, match=rf"a worker process was killed.*{said}.*with fewer processes"):
        list(run_jobs([job, job], blobs(), 2, lambda n: None, keep))


def test_unlabelled_inputs_are_handed_to_workers_as_the_others_are(monkeypatch):
    calls = []
    fake = SimpleNamespace(delayed=joblib.delayed, Parallel=lambda **_: lambda tasks: calls.extend(tasks) or iter(()))
    monkeypatch.setattr("trainsmith.population.pool.joblib", fake)
    job = Job("mlp", Training(steps=2, batch_size=16, checks=1), runs_of(Recipe(), 1))
    data = dataclasses.replace(blobs(), unlabelled=torch.ones(7, *blobs().input_shape))
    assert list(run_jobs([job, job], data, 2, lambda n: None)) == []
    for _, (*_, fields, _, _, _, _), _ in calls:
        assert isinstance(fields["unlabelled"], np.ndarray), "a tensor is pickled with every job"
        assert fields["unlabelled"].shape == data.unlabelled.shape
    assert len(calls) == 2
