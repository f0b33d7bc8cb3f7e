"""The training page: what it asks the queue for, what it says of every end, all without torch."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import streamlit as st
from streamlit import runtime
from streamlit.testing.v1 import AppTest

from core import checkpoints
from core.collection.recipes import PRESETS
from core.training.config import TrainConfig
from core.training.queue.line import JobQueue, JobSettings, Store
from pages import training as training_form
from pages.kit import server
from tests.core.training.queue.queueing import script
from tests.food import make_food11
from tests.pages import shelf
from tests.pages.conftest import REPO

Open = Callable[..., AppTest]
ME = "a" * 32


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[JobQueue]:
    """A queue over a folder of this test, whose jobs are scripts that wait."""
    root = tmp_path / "runs"
    monkeypatch.setenv("SMALL_PLATES_RUNS", str(root))
    one = JobQueue(root, JobSettings(threads=1, per_visitor=2), script)
    monkeypatch.setattr("core.training.queue.line.shared_queue", lambda: one)
    monkeypatch.setattr("pages.kit.visitor.visitor", lambda: ME)
    yield one
    for job in one.jobs(None):
        one.stop(job.id, None)


@pytest.fixture
def food(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = make_food11(tmp_path / "food")
    monkeypatch.setenv("FOOD11_ROOT", str(folder))
    return folder


def text(app: AppTest) -> str:
    kinds = ("markdown", "caption", "info", "success", "warning", "error")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(app, kind))


def press(app: AppTest, label: str) -> AppTest:
    return next(one for one in app.button if label in one.label).click().run()


def ended(
    queue: JobQueue, state: str, epochs: int = 0, seed: int = 0, who: str = ME, **values: Any
) -> str:
    """A job of mine that has come to this end, with so many epochs behind it."""
    id = queue.ask(TrainConfig(epochs=5, seed=seed), who, "f").id
    queue.stop(id, who)
    with Store(queue.root).change() as change:
        change.set(id, state=state, pid=None, **values)  # whoever waits for it is not heard
    entries = [
        {
            "epoch": n + 1, "lr": 0.001, "loss": 2.0 - n / 10, "loss_hard": 2.0, "loss_soft": None,
            "train_accuracy": 0.5, "agreement": None, "val_loss": 2.0,
            "val_accuracy": 0.25 + n / 10, "val_n": 40, "images_per_s": 100.0, "seconds": 2.0,
        }
        for n in range(epochs)
    ]  # fmt: skip
    (queue.root / id).mkdir(exist_ok=True)
    queue.job(id).run.write_metrics(entries)
    return id


def test_without_photographs_it_says_how_to_get_them(open_page: Open, queue: JobQueue) -> None:
    app = open_page("training")
    assert not app.exception
    assert "Training needs photographs" in text(app)
    assert any("python -m core data fetch" in one.value for one in app.code)
    assert next(one for one in app.button if "Start" in one.label).disabled


def test_starting_asks_for_what_the_controls_say(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    shelf.fill(shelf.TEACHER)
    app = open_page("training")
    next(one for one in app.slider if "Alpha" in one.label).set_value(0.25)
    next(one for one in app.number_input if one.label == "Epochs").set_value(7)
    next(one for one in app.button_group if one.label == "Seeds, a run each").set_value([0, 2])
    app.run()
    press(app, "Start 2 runs")
    assert not app.exception
    configs = [job.config for job in queue.jobs(ME)]
    assert [one.seed for one in configs] == [0, 2]
    one = configs[0]
    assert (one.model, one.teacher, one.alpha) == ("dwpw_256k", shelf.TEACHER, 0.25)
    assert (one.epochs, one.px, one.share) == (7, 64, 0.5)
    assert "Waiting: it is next." in [one.proto.text for one in app.get("progress")]


def test_too_many_are_refused_in_words(open_page: Open, queue: JobQueue, food: Path) -> None:
    app = open_page("training")
    next(one for one in app.button_group if one.label == "Seeds, a run each").set_value([0, 1, 2])
    app.run()
    press(app, "Start 3 runs")
    assert "You have 2 trainings running or waiting already" in text(app)
    assert len(queue.jobs(ME)) == 2


@pytest.mark.parametrize("preset", ["minute", "hour", "full"])
def test_a_preset_is_the_recipe(open_page: Open, queue: JobQueue, food: Path, preset: str) -> None:
    app = open_page("training", preset=preset, teacher="none")
    press(app, "Start")
    (job,) = queue.jobs(ME)
    assert job.config == TrainConfig(model="dwpw_256k", **PRESETS[preset])


def test_a_design_from_the_link_is_trained(open_page: Open, queue: JobQueue, food: Path) -> None:
    app = open_page("training", model="design:px64-relu6-stem16p-sep32p-sep64", tab="curves")
    press(app, "Start")
    (job,) = queue.jobs(ME)
    assert job.config.model == "design:px64-relu6-stem16p-sep32p-sep64"
    assert app.multiselect(key="runs_shown").value == [job.id]  # once, though new and asked for
    app.query_params["model"] = "design:px32-stem8-plain8"  # another link, in the same session
    assert app.run().text_input(key="design").value == "px32-stem8-plain8"
    wrong = open_page("training", model="design:px64-soup")
    assert "soup" in text(wrong) and not wrong.exception


def test_a_design_keeps_a_side_that_the_menu_does_not_offer(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    app = open_page("training", model="design:px80-relu6-stem16p-sep32p-sep64", px="80")
    press(app, "Start")
    (job,) = queue.jobs(ME)
    assert job.config.px == 80
    odd = open_page("training", model="design:px80-relu6-stem16p-sep32p-sep64", px="81")
    assert odd.selectbox(key="px").value in training_form.SIDES


def test_a_design_and_its_picture_fit_together(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    """Six poolings: 64 px are enough, 32 are not; a preset that starts small starts larger."""
    deep = "design:px64-relu6-stem4p-sep4p-sep4p-sep4p-sep4p-sep4p"
    small = open_page("training", model=deep, px="32")
    assert "Pictures of 32 px are too small for this design" in text(small)
    assert not [one for one in small.button if "Start" in one.label]
    deeper = deep.replace("px64", "px128") + "-sep4p"
    press(open_page("training", preset="hour", model=deeper, px="128"), "Start")
    (job,) = queue.jobs(ME)
    assert (job.config.px, job.config.start_px) == (128, 0)


ENDS: list[tuple[str, dict[str, Any], str]] = [
    ("interrupted", {}, "Interrupted: its process has ended"),
    ("killed", {"reason": "signal", "message": "9"}, "ended it (signal 9; 9 usually means"),
    ("failed", {"reason": "disk", "message": "No space"}, "The disk is full"),
    ("failed", {"reason": "data", "message": "No folder."}, "have been moved. No folder."),
    ("failed", {"reason": "loss", "message": "No number."}, "No number. 2 epochs are kept."),
    ("failed", {"reason": "crashed", "message": "KeyError: {x}"}, "It stopped: KeyError: {x}."),
    ("stopped", {"reason": "time", "message": "120"}, "Stopped after 2.0 h"),
    ("stopped", {}, "Paused. 2 epochs are kept."),
]


def test_every_end_is_explained_and_can_be_resumed(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    ids = [ended(queue, state, 2, seed, **values) for seed, (state, values, _) in enumerate(ENDS)]
    app = open_page("training", tab="runs", runs_shown=ids[:6])
    assert not app.exception
    for _state, _values, words in ENDS:
        assert words in text(app)
    assert len(app.get("vega_lite_chart")) == 1  # its loss is there still
    assert len(open_page("training", tab="curves").get("vega_lite_chart")) == 3
    app.button(key=f"resume-{ids[0]}").click().run()
    assert queue.job(ids[0]).state == "running"


def test_others_runs_are_seen_but_not_touched(open_page: Open, queue: JobQueue, food: Path) -> None:
    running_id = queue.ask(TrainConfig(epochs=5), "somebody", "f").id
    app = open_page("training")
    assert "somebody else's" in text(app)
    queue.stop(running_id, "somebody")
    finished = [ended(queue, "done", epochs=5, seed=seed, who="somebody") for seed in range(1, 7)]
    paused = ended(queue, "stopped", epochs=2, seed=9, who="somebody")
    app = open_page("training", tab="curves")
    offered = str(app.multiselect(key="runs_shown").options)
    assert offered.count("Depthwise 257 k") == 4 and "s9" not in offered  # the newest finished ones
    assert paused not in offered and len(finished) == 6
    app = open_page("training")
    assert "right on 65\u202f% of 40 validation photographs" in text(app)
    app.button_group(key="guess_right").set_value("low").run()
    assert "of 100 after" not in text(app)  # the guess is about one's own student
    words = ("Pause", "Resume", "Delete this run")
    assert not [one for one in app.button if one.label in words]


def test_the_running_run_is_shown_step_by_step_with_its_answers(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    from core.data.find import find_food11
    from core.training.watch import Watch, fixed_pictures

    pictures = fixed_pictures(find_food11(food))
    app = open_page("training", tab="why")
    assert len(app.get("image")) == 6
    assert "1 answer in 11 is right by chance" in text(app)
    id = running(queue, 0, None)
    assert training_form.states(queue.jobs(ME)) == {id: "starting"}
    told = Watch(queue.root / id, pictures, 50, 10)
    surely_egg = [[0.04] * 3 + [0.6] + [0.04] * 7] * 6
    for loss in (8.0, 6.0, 4.5):
        told.step(loss, lambda: surely_egg)
    told.write(lambda: surely_egg)
    assert training_form.states(queue.jobs(ME)) == {id: "running"}
    app = open_page("training", tab="why")
    assert not app.exception
    assert "After 3 of 50 steps its loss is 4.5; it was 8 at the start." in text(app)
    right = sum(picture.label == 3 for picture in pictures)
    assert f"It is right on {right} of the 6 pictures." in text(app)
    captions = [one.caption for image in app.get("image") for one in image.proto.imgs]
    assert len(captions) == 6 and all("Egg 60\u202f%" in caption for caption in captions)
    (chart,) = app.get("vega_lite_chart")
    assert "8 at the start, 4.5 now, after 0.3 epochs" in chart.proto.alt
    press(app, "Pause")
    assert queue.job(id).state == "stopped"
    forged = [("../../secret.jpg", 3), *pictures[1:]]
    (queue.root / id / "watch.json").write_text(
        json.dumps(told.now._replace(pictures=forged)._asdict())  # type: ignore[arg-type]
    )
    assert len(open_page("training", tab="why").get("image")) == 5


@pytest.mark.parametrize(
    ("accuracy", "words"), [(0.65, "**Better than a blind"), (0.1, "Not clearly better")]
)
def test_the_end_says_whether_it_beats_a_blind_guess(
    open_page: Open, queue: JobQueue, food: Path, accuracy: float, words: str
) -> None:
    id = ended(queue, "done", epochs=5)
    entries = queue.job(id).run.metrics()
    entries[-1]["val_accuracy"] = accuracy
    queue.job(id).run.write_metrics(entries)
    app = open_page("training", tab="why")
    assert words in text(app) and "(9\u202f%)" in text(app)


def test_the_visitors_own_finished_runs_stand_in_his_report(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    mine = ended(queue, "done", epochs=5)
    ended(queue, "done", epochs=5, seed=1, who="somebody")
    ended(queue, "stopped", epochs=2, seed=2)
    app = open_page("training", tab="why").run()
    (entry,) = app.session_state["lab_report"].measured
    assert (entry.page, entry.about, entry.settings["model"]) == ("training", mine, "dwpw_256k")
    assert "65.0\u202f%" in entry.result or "65\u202f% of 40" in entry.result
    assert entry.values["val_accuracy"] == 0.65 and entry.values["epoch"] == 5


def test_a_finished_run_shows_its_confusions_and_mistakes(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    from core.data.find import find_food11

    index = find_food11(food)
    id = ended(queue, "done", epochs=5)
    counts = [[0] * 11 for _ in range(11)]
    counts[3][3], counts[3][5] = 4, 3
    file = index.files[int(index.of("testing")[0])]
    report = {
        "split": "testing",
        "data": {"name": index.name, "fingerprint": index.fingerprint},
        "unreadable": [],
        "confusion": counts,
        "mistakes": [
            {"file": file, "label": 3, "answer": 5, "confidence": 0.87},
            {"file": "../../secret.jpg", "label": 3, "answer": 5, "confidence": 0.8},
        ],
    }
    (queue.root / id / "report.json").write_text(json.dumps(report))
    shelf.fill(shelf.TEACHER)
    shipped, files = checkpoints.read_files(shelf.TEACHER)
    checkpoints.store(shipped.model_copy(update={"id": id}), files, checkpoints.own_dir())
    app = open_page("training", tab="result")
    assert not app.exception
    labels = [one.proto.label for one in app.get("download_button")]
    wanted = ["Settings", "Metrics", "Weights", "Model card"]
    assert [label for label in labels if label in wanted] == wanted
    assert "Accuracies measured on 66 test photographs" in text(app)
    assert "Most frequent mistake: Egg taken for Meat, 3 times." in text(app)
    pictures = [one.caption for image in app.get("image") for one in image.proto.imgs]
    assert len(pictures) == 7 and "Egg, taken for Meat, 87" in pictures[-1]
    app = (
        next(one for one in app.button_group if "will your student be right" in one.label)
        .set_value("high")
        .run()
    )
    assert "**Right.** It is right on 65 of 100" in text(app)

    for number, gone in enumerate(food.rglob("*.jpg")):  # another set: its photos are not these
        if number % 2:
            gone.unlink()
    st.cache_resource.clear()
    app = open_page("training", tab="result")
    pictures = [one.caption for image in app.get("image") for one in image.proto.imgs]
    assert not app.exception and not any("taken for" in caption for caption in pictures)
    assert "To see the photos" in text(app)


def test_deleting_takes_the_run_away(open_page: Open, queue: JobQueue, food: Path) -> None:
    id = ended(queue, "stopped", epochs=2)
    press(open_page("training"), "Delete this run")
    assert queue.jobs(ME) == [] and not (queue.root / id).exists()


def test_durations() -> None:
    from pages.training import duration

    assert [duration(s) for s in (7, 89, 90, 5399, 9000)] == [
        "7.0 s", "89 s", "2 min", "90 min", "2.5 h",
    ]  # fmt: skip


def test_the_loss_shown_is_the_loss_that_runs(open_page: Open, queue: JobQueue) -> None:
    """Without importing it: that would import torch."""
    (shown,) = (
        one.value.strip()
        for one in open_page("training", tab="why").code
        if one.value.startswith("def loss_fn_kd(")
    )
    source = (REPO / "core" / "training" / "loss.py").read_text(encoding="utf-8")
    assert shown.count("\n") > 10 and shown in source


def test_compare_offers_a_run_of_ones_own_and_nobody_elses(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    """A link names it; without one, the shipped checkpoints stand alone."""
    shelf.fill(shelf.TEACHER)
    shipped = checkpoints.get(shelf.TEACHER)
    _one, files = checkpoints.read_files(shelf.TEACHER)
    own = shipped.model_copy(update={"id": "dwpw_256k-scratch-s0-0123456789", "title": "Mine"})
    checkpoints.store(own, files, checkpoints.own_dir())
    assert own.id not in checkpoints.load_manifest() and checkpoints.get(own.id) == own

    def offered(app: AppTest) -> str:
        return str(next(one for one in app.multiselect if one.label == "Networks").options)

    assert "Mine" not in offered(open_page("compare"))
    assert "Mine" in offered(open_page("compare", networks=[own.id, shelf.TEACHER]))
    checkpoints.remove(own.id, checkpoints.own_dir())
    assert "Mine" not in offered(open_page("compare", networks=[own.id]))


def test_one_bad_item_hides_no_other(open_page: Open, queue: JobQueue, food: Path) -> None:
    """A run of another version, cut files, own networks that cannot be read: all is said, once."""
    shelf.fill(shelf.TEACHER)
    good, bad, cut = (ended(queue, "done", epochs=4, seed=seed) for seed in range(3))
    with Store(queue.root).change() as change:
        change.set(bad, config='{"model": "soup"}')
    (queue.root / cut / "run.json").write_text("{", encoding="utf-8")
    (queue.root / cut / "report.json").write_text("[]", encoding="utf-8")
    own = checkpoints.own_dir()
    own.mkdir(parents=True)
    (own / "manifest.json").write_text("[1, 2, 3]", encoding="utf-8")
    app = open_page("training")
    assert not app.exception
    assert [warning.value for warning in app.warning if bad in warning.value]
    assert [one.id for one in queue.jobs(ME)] == [good, cut]

    shipped, files = checkpoints.read_files(shelf.TEACHER)
    (own / "manifest.json").unlink()
    for id in ("mine-s0", "mine-s1"):
        checkpoints.store(shipped.model_copy(update={"id": id, "title": id}), files, own)
    content = json.loads((own / "manifest.json").read_text(encoding="utf-8"))
    content["checkpoints"]["mine-s1"]["px"] = 3
    (own / "manifest.json").write_text(json.dumps(content), encoding="utf-8")
    app = open_page("compare", networks=["mine-s0", "mine-s1", shelf.TEACHER])
    assert not app.exception
    offered = str(next(one for one in app.multiselect if one.label == "Networks").options)
    assert "mine-s0" in offered and "mine-s1" not in offered
    assert [warning.value for warning in app.warning if "mine-s1" in warning.value]
    assert not any("mine-s1" in one.value for one in open_page("compare").warning)


@pytest.mark.slow
def test_a_list_of_networks_that_cannot_be_read_leaves_the_own_ones(
    open_page: Open, queue: JobQueue, pretrained: Path
) -> None:
    shelf.fill(shelf.TEACHER, shelf.DISTILLED)
    path = pretrained / "manifest.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    content["checkpoints"][shelf.DISTILLED]["params"] = "many"
    path.write_text(json.dumps(content), encoding="utf-8")
    for page in ("compare", "home", "results", "pruning", "quantization", "export"):
        app = open_page(page)
        assert not app.exception, page
    app = open_page("compare")
    assert [one.value for one in app.warning if shelf.DISTILLED in one.value]
    assert app.multiselect[0].options


def test_the_model_card_says_what_was_measured_on_what_and_by_which_code(pretrained: Path) -> None:
    from core.training.publish import model_card

    shelf.fill(shelf.DISTILLED)
    entry = checkpoints.get(shelf.DISTILLED)
    assert entry.test is not None
    card = model_card(entry, {"split": "testing", "confusion": [[2] * 11 for _ in range(11)]})
    assert f"test: {entry.test.correct} of {entry.test.n} right" in card
    assert "not Food-11" in card and f"teacher: `{shelf.TEACHER}`" in card
    assert "| Egg | 2 | 22 |" in card
    for commit, shown in (
        ("0123456789ab+", "commit `0123456789ab+` with uncommitted changes."),
        (None, "commit not recorded."),
    ):
        assert shown in model_card(entry.model_copy(update={"commit": commit}))


LINK = {
    "preset": "hour", "model": "plain_275k", "teacher": shelf.TEACHER, "alpha": "0.35", "T": "7.5",
    "mixup": "0.2", "epochs": "12", "px": "96", "share": "40", "augment": "strong",
    "batch_size": "32", "lr": "0.0005", "seeds": "1.3",
}  # fmt: skip


def test_a_link_holds_every_setting(open_page: Open, queue: JobQueue, food: Path) -> None:
    shelf.fill(shelf.TEACHER)
    app = open_page("training", **LINK)
    assert not app.exception
    press(app, "Start 2 runs")
    wanted = TrainConfig(
        model="plain_275k", teacher=shelf.TEACHER, alpha=0.35, temperature=7.5, mixup=0.2,
        epochs=12, px=96, share=0.4, augment="strong", batch_size=32, lr=0.0005, seed=1,
        **{name: PRESETS["hour"][name] for name in PRESETS["hour"].keys() - LINK.keys()},
    )  # fmt: skip
    assert [job.config for job in queue.jobs(ME)] == [wanted, wanted.model_copy(update={"seed": 3})]
    default = {"teacher": shelf.TEACHER, "mixup": str(PRESETS["hour"].get("mixup"))}
    assert link_of(app) == {k: v for k, v in LINK.items() if default.get(k) != v}
    small = open_page("training", preset="hour", px="32", epochs="1", teacher="none")
    press(small, "Start")  # what the preset sets elsewhere gives way
    assert "You have 2 trainings" in text(small) and not small.error


def link_of(app: AppTest) -> dict[str, str]:
    """The address bar's settings."""
    found = {name: app.query_params[name] for name in LINK if name in app.query_params}
    return {k: v if isinstance(v, str) else ".".join(v) for k, v in found.items()}


