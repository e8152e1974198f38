"""watch inside other libraries' trainers, run for some steps where they are installed, and TensorBoard's files."""

import re
import sys

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

import trainsmith
from trainsmith.callbacks import Watching, lightning_callback, transformers_callback
from trainsmith.errors import InvalidInput


class Writer:
    """Remembers what a SummaryWriter would write."""

    def __init__(self):
        self.scalars, self.histograms, self.texts, self.flushed = {}, {}, [], False

    def add_scalar(self, tag, value, step):
        self.scalars[tag, step] = value

    def add_histogram_raw(self, tag, low, high, num, total, squares, limits, counts, step):
        self.histograms[tag, step] = (low, high, num, total, squares, limits, counts)

    def add_text(self, tag, text, step):
        self.texts.append((step, text))

    def flush(self):
        self.flushed = True


def train(board, steps=4, every=1, rate=1.0):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.SGD(model.parameters(), rate)
    with trainsmith.watch(model, optimizer, every=every, warn=False).tensorboard(board) as w:
        for _ in range(steps):
            optimizer.zero_grad()
            cross_entropy(model(torch.randn(32, 8)), torch.arange(32) % 3).backward()
            optimizer.step()
    return w


def test_a_writer_gets_curves_histograms_and_findings():
    writer = Writer()
    w = train(writer, rate=20.0)
    for m in w.measurements:
        for layer in m.layers:
            assert writer.scalars[f"layers/std/{layer.name}", m.step] == layer.std
        for p in m.parameters:
            assert writer.scalars[f"parameters/update_ratio/{p.name}", m.step] == p.update_ratio
    assert ("layers/variance_ratio/0", 0) not in writer.scalars  # there is no layer before
    low, high, count, total, squares, limits, counts = writer.histograms["outputs/0", 0]
    layer = w.measurements[0].layers[0]
    assert (low, high, count) == (layer.histogram.low, layer.histogram.high, 32 * 16)
    assert len(limits) == len(counts)
    assert limits[-1] == pytest.approx(high)
    assert total / count == pytest.approx(layer.mean, abs=(high - low) / 60)
    assert squares / count == pytest.approx(layer.second_moment, rel=0.02)
    assert {step for _, step in writer.histograms} == {0, 1}
    assert len({step for step, _ in writer.texts}) == len(writer.texts)
    told = [t for _, text in writer.texts for t in text.split("\n\n")]
    places = [re.search(r"The same in (\d+) more place", t) for t in told]
    assert sum(1 + (int(p[1]) if p else 0) for p in places) == len(w.findings) > 0
    assert all(any(t.startswith(f.words) and t.endswith(f"({f.source})") for f in w.findings) for t in told)
    assert writer.flushed


def test_a_folder_gets_files_that_tensorboard_reads(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    w = train(tmp_path / "run")
    read = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [s.value for s in read.Scalars("layers/std/0")] == pytest.approx([m.layers[0].std for m in w.measurements])
    assert "gradients/1" in read.Tags()["histograms"]


def test_what_cannot_be_written_to_is_said(monkeypatch, tmp_path):
    model = nn.Linear(2, 2)
    watch = trainsmith.watch(model, torch.optim.SGD(model.parameters()))
    with pytest.raises(InvalidInput, match="needs a folder or a SummaryWriter; got int"):
        watch.tensorboard(3)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(InvalidInput, match=r"trainsmith\[tensorboard\]"):
        watch.tensorboard(tmp_path)


@pytest.mark.parametrize(
    ("package", "callback"), [("lightning.pytorch", lightning_callback), ("transformers", transformers_callback)]
)
def test_a_missing_trainer_is_named_with_its_extra(monkeypatch, package, callback):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InvalidInput, match=rf"trainsmith\[{package.split('.')[0]}\]"):
        callback()


def test_a_training_begun_anew_has_one_watch_though_the_first_was_broken_off():
    model, callback = nn.Sequential(nn.Linear(8, 3)), Watching(every=1, warn=False)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    callback._start(model, optimizer)  # interrupted: nobody tells the end
    first = callback.watch
    callback._start(model, optimizer)
    cross_entropy(model(torch.randn(32, 8)), torch.arange(32) % 3).backward()
    optimizer.step()
    assert (len(first.measurements), len(callback.watch.measurements)) == (0, 1)
    callback._stop()
    assert not model._forward_pre_hooks
    assert not optimizer._optimizer_step_post_hooks


@pytest.mark.filterwarnings("ignore")  # lightning's own advice about workers and loggers
def test_lightning_trains_under_watch(tmp_path):
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))

        def training_step(self, batch, _):
            return cross_entropy(self.network(batch[0]), batch[1])

        def configure_optimizers(self):
            return torch.optim.Adam(self.parameters(), 1e-3)

    data = torch.utils.data.TensorDataset(torch.randn(96, 8), torch.arange(96) % 3)
    callback, module = lightning_callback(every=2), Module()
    trainer = lightning.Trainer(
        max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, default_root_dir=tmp_path, callbacks=[callback],
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(data, 32))
    assert [m.step for m in callback.watch.measurements] == [0, 2, 4]
    assert [m.name for m in callback.watch.layers] == ["network.0", "network.1", "network.2"]
    assert all(m.gradient > 0 for m in callback.watch.layers)
    assert not module.network[0]._forward_hooks


@pytest.mark.filterwarnings("ignore")  # transformers' own
def test_huggingfaces_trainer_trains_under_watch(tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    pytest.importorskip("accelerate", reason="accelerate, which the Trainer needs, is not installed")
    config = transformers.GPT2Config(n_layer=1, n_head=2, n_embd=16, vocab_size=50, n_positions=8)
    model, callback = transformers.GPT2LMHeadModel(config), transformers_callback(every=2)
    tokens = [{"input_ids": t, "labels": t} for t in torch.randint(50, (24, 8))]
    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path), max_steps=4, per_device_train_batch_size=8, report_to=[], use_cpu=True,
        save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    transformers.Trainer(model, arguments, train_dataset=tokens, callbacks=[callback]).train()
    assert [m.step for m in callback.watch.measurements] == [0, 2]
    assert all(p.gradient > 0 for p in callback.watch.parameters)
    assert len(callback.watch.layers) > 8
