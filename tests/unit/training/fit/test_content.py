"""Fitting the content model, and the model at request time."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.unit.models.model_contract import ModelContract

from kindred.core.errors import InvalidInput
from kindred.models.content import ContentConfig, ContentModel
from kindred.models.text import ItemText
from kindred.training.fit.content import fit_content

SEA = "ship ocean harbour captain storm island"
SPACE = "rocket planet orbit galaxy alien crater"
SMALL = ContentConfig(dimensions=8)


def catalogue() -> list[ItemText]:
    """Return 40 described items of two subjects, and one that says nothing."""
    rng = np.random.default_rng(2)
    texts = []
    for item in range(40):
        subject, category = (SEA, "Sea Story") if item % 2 else (SPACE, "Space")
        chosen = " ".join(rng.choice(subject.split(), 4))
        tags = (f"mood{item % 3}", "The Classic") if item < 6 else (f"mood{item % 3}",)
        texts.append(ItemText(title=f"Tale {chosen[:5]} {item}", categories=(category,), tags=tags, description=chosen))
    return [*texts, ItemText()]


class TestContentModel(ModelContract):
    """Content keeps the contract."""

    arrays = ("idf", "projection", "item_vectors")

    def fit(self) -> ContentModel:
        fitted = fit_content(catalogue(), SMALL)
        # As it is once saved.
        return replace(fitted, item_vectors=fitted.item_vectors.astype(np.float16))

    def ask(self, model: ContentModel) -> tuple[np.ndarray, np.ndarray]:
        return model.similar(3, 5)

    def ask_unknown(self, model: ContentModel) -> list[np.ndarray]:
        nothing = model.encode(ItemText(title="zzz unheard"))
        return [
            nothing,
            model.vector(41),
            model.vector(-1),
            model.encode(ItemText()),
            *model.similar(41, 5),
            *model.similar(40, 5),
            *model.similar(nothing, 5),
            model.score_candidates(model.vector(0), np.array([-1, 41], np.int32)),
        ]


def test_half_the_precision_orders_and_scores_alike(tmp_path: Path) -> None:
    model = fit_content(catalogue(), SMALL)
    model.save(tmp_path)
    loaded, every = ContentModel.load(tmp_path), np.arange(41, dtype=np.int32)
    assert loaded.item_vectors.dtype == np.float16
    for item in range(41):
        scores = loaded.score_candidates(loaded.vector(item), every)
        assert scores.dtype == np.float32
        np.testing.assert_allclose(scores, model.score_candidates(model.vector(item), every), atol=2e-3)


@pytest.mark.parametrize("dimensions", [4, 8, 64])
def test_encoding_gives_the_trained_vector(dimensions: int) -> None:
    texts = catalogue()
    model = fit_content(texts, ContentConfig(dimensions=dimensions))
    encoded = np.stack([model.encode(text) for text in texts])
    np.testing.assert_allclose(encoded, model.item_vectors, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(encoded[:40], axis=1), 1.0, rtol=1e-5)


def test_similar_items_share_the_subject() -> None:
    model = fit_content(catalogue(), SMALL)
    for item in (10, 11, 12, 33):
        items, scores = model.similar(item, 5)
        assert item not in items
        assert {int(other) % 2 for other in items} == {item % 2}
        assert (np.diff(scores) <= 0).all()


def test_a_new_text_finds_its_subject_and_a_mask_restricts() -> None:
    model = fit_content(catalogue(), SMALL)
    query = model.encode(ItemText(title="Storm", description="a ship on the ocean"))
    allowed = np.zeros(41, np.bool_)
    allowed[[5, 8, 9]] = True
    assert {int(item) % 2 for item in model.similar(query, 10)[0]} == {1}
    assert set(model.similar(query, 10, allowed)[0].tolist()) <= {5, 8, 9}


def test_shared_attributes_name_what_both_bear() -> None:
    texts = catalogue()
    model = fit_content(texts, SMALL)
    found = model.shared_attributes(texts[0], texts[3], 5)
    assert [(one.kind, one.value) for one in found] == [("tag", "The Classic"), ("tag", "mood0")]
    assert found[0].weight > found[1].weight > 0
    assert ("category", "Sea Story") in [
        (one.kind, one.value) for one in model.shared_attributes(texts[1], texts[3], 5)
    ]
    assert model.shared_attributes(texts[0], ItemText()) == []


def test_title_words_are_reasons_only_when_rare() -> None:
    texts = [*catalogue(), ItemText(title="The Zanzibar Affair"), ItemText(title="Return to Zanzibar, a tale")]
    model = fit_content(texts, SMALL)
    assert [(one.kind, one.value) for one in model.shared_attributes(texts[-2], texts[-1])] == [("title", "Zanzibar")]
    assert model.shared_attributes(texts[7], texts[8]) == []


@pytest.mark.parametrize(
    "texts", [[], [ItemText()], [ItemText(title="alone")], [ItemText(title="aa"), ItemText(title="bb")]]
)
def test_no_shared_term_gives_zero_vectors(texts: list[ItemText]) -> None:
    model = fit_content(texts)
    assert model.n_items == len(texts)
    assert not model.item_vectors.any()
    assert not model.encode(ItemText(title="alone")).any()


def test_bad_settings_are_named() -> None:
    with pytest.raises(InvalidInput, match="/content"):
        fit_content(catalogue(), ContentConfig(dimensions=0))