def test_the_link_follows_the_controls(open_page: Open, queue: JobQueue, food: Path) -> None:
    app = open_page("training")
    assert link_of(app) == {}  # all as the preset says
    next(one for one in app.number_input if one.label == "Epochs").set_value(7)
    next(one for one in app.button_group if one.label == "Seeds, a run each").set_value([2, 4])
    next(one for one in app.number_input if "learning rate" in one.label).set_value(0.0123)
    app.run()
    assert link_of(app) == {"epochs": "7", "seeds": "2.4", "lr": "0.0123"}
    app.selectbox(key="preset").set_value("hour").run()
    assert link_of(app) == {"preset": "hour", "seeds": "2.4"}


HOSTILE = (
    "1e999",
    "-1",
    "nan",
    "inf",
    "",
    "0x10",
    "٣",
    "9" * 400,
    "1e-9999",
    "<b>",
    "null",
    "1..2",
)


@pytest.mark.parametrize("turn", [0, 5, 9])
def test_a_hostile_link_is_a_link_without_that(
    open_page: Open, queue: JobQueue, food: Path, turn: int
) -> None:
    """Every setting with a hostile value, others in each turn."""
    names = sorted(LINK.keys() - {"preset", "model", "teacher"} | {"pretrained"})
    values = {name: HOSTILE[(turn + n) % len(HOSTILE)] for n, name in enumerate(names)}
    app = open_page("training", teacher="none", **values)
    assert not app.exception
    press(app, "Start")
    (job,) = queue.jobs(ME)
    assert job.config == TrainConfig(model="dwpw_256k", **PRESETS["minute"])


def running(queue: JobQueue, epochs: int, told: dict[str, object] | None) -> str:
    """A job of mine that runs, with so many epochs behind it and this progress.json."""
    id = ended(queue, "stopped", epochs)
    queue.resume(id, ME)
    if told is not None:
        (queue.root / id / "progress.json").write_text(json.dumps(told))
    return id


def test_the_page_shows_how_far_the_running_epoch_is(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    keys = ("epoch", "phase", "done", "of", "images_per_s")
    for epochs, progress, share, words in (
        (0, (1, "training", 10, 40, 20.0), 0.05, "Epoch 1 of 5: 25% of its pictures · 20 images/s"
         " · about 9.5 s left"),  # 4.75 epochs of 40 pictures at 20 a second
        (2, (3, "validation", 0, 863, 0.0), 0.6, "Epoch 3 of 5: testing it"),
        (2, None, 0.4, "Epoch 3 of 5 · 100 images/s"),
        (2, (3, "training", 30, 40, 120.0), 0.55, "Epoch 3 of 5: 75% of its pictures · 120 images/s"
         " · about 4.5 s left"),  # 2.25 epochs of 2 s
    ):  # fmt: skip
        said = dict(zip(keys, progress, strict=True)) if progress else None
        job = queue.job(running(queue, epochs, said), ME)
        done, line = training_form.progress_of(job, job.run.metrics())
        assert done == pytest.approx(share) and words in line
        if progress != (3, "training", 30, 40, 120.0):
            queue.delete(job.id, ME)
    (bar,) = open_page("training", tab="why").get("progress")
    assert bar.proto.text == line and bar.proto.value == 55


def test_a_finished_run_opens_in_pruning(open_page: Open, queue: JobQueue, food: Path) -> None:
    """The door's link names it; the page behind the door knows it, though it is not shipped."""
    id = ended(queue, "done", epochs=5)
    shelf.fill(shelf.TEACHER)
    shipped, files = checkpoints.read_files(shelf.TEACHER)
    own = shipped.model_copy(update={"id": id, "title": "My own run"})
    checkpoints.store(own, files, checkpoints.own_dir())
    links = {
        one.proto.label: one.proto for one in open_page("training", tab="result").get("page_link")
    }
    door = next(proto for label, proto in links.items() if "Open it in Pruning" in label)
    assert f"network={id}" in str(door)
    app = open_page("pruning", network=id)
    assert not app.exception
    assert next(one for one in app.selectbox if one.label == "Network").value == id


def test_no_page_starts_a_thread() -> None:
    """Streamlit's calls belong to the script's own thread: what runs beside it lives in core."""
    import ast

    pages = Path(training_form.__file__).parent
    for file in pages.rglob("*.py"):
        if file.name == "server.py":  # what a server does once, outside every page
            continue
        names = {
            name
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
            for name in (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else []
            )
        }
        found = {name.split(".")[0] for name in names}
        assert not found & {"threading", "concurrent", "asyncio", "multiprocessing"}, file


def test_controls_are_told_their_values_again_where_the_first_run_was_lost(
    open_page: Open, queue: JobQueue, food: Path
) -> None:
    """A browser that got nothing: without `set_value` all controls stood at their lowest."""

    def told(app: AppTest) -> list[bool]:
        controls = [app.number_input("epochs"), app.number_input("share"), app.selectbox("px")]
        return [one.proto.set_value for one in controls]

    app = open_page("training", epochs="20", share="35")
    assert told(app) == [True] * 3
    assert told(app.run()) == [False] * 3
    app._tree.children.clear()  # as a browser has it that never got the first run
    assert told(app.run()) == [True] * 3
    assert app.number_input("epochs").value == 20


@pytest.mark.parametrize(
    ("url", "visitors", "few"),
    [("http://here/training", 1, True), ("http://here/training", 8, True),
     ("http://here/training", 9, False), ("", 1, False)],
)  # fmt: skip
def test_a_class_does_not_keep_a_process_waiting(
    url: str, visitors: int, few: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes hundreds of megabytes, which a class has better uses for."""
    sessions = SimpleNamespace(num_active_sessions=lambda: visitors)
    monkeypatch.setattr(st, "context", SimpleNamespace(url=url))
    monkeypatch.setattr(runtime, "exists", lambda: True)
    monkeypatch.setattr(runtime, "get_instance", lambda: SimpleNamespace(_session_mgr=sessions))
    assert server.has_few_visitors() is few
